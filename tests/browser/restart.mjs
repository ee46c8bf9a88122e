// Confab is killed and started again while two people write: nothing that was typed is lost, nothing
// is there twice, both see one order, and nobody reloads a page.

import { check, checkEqual, eventually, gateway, order, script } from "./lib.mjs";
import { composer, enter, live, send, sees, texts } from "./people.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 2);
// What browsers say of a server that is away.
const allow = ["Failed to load resource", "net::ERR"];
// The list draws what can be seen: here that is everything.
const options = { allow, viewport: { width: 1280, height: 4000 } };

await script(async (browser) => {
  const alice = await enter(browser, "alice", options);
  const bob = await enter(browser, "bob", options);
  await send(alice, "a before");
  await sees(bob, "a before");
  const typed = { a: ["a before"], b: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    await Promise.all([write(alice, "a", round, typed), write(bob, "b", round, typed), order("kill")]);
  }

  await order("down");
  await send(alice, "a while it is away");
  typed.a.push("a while it is away");
  await alice.locator(".connection-bar", { hasText: /Reconnecting in \d+ s/ }).waitFor();
  await alice.locator(".meta:not(.meta-room) :is(.progress-sending, .progress-waiting)").first().waitFor();
  await order("up");
  await alice.getByRole("button", { name: "Try now" }).click({ timeout: 1000 }).catch(() => undefined);
  await Promise.all([live(alice), live(bob)]);

  const total = typed.a.length + typed.b.length;
  for (const page of [alice, bob]) {
    await eventually("everything that was typed is there", async () => (await settled(page)) === total, 60_000);
  }
  const seen = await texts(alice);
  checkEqual(await texts(bob), seen, "both see one order");
  for (const who of ["a", "b"]) {
    checkEqual(seen.filter((text) => text.startsWith(who)), typed[who], `what ${who} typed, in order`);
  }
  check((await alice.locator(".failed").count()) === 0, "a message that was sent is said to have failed");

  const later = await enter(browser, "bob", options);
  await eventually("another device sees the same", async () => JSON.stringify(await texts(later)) === JSON.stringify(seen));
  return { messages: total, kills: ROUNDS + 1, gateway };
});

// Types as fast as the page takes it; while Confab is away as before.
async function write(page, who, round, typed) {
  for (let count = 0; count < 8; count += 1) {
    const text = `${who} ${round}.${count}`;
    typed[who].push(text);
    await composer(page).fill(text);
    await composer(page).press("Enter");
    await page.waitForTimeout(60);
  }
}

// How many messages are there and on their way no longer.
async function settled(page) {
  if ((await page.locator(":is(.progress-sending, .progress-waiting)").count()) > 0) return -1;
  return (await texts(page)).length;
}
