// What the scripts in this folder share: a real browser, people in it, and a way to say what is
// broken. They are run by tests/suite/browser, which starts Confab; by hand:
//
//   npm ci --ignore-scripts
//   GATEWAY=http://127.0.0.1:8080 node chat.mjs
//
// GATEWAY    where the gateway is, in dev mode
// OPS        where its operations port is
// CHROMIUM   the browser's program; /usr/bin/chromium unless given
// BROWSER_ENV   JSON: what the browser needs in its environment, where it was unpacked by hand
// SCREENSHOTS   a folder for screenshots; none are made unless given
//
// A script prints `VIOLATION: <what>` on standard error and ends with 1 when Confab breaks a promise;
// everything else that goes wrong is a fault of the script or the machine.

import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

export const gateway = process.env.GATEWAY ?? "http://127.0.0.1:8080";
export const ops = process.env.OPS ?? "http://127.0.0.1:7402";
const PATIENCE = 60_000;

// A broken promise of Confab's.
export class Violation extends Error {}

export function check(holds, what) {
  if (!holds) throw new Violation(what);
}

export function checkEqual(found, expected, what) {
  const [is, should] = [JSON.stringify(found), JSON.stringify(expected)];
  check(is === should, `${what}: ${is}, not ${should}`);
}

// Asks again and again until the answer is true, and gives it back.
export async function eventually(what, ask, patience = PATIENCE) {
  const end = Date.now() + patience;
  let last;
  do {
    try {
      const answer = await ask();
      if (answer) return answer;
      last = undefined;
    } catch (error) {
      if (error instanceof Violation) throw error;
      last = error;
    }
    await sleep(25);
  } while (Date.now() < end);
  throw new Violation(`not in time: ${what}${last ? `: ${last}` : ""}`);
}

// Runs a script's body with a browser, says how it went, and ends the process. What the body
// returns is printed as one line of JSON.
export async function script(body) {
  let browser;
  let code = 0;
  try {
    browser = await launch();
    const report = await body(browser);
    if (report !== undefined) console.log(JSON.stringify(report));
  } catch (error) {
    code = 1;
    const label = error instanceof Violation ? "VIOLATION" : "FAULT";
    console.error(`${label}: ${error instanceof Violation ? error.message : (error.stack ?? error)}`);
  }
  await browser?.close();
  process.exit(code);
}

async function launch() {
  const args = [
    "--disable-background-networking",
    "--disable-component-update",
    // A name of another site's that leads here.
    "--host-resolver-rules=MAP rebound.test 127.0.0.1",
  ];
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    env: { ...process.env, ...JSON.parse(process.env.BROWSER_ENV || "{}") },
    // Containers have none, nor has one that was only unpacked; and no page but the tests' is opened.
    chromiumSandbox: false,
    args,
  });
}

// A page of a new visitor: with a storage of its own, as in another browser. What the page
// complains of, or the browser about the page (a script that the policy refuses, a file that is
// not there), breaks a promise, unless the options allow a text of it.
export async function visit(browser, { allow = [], ...options } = {}) {
  const context = await browser.newContext(options);
  // The whole suite runs beside it.
  context.setDefaultTimeout(2 * PATIENCE);
  const page = await context.newPage();
  watch(page, allow);
  return page;
}

const complaints = new WeakMap();

// Collects what a page complains of; `noComplaints` looks at it.
export function watch(page, allow = []) {
  const found = [];
  complaints.set(page, found);
  const note = (text) => allow.some((part) => text.includes(part)) || found.push(text);
  page.on("pageerror", (error) => note(`${error}`));
  page.on("console", (message) => message.type() === "error" && note(message.text()));
}

export function noComplaints(...pages) {
  for (const page of pages) {
    const found = complaints.get(page);
    check(found.length === 0, `the page complains: ${found.join(" | ")}`);
  }
}

// A token of dev mode. Options: device_id, session_id, lifetime_seconds.
export async function token(user, options = {}, at = gateway) {
  const answer = await fetch(`${at}/dev/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user, ...options }),
  });
  check(answer.ok, `no token for ${user}: ${answer.status}`);
  return (await answer.json()).token;
}

// Bundles a file of page/ into one script, as text: an expression for `page.evaluate`, which no
// content security policy keeps out.
export async function bundled(file) {
  const here = fileURLToPath(new URL(".", import.meta.url));
  const bundle = await build({
    entryPoints: [`${here}page/${file}`],
    bundle: true,
    write: false,
    format: "iife",
    target: "chrome120",
    alias: { gen: process.env.GEN ?? `${here}../../gateway-grpc-web/web/src/gen` },
    plugins: [oneOfEach(here)],
  });
  return bundle.outputFiles[0].text;
}

// The generated contract lives elsewhere, where there may be packages of other versions, or none.
function oneOfEach(here) {
  return {
    name: "packages of this folder",
    setup(build) {
      build.onResolve({ filter: /^@bufbuild\// }, ({ path, pluginData, kind }) =>
        pluginData === here ? undefined : build.resolve(path, { resolveDir: here, pluginData: here, kind }),
      );
    },
  };
}

// Another site: a page of nobody's, on an origin of its own. `close` ends it.
export async function otherSite(host = "127.0.0.1") {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><title>another site</title>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { origin: `http://${host}:${server.address().port}`, close: () => server.close() };
}

const orders = createInterface({ input: process.stdin });
orders.pause();

// Asks whoever runs the script to do something to Confab, and waits until it is done: `kill` (and
// start again), `stop` (and start again), `down` (and leave it), `up`.
export async function order(what) {
  orders.resume();
  const done = once(orders, "line");
  console.log(what);
  const [answer] = await done;
  orders.pause();
  if (answer !== "done") throw new Error(`${what}: ${answer}`);
}

// The sum of a metric over those of its labels that hold these texts.
export async function metric(name, ...labels) {
  const text = await (await fetch(`${ops}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(name));
  const chosen = lines.filter((line) => labels.every((label) => line.includes(label)));
  return chosen.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

export async function screenshot(page, name) {
  if (process.env.SCREENSHOTS) {
    await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
  }
}
