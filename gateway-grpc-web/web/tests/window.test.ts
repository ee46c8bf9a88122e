// A long conversation keeps a small window, wherever it is.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { FakeServer } from "./support/fake";
import { ready, signIn, signOutAll } from "./support/sign-in";
import { until } from "./support/until";

afterEach(signOutAll);

const LENGTH = 100_000;
const BOUND = 450;

function fill(server: FakeServer, count: number) {
  const log = server.room("room", ["alice", "bob"]);
  log.fill(count);
  return log;
}

test("100,000 messages: the window stays small while it moves and while the log grows", async () => {
  const server = new FakeServer();
  const log = fill(server, LENGTH);
  const session = await signIn(server, "alice");
  const handle = session.open("room");
  await ready(handle);
  const check = () => {
    const { messages } = handle.getSnapshot();
    assert.ok(messages.length <= BOUND, `${messages.length} messages`);
    const ordinals = messages.map((message) => message.ordinal);
    assert.deepEqual(ordinals, ordinals.map((_, index) => (ordinals[0] ?? 0) + index), "without a hole");
  };
  check();
  handle.setFollowing(false);
  for (let pages = 0; pages < 30; pages += 1) {
    await handle.loadOlder();
    check();
  }
  assert.equal(handle.getSnapshot().hasNewer, true);
  assert.ok(handle.getSnapshot().newerCount > 1_000);
  log.send("bob", "news");
  await until("it is counted", () => handle.getSnapshot().appliedSeq === log.head);
  check();
  assert.equal(await handle.jumpTo(50_000), true);
  check();
  assert.ok(handle.getSnapshot().messages.some((message) => message.seq === 50_000));
  for (let pages = 0; pages < 12; pages += 1) {
    await handle.loadNewer();
    check();
  }
  await handle.jumpToLatest();
  check();
  assert.equal(handle.getSnapshot().hasNewer, false);
  assert.equal(handle.getSnapshot().messages.at(-1)?.content?.text, "news");
  for (let index = 0; index < 1_000; index += 1) log.send("bob", `more ${index}`);
  await until("they are applied", () => handle.getSnapshot().appliedSeq === log.head);
  check();
  assert.equal(handle.getSnapshot().messages.at(-1)?.content?.text, "more 999");
});

test("who reads elsewhere is not moved by what is written, and finds the end again", async () => {
  const server = new FakeServer();
  const log = fill(server, 600);
  const session = await signIn(server, "alice");
  const handle = session.open("room");
  await ready(handle);
  handle.setFollowing(false);
  while (handle.getSnapshot().messages.length < 400) await handle.loadOlder();
  const first = handle.getSnapshot().messages[0]?.seq;
  for (let index = 0; index < 100; index += 1) log.send("bob", `while reading ${index}`);
  await until("they are applied", () => handle.getSnapshot().appliedSeq === log.head);
  const { messages, newerCount, hasNewer } = handle.getSnapshot();
  assert.equal(messages[0]?.seq, first);
  assert.equal(hasNewer, true);
  assert.equal((messages.at(-1)?.ordinal ?? 0) + newerCount, 700);
  while (handle.getSnapshot().hasNewer) await handle.loadNewer();
  assert.equal(handle.getSnapshot().messages.at(-1)?.ordinal, 700);
  assert.equal(await handle.jumpTo(10), true);
  assert.equal(await handle.jumpTo(99_999), false, "there is none");
});
