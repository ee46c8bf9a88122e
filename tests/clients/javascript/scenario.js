// The scenario that every client of Confab must pass, for the client beside it.
//
// Two users chat over Connect and two over Subscribe while whoever runs this kills the server with
// SIGKILL (asked for by a line `kill` on standard output), later stops it with SIGTERM (`stop`), and
// starts it again each time on the same port. Each device must be brought every event once, in
// order. Last comes one line of JSON with what they saw. tests/suite/clients is who runs this.
//
//     PROTO=proto TOKENS='{"USER": "TOKEN", …}' node scenario.js ADDRESS [LONG_CONVERSATION_ID]

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { Confab, loadContract } from "./confab-client.js";
import { BrokenContract, Stream } from "./confab-stream.js";

const [ADDRESS, ...LONG_CONVERSATIONS] = process.argv.slice(2);
const TOKENS = JSON.parse(process.env.TOKENS);
const CONTRACT = loadContract(process.env.PROTO);
// Events between two things that happen to the server; in milliseconds the pause between two
// messages of a user, and how long something may take.
const ROUND = 20;
const PAUSE = 10;
const LIMIT = 60_000;

// A promise is broken.
class Violation extends Error {}

function check(condition, what) {
  if (!condition) throw new Violation(what);
}

// Waits for it.
async function until(condition, what) {
  const ends = Date.now() + LIMIT;
  while (!condition()) {
    check(Date.now() < ends, `not within ${LIMIT} ms: ${what}`);
    await sleep(PAUSE);
  }
}

// What goes wrong anywhere ends everything.
function started(task) {
  task.catch(end);
  return task;
}

function end(error) {
  const broken = error instanceof Violation || error instanceof BrokenContract;
  console.error(broken ? `VIOLATION: ${error.message}` : error);
  process.exit(1);
}

// Lets nobody pass before everybody is there; tells the last one.
class Barrier {
  #waiting = [];
  constructor(parties) {
    this.parties = parties;
  }

  wait() {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length < this.parties) return;
      this.#waiting.forEach((pass, index) => pass(index === 0));
      this.#waiting = [];
    });
  }
}

// A stream that notes what it does by itself.
class Observed extends Stream {
  sessions = [];
  pauses = [];
  gaps = 0;
  unknownFrames = 0;

  async open() {
    await super.open();
    this.sessions.push(this.sessionId);
    this.resumedAt = new Map(this.brought);
  }

  async nextFrame(limit) {
    const [kind, frame] = await super.nextFrame(limit);
    if (kind === undefined) this.unknownFrames += 1;
    return [kind, frame];
  }

  async pause(refused, delay) {
    this.pauses.push({ reason: refused.reason, asked: refused.retryAfter, delay });
    await super.pause(refused, delay);
  }

  async *page(topic, to) {
    this.gaps += 1;
    yield* super.page(topic, to);
  }
}

// One device of a user, and the logs as its stream brought them.
class Device {
  constructor(user, cursors, options = {}) {
    this.user = user;
    this.confab = new Confab(CONTRACT, ADDRESS, () => TOKENS[user]);
    this.stream = new Observed(this.confab, cursors, options);
    this.logs = new Map();
    if (options.sessionId) this.stream.sessionId = options.sessionId;
    this.task = started(this.follow());
  }

  async follow() {
    for await (const [kind, update] of this.stream) {
      if (kind === "inbox" && update.kind === "joined") this.stream.watch(update.conversation_id);
      if (kind === "event") this.take(update);
      check(kind !== "gap", `${this.user} may see everything`);
    }
  }

  take(event) {
    const id = event.conversation_id;
    if (!this.logs.has(id)) this.logs.set(id, []);
    const log = this.logs.get(id);
    const due = 1 + (log.length > 0 ? log.at(-1).seq : this.stream.cursors.get(id));
    check(event.seq === due, `${this.user}: event ${event.seq} came where ${due} is due`);
    log.push(event);
  }

  count(conversation) {
    return this.logs.get(conversation)?.length ?? 0;
  }

  async end() {
    await this.stream.close();
    await this.task;
  }
}

// Sends until told to stop, whatever the server does.
async function talk(device, conversation, sent, stop) {
  while (!stop.aborted) {
    const text = `${device.user}: ${sent.size}`;
    const message = await device.confab.send(conversation, text);
    check(!sent.has(message.request_id), "a request id came twice");
    sent.set(message.request_id, message.seq);
    await sleep(PAUSE);
  }
}

async function chat(subscribe, barrier) {
  const way = subscribe ? "subscribe" : "connect";
  // She hears by her inbox of a conversation that begins while she is connected, and goes on by
  // cursors; he by the session.
  const alice = new Device(`alice-${way}`, {}, { subscribe });
  await until(() => alice.stream.connections > 0, "the first welcome");
  const conversation = await create(alice, `bob-${way}`);
  const bob = new Device(`bob-${way}`, { [conversation]: 0 }, { subscribe, resumeSession: true });
  const devices = [alice, bob];
  await until(() => devices.every((device) => device.count(conversation) > 0), "the first event");
  await sendTwice(bob, conversation);
  await reactAndRead(bob, conversation);

  const sent = new Map();
  const stop = new AbortController();
  const talks = devices.map((one) => started(talk(one, conversation, sent, stop.signal)));
  await anotherRound(devices, conversation);
  for (const what of ["kill", "stop"]) {
    const before = devices.map((device) => device.stream.connections);
    if (await barrier.wait()) console.log(what);
    // Both are connected again, and hear more.
    const again = () => devices.every(({ stream }, index) => stream.connections > before[index]);
    await until(again, "new connections");
    await anotherRound(devices, conversation);
  }
  stop.abort();
  await Promise.all(talks);
  return { conversation, alice, bob, sent };
}

async function create({ confab }, other) {
  const request = {
    request_id: randomUUID(),
    type: "CONVERSATION_TYPE_GROUP",
    participant_ids: [other],
    title: "two users chat",
  };
  const answer = await confab.call(confab.conversations, "CreateConversation", request);
  return answer.conversation.conversation_id;
}

// What is sent again with the same ids is the same message.
async function sendTwice({ confab }, conversation) {
  const ids = { request_id: randomUUID(), after_seq: 1 };
  const first = await confab.send(conversation, "once", ids);
  const again = await confab.send(conversation, "once", ids);
  const same = first.seq === 2 && again.seq === 2;
  check(same, `one request is the messages ${first.seq} and ${again.seq}`);
}

// What a client of an older contract has no names for: an event and a frame.
async function reactAndRead({ confab }, conversation) {
  const id = { conversation_id: conversation };
  const reaction = { ...id, request_id: randomUUID(), message_seq: 2, emoji: "+" };
  await confab.call(confab.messages, "AddReaction", reaction);
  await confab.call(confab.messages, "MarkRead", { ...id, read_seq: 2 });
}

async function anotherRound(devices, conversation) {
  const due = devices.map((device) => device.count(conversation) + ROUND);
  const come = () => devices.every((device, index) => device.count(conversation) >= due[index]);
  await until(come, `${ROUND} more events`);
}

// Another life of his application: it kept its cursors and the session's id.
async function resumeBySession(bob, alice, conversation) {
  await bob.end();
  const { cursors, sessionId, subscribe } = bob.stream;
  const options = { subscribe, resumeSession: true, sessionId };
  const later = new Device(bob.user, Object.fromEntries(cursors), options);
  const message = await alice.confab.send(conversation, "are you back?");
  await until(() => later.count(conversation) > 0, "what was said meanwhile");
  check(later.logs.get(conversation)[0].seq === message.seq, "it goes on after what was stored");
  check(later.stream.sessionId === sessionId, "the session was not resumed");
  const at = later.stream.resumedAt.get(conversation);
  const stored = cursors.get(conversation);
  check(at === stored, `the session is at ${at}, but ${stored} was acknowledged`);
  return later;
}

// A session that nobody knows: everything comes by cursors.
async function loseSession(bob, conversation, head) {
  const { subscribe } = bob.stream;
  const options = { subscribe, resumeSession: true, sessionId: randomUUID() };
  const device = new Device(bob.user, { [conversation]: 0 }, options);
  await until(() => device.count(conversation) === head, "everything, by cursors");
  return device;
}

// What the streams brought is what the log says, and what was acknowledged is in it once.
async function finish({ conversation, alice, bob, sent }) {
  const later = await resumeBySession(bob, alice, conversation);
  const head = later.logs.get(conversation).at(-1).seq;
  await until(() => alice.count(conversation) === head, "her last event");
  const lost = await loseSession(bob, conversation, head);
  const brought = [[alice], [bob, later], [lost]].map((devices) =>
    devices.flatMap((device) => device.logs.get(conversation)),
  );
  const readers = brought.map((log) => log.map(({ seq, request_id }) => [seq, request_id]));
  for (const log of readers) checkLog(log, head, sent);
  checkStreams(alice.stream, bob.stream);
  const unknown = {
    unknown_kinds: brought[0].filter((event) => event.kind === undefined).length,
    unknown_frames: alice.stream.unknownFrames,
  };
  for (const device of [alice, later, lost]) await device.end();
  return { conversation, readers, sent: Object.fromEntries(sent), ...unknown };
}

function checkLog(log, head, sent) {
  const dense = log.length === head && log.every(([seq], index) => seq === index + 1);
  check(dense, "the log has a hole");
  const places = new Map(log.map(([seq, requestId]) => [requestId, seq]));
  check(places.size === log.length, "a request is there twice");
  for (const [requestId, seq] of sent) {
    check(places.get(requestId) === seq, `message ${seq} is missing`);
  }
}

function checkStreams(byCursors, bySession) {
  const sessions = ({ sessions }) => new Set(sessions).size;
  const resumed = bySession.sessions.length > 2 && sessions(bySession) === 1;
  check(resumed, "he resumes his session");
  check(sessions(byCursors) > 2, "she resumes by cursors");
  for (const { pauses } of [byCursors, bySession]) {
    const obeyed = pauses.some((at) => at.reason === "DRAINING" && at.delay === at.asked);
    check(obeyed, "the server said when to come back");
  }
}

// More than the server pushes: it announces a gap, which is paged.
async function readLong(conversation) {
  const device = new Device("late", { [conversation]: 0 });
  const head = await device.confab.head(conversation);
  await until(() => device.count(conversation) === head, "the long conversation");
  check(device.stream.gaps > 0, "no gap was announced");
  await device.end();
}

async function main() {
  for (const conversation of LONG_CONVERSATIONS) await readLong(conversation);
  const barrier = new Barrier(2);
  const chatted = await Promise.all([false, true].map((subscribe) => chat(subscribe, barrier)));
  const report = [];
  for (const chat of chatted) report.push(await finish(chat));
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

main().catch(end);
