// What the gateway costs: the server's CPU time for a call through it against the same call over gRPC,
// and how long an event takes to a grpc-web stream against a native one. All in one process of Confab,
// in turns, so that only ratios are read. Linux only; no packages.
//
//   cargo build --release && node gateway-grpc-web/speed.mjs target/release/confab

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const ROUNDS = Number(process.env.ROUNDS ?? 6);
const CALLS = Number(process.env.CALLS ?? 4000);
const EVENTS = Number(process.env.EVENTS ?? 400);
const IN_FLIGHT = 8;
const LIST = "/confab.conversations.v1.ConversationsService/ListConversations";
const CREATE = "/confab.conversations.v1.ConversationsService/CreateConversation";
const SEND = "/confab.messages.v1.MessagesService/SendMessage";
const SUBSCRIBE = "/confab.realtime.v1.RealtimeService/Subscribe";

// Just enough Protobuf: fields of text or nested bytes, and one enum.
const field = (number, value) => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
};
const framed = (...fields) => {
  const message = Buffer.concat(fields);
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
};

const folder = mkdtempSync(join(tmpdir(), "confab-speed-"));
const any = "127.0.0.1:0";
const server = spawn(
  process.argv[2] ?? "target/release/confab",
  ["serve", "--listen", any, "--mesh-listen", any, "--ops-listen", any, "--gateway-listen", any,
    "--data-dir", join(folder, "data"), "--addresses", join(folder, "addresses")],
  { stdio: ["ignore", "ignore", "inherit"] },
);
while (!existsSync(join(folder, "addresses"))) {
  if (server.exitCode !== null) throw new Error("the server did not start");
  await sleep(50);
}
const at = JSON.parse(readFileSync(join(folder, "addresses"), "utf8"));

const token = async (user) => {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ user }) };
  return (await (await fetch(`http://${at.gateway}/dev/token`, init)).json()).token;
};
const headers = (type, token) => ({ "content-type": type, authorization: `Bearer ${token}` });

// A stream over HTTP/2: what it brings goes to `heard`.
function overHttp2(session, type, path, token, body, heard) {
  return new Promise((resolve, reject) => {
    const te = type === "application/grpc" ? { te: "trailers" } : {};
    const stream = session.request({ ":method": "POST", ":path": path, ...te, ...headers(type, token) });
    const chunks = [];
    stream.on("data", (data) => (heard ? heard(data) : chunks.push(data)));
    stream.on("end", () => resolve(Buffer.concat(chunks)));
    stream.on("error", reject);
    stream.end(body);
  });
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const [host, port] = at.gateway.split(":");
function overHttp1(path, token, body, heard) {
  return new Promise((resolve, reject) => {
    const all = { ...headers("application/grpc-web+proto", token), "content-length": body.length };
    const request = http.request({ host, port, path, method: "POST", agent, headers: all }, (answer) => {
      const chunks = [];
      answer.on("data", (data) => (heard ? heard(data) : chunks.push(data)));
      answer.on("end", () => resolve(Buffer.concat(chunks)));
      answer.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

const direct = http2.connect(`http://${at.public}`);
const web = http2.connect(`http://${at.gateway}`);
const ways = {
  gRPC: (path, token, body, heard) => overHttp2(direct, "application/grpc", path, token, body, heard),
  "grpc-web over HTTP/1.1": overHttp1,
  "grpc-web over HTTP/2": (path, token, body, heard) =>
    overHttp2(web, "application/grpc-web+proto", path, token, body, heard),
};

// User and system time of the server, in milliseconds.
function cpu() {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function callsCost() {
  const alice = await token("alice");
  const costs = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [name, call] of Object.entries(ways)) {
      const before = cpu();
      let left = CALLS;
      const worker = async () => {
        while (left-- > 0) await call(LIST, alice, framed());
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
      // The first round warms it up.
      if (round > 0) costs[name].push(((cpu() - before) * 1000) / CALLS);
    }
  }
  report("server CPU for a call, µs", costs);
}

async function eventsTake() {
  const alice = await token("alice");
  const create = framed(field(1, "open"), Buffer.from([2 << 3, 1]), field(3, "bob"));
  const created = (await ways.gRPC(CREATE, alice, create)).toString("latin1");
  const id = created.match(/[0-9a-f]{32}/)[0];
  const hello = framed(field(1, field(2, field(1, id))));
  const took = {};
  let waiting;
  for (const name of Object.keys(ways)) {
    took[name] = [];
    const listener = await token(`bob`);
    ways[name](SUBSCRIBE, listener, hello, (data) => {
      if (!waiting || !data.includes(waiting.id)) return;
      took[name].push(performance.now() - waiting.since);
      if ((waiting.left -= 1) === 0) waiting.done();
    }).catch(() => {});
  }
  await sleep(1000);
  for (let number = 0; number < EVENTS; number += 1) {
    const request = `request-${number}-`;
    const heard = new Promise((done) => {
      waiting = { id: request, since: performance.now(), left: Object.keys(ways).length, done };
    });
    const send = framed(field(1, id), field(2, request), field(4, field(1, "hello")));
    await Promise.all([ways.gRPC(SEND, alice, send), heard]);
  }
  report("an event from the send to the stream, ms", took);
}

function report(what, values) {
  const base = median(values.gRPC);
  console.log(what);
  for (const [name, all] of Object.entries(values)) {
    const middle = median(all);
    console.log(`  ${name.padEnd(24)} ${middle.toFixed(2).padStart(9)}   × ${(middle / base).toFixed(2)}`);
  }
}

try {
  await callsCost();
  await eventsTake();
} finally {
  server.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
