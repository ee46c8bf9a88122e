// Sessions against a real server, over the transport that browsers use.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { type ConversationHandle, createSession, type Session } from "../src/session/index";
import { PROGRAM, Server } from "./support/server";
import { until } from "./support/until";

const server = new Server();
const sessions: Session[] = [];
const problems: string[] = [];
const skip = PROGRAM === "" ? "CONFAB_TEST_PROGRAM names no program" : false;
if (skip) console.error(`SKIPPED: web::server: ${skip}`);

before(async () => {
  if (!skip) await server.start();
});

after(async () => {
  await Promise.allSettled(sessions.map((session) => session.close()));
  await server.remove();
});

/** A network that loses answers: the server has done what was asked, and nobody hears of it. */
function losing(every: number): typeof fetch {
  let sent = 0;
  return async (input, init) => {
    const answer = await fetch(input, init);
    if (String(input).endsWith("/SendMessage") && (sent += 1) % every === 0) {
      await answer.arrayBuffer();
      throw new TypeError("the answer is lost");
    }
    return answer;
  };
}

/** The library mends what a server leaves out; a right server gives it nothing to mend. */
afterEach(() => {
  assert.deepEqual(problems.filter((what) => what.includes("without a gap")), []);
});

async function signIn(user: string, network: typeof fetch = fetch): Promise<Session> {
  const session = await createSession({
    baseUrl: server.url,
    getToken: () => server.token(user, `${user}-device`),
    shareTabs: false,
    onProblem: (what) => {
      console.error(`${user}: ${what}`);
      problems.push(what);
    },
    fetch: network,
  });
  sessions.push(session);
  return session;
}

function texts(handle: ConversationHandle): string[] {
  return handle.getSnapshot().messages.map((message) => message.content?.text ?? "(deleted)");
}

test("two sessions chat, and each sees what the other does", { skip }, async () => {
  const [alice, bob] = await Promise.all([signIn("alice"), signIn("bob")]);
  const id = await alice.openDirect("bob");
  const hers = alice.open(id);
  await until("her conversation", () => hers.getSnapshot().status === "ready");
  hers.send({ text: "hello, bob 👋 see https://example.com" });
  assert.equal(hers.getSnapshot().pending.length, 1, "it is shown at once");
  await until("his list", () => bob.conversations.getSnapshot().items[0]?.unread === 1);
  const his = bob.open(id);
  await until("his conversation", () => texts(his).length === 1);
  const link = his.getSnapshot().messages[0]?.content?.entities.find((entity) => entity.kind === "link");
  assert.equal(link && texts(his)[0]?.slice(link.start, link.end), "https://example.com");
  await until("nothing pending", () => hers.getSnapshot().pending.length === 0);
  assert.deepEqual(texts(hers), texts(his));
  assert.equal(alice.conversations.getSnapshot().items[0]?.peerId, "bob");

  const seq = his.getSnapshot().messages[0]?.seq ?? 0;
  his.typing();
  await until("she sees him type", () => hers.getSnapshot().typing.includes("bob"));
  his.markRead(seq);
  await until("his list has nothing unread", () => bob.conversations.getSnapshot().items[0]?.unread === 0);
  await until("she sees that he read it", () => (hers.getSnapshot().receipts.get("bob")?.readSeq ?? 0) >= seq);
  await his.react(seq, "👍", true);
  await until("his reaction", () => hers.getSnapshot().messages[0]?.reactions[0]?.emoji === "👍");
  await until("his own", () => his.getSnapshot().messages[0]?.reactions[0]?.reacted === true);
  assert.equal(hers.getSnapshot().messages[0]?.reactions[0]?.reacted, false);
  his.send({ text: "hello, alice", replyToSeq: seq });
  await until("his answer", () => texts(hers).length === 2);
  await until("what it answers", () => hers.getSnapshot().quoted.get(seq)?.seq === seq);
  await hers.edit(seq, "hello, Bob");
  await until("the edit", () => texts(his)[0] === "hello, Bob");
  const answer = his.getSnapshot().messages[1]?.seq ?? 0;
  await his.delete(answer);
  await until("the deletion", () => texts(hers)[1] === "(deleted)");
  await until("presence", () => alice.presence.getSnapshot().get("bob")?.status === "online");
  hers.close();
  his.close();
});

test("kill -9 and lost answers while both write lose nothing and double nothing", { skip }, async () => {
  const [carol, dave] = await Promise.all([signIn("carol", losing(5)), signIn("dave", losing(7))]);
  const id = await carol.createGroup({ title: "survivors", userIds: ["dave"] });
  const handles = [carol.open(id), dave.open(id)];
  await until("both are in", () => handles.every((handle) => handle.getSnapshot().status === "ready"));
  const sent = new Set<string>();
  let writing = true;
  const writers = handles.map(async (handle, index) => {
    for (let count = 0; writing; count += 1) {
      const text = `${index}: ${count}`;
      sent.add(text);
      handle.send({ text });
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  });
  for (let kills = 0; kills < 2; kills += 1) {
    const before = texts(handles[0] as ConversationHandle).length;
    await until("more messages", () => texts(handles[0] as ConversationHandle).length > before + 20);
    await server.kill();
    await until("they notice", () => carol.connection.getSnapshot().status !== "online");
    await server.start();
    carol.retryNow();
    dave.retryNow();
    const both = [carol, dave];
    await until("they are back", () => both.every((one) => one.connection.getSnapshot().status === "online"));
  }
  writing = false;
  await Promise.all(writers);
  await until("everything is sent", () => handles.every((handle) => handle.getSnapshot().pending.length === 0));
  await until("both hold everything", () => handles.every((handle) => texts(handle).length >= sent.size));
  for (const handle of handles) {
    assert.deepEqual([...texts(handle)].sort(), [...sent].sort());
    const seqs = handle.getSnapshot().messages.map((message) => message.seq);
    assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b));
  }
  // The list agrees with the conversation, and so does a device that comes now.
  const late = await signIn("dave");
  const again = late.open(id);
  await until("a fresh read", () => again.getSnapshot().status === "ready");
  const held = handles[1]?.getSnapshot().messages.slice(-40);
  assert.deepEqual(again.getSnapshot().messages.slice(-40), held);
});
