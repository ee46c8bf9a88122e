// Waiting for what has to happen.

import { setTimeout as sleep } from "node:timers/promises";

const LIMIT = Number(process.env["WEB_TEST_LIMIT"] ?? 40_000);

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const ends = Date.now() + LIMIT;
  while (!(await condition())) {
    if (Date.now() > ends) throw new Error(`not within ${LIMIT} ms: ${what}`);
    await sleep(20);
  }
}
