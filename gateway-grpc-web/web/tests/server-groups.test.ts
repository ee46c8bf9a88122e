// Groups, channels, threads and pins on a real server: what each sees, and what each may.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type ConversationHandle, createSession, type Session, type SessionError } from "../src/session/index";
import { PROGRAM, Server } from "./support/server";
import { until } from "./support/until";

const server = new Server();
const sessions: Session[] = [];
const skip = PROGRAM === "" ? "CONFAB_TEST_PROGRAM names no program" : false;

before(async () => {
  if (!skip) await server.start();
});

after(async () => {
  await Promise.allSettled(sessions.map((session) => session.close()));
  await server.remove();
});

async function signIn(user: string): Promise<Session> {
  const getToken = () => server.token(user, `${user}-device`);
  const session = await createSession({ baseUrl: server.url, getToken, shareTabs: false, onProblem: (what) => console.error(user, what) });
  sessions.push(session);
  return session;
}

async function ready(handle: ConversationHandle): Promise<ConversationHandle> {
  await until("it is read", () => handle.getSnapshot().status === "ready");
  return handle;
}

function people(handle: ConversationHandle): string {
  return handle.getSnapshot().participants.map(({ userId, role }) => `${userId}:${role}`).join(" ");
}

/** What somebody sees who followed all of it is what somebody sees who comes now. */
async function agrees(user: string, handle: ConversationHandle): Promise<void> {
  const fresh = await signIn(user);
  const again = await ready(fresh.open(handle.conversationId));
  await until("both are at the same event", () => handle.getSnapshot().appliedSeq === again.getSnapshot().appliedSeq);
  await until("its pins", () => again.getSnapshot().pins.length === handle.getSnapshot().pins.length);
  const [shown, read] = [handle.getSnapshot(), again.getSnapshot()];
  assert.deepEqual(shown.conversation, read.conversation);
  assert.deepEqual(shown.participants, read.participants);
  assert.deepEqual(shown.messages.slice(-read.messages.length), read.messages);
  assert.deepEqual(shown.pins, read.pins);
  await fresh.close();
}

test("people are added, ranked, muted, removed and come back", { skip }, async () => {
  const [alice, bob, carol] = await Promise.all([signIn("alice"), signIn("bob"), signIn("carol")]);
  const id = await alice.createGroup({ title: "group", userIds: ["bob"] });
  const hers = await ready(alice.open(id));
  await until("his list", () => bob.conversations.getSnapshot().items.some((item) => item.conversationId === id));
  const his = await ready(bob.open(id));
  assert.equal(his.getSnapshot().rights.addPeople, false);
  await hers.setRole("bob", "admin");
  await until("he may add people", () => his.getSnapshot().rights.addPeople);
  await his.addPeople(["carol"]);
  await until("carol's list", () => carol.conversations.getSnapshot().items.length === 1);
  const carols = await ready(carol.open(id));
  assert.equal(people(carols), "alice:owner bob:admin carol:member");
  await his.mute("carol", true);
  await until("she may not write", () => carols.getSnapshot().rights.obstacle === "muted");
  carols.send({ text: "let me speak" });
  await until("it is refused", () => carols.getSnapshot().pending[0]?.error?.reason === "MUTED");
  await his.mute("carol", false);
  await until("she may write", () => carols.getSnapshot().rights.write);
  carols.retry(carols.getSnapshot().pending[0]?.requestId ?? "");
  await until("it arrives", () => hers.getSnapshot().messages.at(-1)?.content?.text === "let me speak");
  await assert.rejects(carols.update({ title: "mine" }), (error: SessionError) => error.reason === "ROLE_TOO_LOW");
  await his.update({ title: "renamed" });
  await until("the title", () => alice.conversations.getSnapshot().items[0]?.conversation.title === "renamed");

  await his.removePerson("carol");
  await until("her list is empty", () => carol.conversations.getSnapshot().items.length === 0);
  await until("it is gone for her", () => carols.getSnapshot().status === "gone");
  hers.send({ text: "she does not hear this" });
  await hers.update({ historyVisibility: "from-join" });
  await hers.addPeople(["carol"]);
  await until("she is back", () => carols.getSnapshot().status === "ready");
  hers.send({ text: "welcome back" });
  await until("she hears", () => carols.getSnapshot().messages.at(-1)?.content?.text === "welcome back");
  const heard = carols.getSnapshot().messages.map((message) => message.content?.text);
  assert.deepEqual(heard, ["let me speak", "welcome back"]);
  for (const [user, handle] of [["alice", hers], ["bob", his], ["carol", carols]] as const) await agrees(user, handle);

  await hers.transferOwnership("bob");
  await until("he owns it", () => his.getSnapshot().rights.deleteConversation);
  await hers.leave();
  await until("it is gone for alice", () => hers.getSnapshot().status === "gone");
  await his.archive(true);
  await until("it is read-only", () => carols.getSnapshot().rights.obstacle === "archived");
  await his.archive(false);
  await his.deleteConversation();
  await until("it is in no list", () => carol.conversations.getSnapshot().items.length === 0);
  await until("it says so", () => carols.getSnapshot().rights.obstacle === "deleted");
  await his.restore();
  await until("it is there again", () => carol.conversations.getSnapshot().items.length === 1);
  await carols.leave();
  await his.leave();
});

test("threads, pins, quotes and a long history", { skip }, async () => {
  const [dora, emil] = await Promise.all([signIn("dora"), signIn("emil")]);
  const id = await dora.createGroup({ title: "long", userIds: ["emil"] });
  const hers = await ready(dora.open(id));
  for (let index = 0; index < 130; index += 1) hers.send({ text: `message ${index}` });
  await until("all are sent", () => hers.getSnapshot().pending.length === 0);
  const his = await ready(emil.open(id));
  const { messages, hasOlder } = his.getSnapshot();
  assert.equal(messages.length, 50);
  assert.equal(hasOlder, true);
  const first = hers.getSnapshot().messages[0]?.seq ?? 0;
  await hers.pin(first, true);
  his.send({ text: "in the thread", threadSeq: first });
  his.send({ text: "an answer", replyToSeq: first });
  await until("the pin, read beside the window", () => his.getSnapshot().pins[0]?.seq === first);
  await until("the quote", () => his.getSnapshot().quoted.get(first)?.content?.text === "message 0");
  const thread = hers.openThread(first);
  await until("the thread", () => thread.getSnapshot().messages.length === 1);
  assert.equal(thread.getSnapshot().root?.thread?.replyCount, 1);
  his.send({ text: "once more", threadSeq: first });
  await until("it goes on", () => thread.getSnapshot().messages.length === 2);
  await his.edit(thread.getSnapshot().messages[0]?.seq ?? 0, "edited in the thread");
  await until("the edit", () => thread.getSnapshot().messages[0]?.content?.text === "edited in the thread");
  thread.close();
  while (his.getSnapshot().hasOlder) await his.loadOlder();
  assert.equal(his.getSnapshot().messages.length, 133);
  const ordinals = his.getSnapshot().messages.map((message) => message.ordinal);
  assert.deepEqual(ordinals, ordinals.map((_, index) => index + 1));
  await agrees("emil", his);
  await hers.pin(first, false);
  await until("no pin", () => his.getSnapshot().pins.length === 0);
});

test("channels, settings, blocks and names", { skip }, async () => {
  const [fred, gina] = await Promise.all([signIn("fred"), signIn("gina")]);
  const id = await fred.createChannel({ title: "announcements", public: true });
  const his = await ready(fred.open(id));
  his.send({ text: "first" });
  const [channel] = await gina.listChannels("announ");
  assert.equal(channel?.joined, false);
  await gina.joinChannel(id);
  const hers = await ready(gina.open(id));
  assert.equal(hers.getSnapshot().rights.obstacle, "channel");
  assert.equal(hers.getSnapshot().rights.react, true);
  const seq = hers.getSnapshot().messages[0]?.seq ?? 0;
  await hers.react(seq, "🎉", true);
  await hers.react(seq, "🎉", true);
  await until("her reaction", () => his.getSnapshot().messages[0]?.reactions[0]?.count === 1);

  await gina.setSettings(id, { muted: true, favourite: true });
  const other = await signIn("gina");
  await until("on the other device", () => other.conversations.getSnapshot().items[0]?.settings.favourite === true);
  await gina.setSettings(id, { favourite: false });
  await until("it follows", () => other.conversations.getSnapshot().items[0]?.settings.favourite === false);
  assert.equal(other.conversations.getSnapshot().unread, 0, "muted ones do not count");

  await gina.setDisplayName("Gina G.");
  fred.person("gina");
  await until("her name", () => fred.people.getSnapshot().get("gina")?.displayName === "Gina G.");
  assert.deepEqual((await fred.searchPeople("gina")).map((one) => one.userId), ["gina"]);
  const direct = await ready(fred.open(await fred.openDirect("gina")));
  await gina.blockPerson("fred", true);
  await until("he cannot write", () => direct.getSnapshot().rights.obstacle === "blocked");
  assert.deepEqual(await gina.listBlocked(), ["fred"]);
  await gina.blockPerson("fred", false);
  await until("he can", () => direct.getSnapshot().rights.write);
});

test("a read mark on one device reaches the other", { skip }, async () => {
  const [hugo, ida] = await Promise.all([signIn("hugo"), signIn("ida")]);
  const id = await hugo.openDirect("ida");
  const his = await ready(hugo.open(id));
  for (const text of ["one", "two @ida", "three"]) his.send({ text });
  const phone = await signIn("ida");
  const item = (session: Session) => session.conversations.getSnapshot().items[0];
  await until("three are unread", () => [ida, phone].every((one) => item(one)?.unread === 3 && item(one)?.mentions === 1));
  const hers = await ready(ida.open(id));
  hers.markRead(hers.getSnapshot().messages[1]?.seq ?? 0);
  await until("one is left", () => [ida, phone].every((one) => item(one)?.unread === 1 && item(one)?.mentions === 0));
  assert.equal(hers.getSnapshot().readSeqAtOpen, 1);
  await until("he sees it", () => his.getSnapshot().receipts.get("ida")?.readSeq === hers.getSnapshot().messages[1]?.seq);
  const last = hers.getSnapshot().messages[2]?.seq;
  await until("and that the last one has arrived", () => his.getSnapshot().receipts.get("ida")?.deliveredSeq === last);
  hers.send({ text: "four" });
  await until("his own are read, hers is not", () => item(hugo)?.unread === 1);
});
