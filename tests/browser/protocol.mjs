// The gateway's protocol, with three clients inside a browser: what they ask is answered, refused,
// ended and bounded as the contract says, and another site's page gets nothing.
//
// Its arguments are the parts to run; all of them when there are none.
//
// ALLOWED_ORIGIN   the port on `localhost` that the gateway's configuration allows
// DOWN             a gateway whose upstream is away, if there is one

import { createServer } from "node:http";
import { once } from "node:events";

import { bundled, check, checkEqual, eventually, gateway, metric, noComplaints, otherSite, script, token, visit } from "./lib.mjs";

const [CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED] =
  [1, 3, 4, 8, 12, 14, 16];
const CLIENTS = ["connect", "grpc-web", "nice-grpc-web"];
const BODY_BYTES = 4 * 1024 * 1024;

const code = await bundled("protocol.mjs");

// A page on the gateway's own origin, or where else it is said, with the clients in it. What the
// browser says of refusals is expected: they are what is checked.
async function pageAt(browser, where) {
  const page = await visit(browser, { allow: ["Failed to load resource", "CORS policy"] });
  await page.goto(where);
  await page.evaluate(code);
  return page;
}

const ask = (page, at, client, what, options = {}) =>
  page.evaluate(([at, client, what, options]) => globalThis.check(at, client, what, options), [at, client, what, options]);

async function calls(page, client, at = gateway) {
  const options = { token: await token(`alice-${client}`), other: `bob-${client}` };
  const { conversationId, ...first } = await ask(page, at, client, "unary", options);
  checkEqual(first, { seq: 2, text: "hello", listed: [conversationId] }, `${client}: unary`);
  options.conversationId = conversationId;

  const stream = await ask(page, at, client, "stream", { ...options, texts: ["one", "two"] });
  checkEqual(stream, { seqs: [1, 2, 3, 4], isLeft: true }, `${client}: a stream`);
  return options;
}

async function refusals(page, client, options) {
  const of = (what, more = {}) => ask(page, gateway, client, what, { ...options, ...more });
  const invalid = await of("invalid");
  checkEqual([invalid.code, invalid.reason], [INVALID_ARGUMENT, "INVALID_ARGUMENT"], `${client}: an error with details`);
  check(invalid.fields?.length > 0, `${client}: no violations in ${JSON.stringify(invalid)}`);
  for (const what of ["unauthenticated", "unauthenticatedStream"]) {
    const refused = await of(what);
    checkEqual([refused.code, refused.reason], [UNAUTHENTICATED, "MISSING_TOKEN"], `${client}: ${what}`);
  }
  const unknown = await of("unknownService");
  checkEqual([unknown.code, unknown.reason], [UNIMPLEMENTED, "UNKNOWN_METHOD"], `${client}: an unknown service`);
  // Longer than a body may be, so that the gateway refuses it; and shorter, so that the layers do.
  for (const length of [5 * 1024 * 1024, 1024 * 1024]) {
    const large = await of("tooLarge", { length });
    checkEqual([large.code, large.reason], [RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"], `${client}: ${length} bytes`);
    const limit = Number(large.metadata.limit_bytes);
    check(length > BODY_BYTES ? limit === BODY_BYTES : limit < BODY_BYTES, `${client}: refused by ${limit}`);
  }
}

async function ends(page, client, options) {
  const late = await ask(page, gateway, client, "deadline", options);
  checkEqual([late.code, late.reason], [DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"], `${client}: a deadline`);
  const stream = await ask(page, gateway, client, "streamDeadline", options);
  checkEqual([stream.code, stream.reason], [DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"], `${client}: a stream's deadline`);
  check(stream.frames > 0, `${client}: the stream brought nothing before its deadline`);
  const left = await ask(page, gateway, client, "cancel", options);
  check(left.aborted && [0, CANCELLED].includes(left.code), `${client}: cancelled with ${left.code}`);
  const open = () => metric("confab_rpc_in_flight", "RealtimeService/Subscribe");
  await eventually(`${client}: nothing of the call is left`, async () => (await open()) === 0);
}

async function contentTypes(page, options) {
  for (const type of [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web+proto; charset=utf-8",
    "application/grpc-web-text;charset=UTF-8",
  ]) {
    const answer = await page.evaluate(([at, type, options]) => globalThis.callWith(at, type, options), [gateway, type, options]);
    const base = type.includes("-text") ? "application/grpc-web-text+proto" : "application/grpc-web+proto";
    checkEqual(answer, { status: 200, type: base, good: true }, `content type ${type}`);
  }
  for (const type of ["application/json", "text/plain", "application/grpc"]) {
    const answer = await page.evaluate(([at, type, options]) => globalThis.callWith(at, type, options), [gateway, type, options]);
    checkEqual([answer.status, answer.good], [415, false], `content type ${type}`);
  }
}

// What another site's page gets: the answer's status, or "refused" by the browser.
const fetched = (page, url, init) =>
  page.evaluate(
    ([url, init]) =>
      fetch(url, init).then(
        (answer) => answer.status,
        () => "refused",
      ),
    [url, init],
  );

async function otherSites(browser) {
  const askToken = { method: "POST", headers: { "content-type": "application/json" }, body: '{"user":"alice"}' };
  const stolen = await token("alice-connect");
  // Another port, another name of this machine: both are other sites.
  for (const host of ["127.0.0.1", "localhost"]) {
    const site = await otherSite(host);
    const page = await pageAt(browser, site.origin);
    const before = await metric("confab_rpc_requests_total");
    checkEqual(await fetched(page, `${gateway}/dev/token`, askToken), "refused", `a dev token for ${site.origin}`);
    const simple = { ...askToken, headers: {} };
    checkEqual(await fetched(page, `${gateway}/dev/token`, simple), "refused", `a simple request of ${site.origin}`);
    checkEqual(await fetched(page, `${gateway}/dev`), "refused", `/dev for ${site.origin}`);
    for (const client of CLIENTS) {
      const answer = await ask(page, gateway, client, "list", { token: stolen });
      check(answer.code !== 0 && answer.reason === undefined, `${client}: a call of ${site.origin} is answered`);
    }
    checkEqual(await metric("confab_rpc_requests_total"), before, "calls that another site's pages made");
    // What it sends without being able to read the answer must do nothing either.
    const blind = await page.evaluate((url) => fetch(url, { method: "POST", mode: "no-cors", body: "{}" }).then(({ type }) => type), `${gateway}/dev/token`);
    checkEqual(blind, "opaque", "a blind request");
    check((await metric("confab_gateway_refusals_total", "WRONG_ORIGIN")) > 0, "nothing was refused");
    await page.context().close();
    site.close();
  }
}

// A name of another site's that leads to this machine: its pages are of one origin with what
// answers there, as far as the browser can tell.
async function rebinding(browser) {
  const port = new URL(gateway).port;
  const page = await visit(browser, { allow: ["Failed to load resource"] });
  const answer = await page.goto(`http://rebound.test:${port}/dev`);
  checkEqual(answer.status(), 403, "/dev under another name");
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"user":"alice"}' };
  checkEqual(await fetched(page, "/dev/token", init), 403, "a dev token under another name");
  await page.context().close();
}

async function allowedSite(browser) {
  const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html>"));
  const { port } = new URL(process.env.ALLOWED_ORIGIN);
  server.listen(Number(port), "127.0.0.1");
  await once(server, "listening");
  const page = await pageAt(browser, process.env.ALLOWED_ORIGIN);
  const preflights = await metric("confab_gateway_requests_total", 'kind="preflight"');
  for (const client of CLIENTS) {
    const options = { token: await token(`cora-${client}`), other: "dora" };
    const { conversationId } = await ask(page, gateway, client, "unary", options);
    const invalid = await ask(page, gateway, client, "invalid", { ...options, conversationId });
    checkEqual(invalid.reason, "INVALID_ARGUMENT", `${client}: details for an allowed site`);
    const refused = await ask(page, gateway, client, "unauthenticated");
    checkEqual(refused.reason, "MISSING_TOKEN", `${client}: a status alone for an allowed site`);
  }
  check((await metric("confab_gateway_requests_total", 'kind="preflight"')) > preflights, "no preflight was made");
  noComplaints(page);
  await page.context().close();
  server.close();
}

async function clients(browser) {
  const page = await pageAt(browser, gateway);
  for (const client of CLIENTS) {
    const options = await calls(page, client);
    await refusals(page, client, options);
    await ends(page, client, options);
    if (client === "connect") await contentTypes(page, options);
  }
  noComplaints(page);
  await page.context().close();
}

async function upstreamDown(browser) {
  const at = process.env.DOWN;
  const page = await pageAt(browser, at);
  for (const client of CLIENTS) {
    const answer = await ask(page, at, client, "list", { token: await token("alice", {}, at) });
    checkEqual([answer.code, answer.retries], [UNAVAILABLE, true], `${client}: upstream down`);
  }
  await page.context().close();
}

const parts = { clients, sites: otherSites, rebinding };
if (process.env.ALLOWED_ORIGIN) parts.allowed = allowedSite;
if (process.env.DOWN) parts.down = upstreamDown;
const chosen = process.argv.slice(2);

await script(async (browser) => {
  for (const part of chosen.length > 0 ? chosen : Object.keys(parts)) await parts[part](browser);
});
