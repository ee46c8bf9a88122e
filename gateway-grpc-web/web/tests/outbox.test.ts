// A message that is sent is shown at once, and exactly once, whatever becomes of the answers.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { FakeServer, refused } from "./support/fake";
import { memoryStorage, ready, showsAll, signIn, signOutAll, texts } from "./support/sign-in";
import { until } from "./support/until";

afterEach(signOutAll);

/** Every snapshot that somebody who looks gets: no text may ever be shown twice in one. */
function watchForDoubles(handle: Awaited<ReturnType<typeof opened>>["handle"]): string[] {
  const doubles: string[] = [];
  handle.subscribe(() => {
    const { messages, pending } = handle.getSnapshot();
    const shown = [...messages.map((message) => message.content?.text), ...pending.map((message) => message.text)];
    if (new Set(shown).size !== shown.length) doubles.push(shown.join());
  });
  return doubles;
}

async function opened(server: FakeServer, storage = memoryStorage()) {
  if (!server.logs.has("room")) server.room("room", ["alice", "bob"]);
  const session = await signIn(server, "alice", { storage });
  const handle = session.open("room");
  await ready(handle);
  return { session, handle, log: server.logs.get("room")!, storage };
}

test("the event confirms it, before the answer or after it", async () => {
  for (const order of ["event first", "answer first"]) {
    const server = new FakeServer();
    const { handle, log } = await opened(server);
    const doubles = watchForDoubles(handle);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    if (order === "event first") server.after = (method) => (method === "sendMessage" ? held : undefined);
    else server.pushes = () => false;
    const pending = handle.send({ text: "once" });
    assert.deepEqual(handle.getSnapshot().pending.map((one) => one.requestId), [pending.requestId]);
    if (order === "event first") {
      await until("it is a message", () => texts(handle).includes("once"));
      assert.deepEqual(handle.getSnapshot().pending, []);
      release();
    } else {
      // The stream did not bring it: the answer says that it is there, and it is paged.
      await until("it is a message", () => texts(handle).includes("once"));
    }
    await showsAll(server, handle, "alice");
    assert.equal(log.messages.size, 1);
    assert.deepEqual(doubles, []);
    await signOutAll();
  }
});

test("a lost answer is asked for again under the same id", async () => {
  const server = new FakeServer();
  const { handle, log } = await opened(server);
  const doubles = watchForDoubles(handle);
  let losses = 0;
  server.after = (method) => {
    if (method === "sendMessage" && (losses += 1) <= 2) throw new ConnectError("lost", Code.Unavailable);
  };
  handle.send({ text: "first" });
  handle.send({ text: "second" });
  await until("both are there", () => texts(handle).length === 2);
  await until("the retries", () => server.calls.filter((name) => name === "sendMessage").length >= 4);
  await showsAll(server, handle, "alice");
  assert.deepEqual(texts(handle), ["first", "second"]);
  assert.equal(log.messages.size, 2);
  assert.deepEqual(doubles, []);
});

test("what is refused fails, and can be retried or discarded", async () => {
  const server = new FakeServer();
  const { handle, log } = await opened(server);
  let muted = true;
  server.before = (method) => {
    if (method === "sendMessage" && muted) throw refused(Code.PermissionDenied, "MUTED");
  };
  handle.send({ text: "one" });
  handle.send({ text: "two" });
  await until("both failed", () => handle.getSnapshot().pending.every((one) => one.state === "failed"));
  const [one, two] = handle.getSnapshot().pending;
  assert.equal(one?.error?.reason, "MUTED");
  handle.discard(one?.requestId ?? "");
  muted = false;
  handle.retry(two?.requestId ?? "");
  await until("the other one", () => texts(handle).length === 1);
  await showsAll(server, handle, "alice");
  assert.deepEqual(texts(handle), ["two"]);
  assert.equal(log.messages.size, 1);
});

test("what was not settled when the page went away is settled by the next one, once", async () => {
  const server = new FakeServer();
  const { session, handle, log, storage } = await opened(server);
  // It arrives, and nobody ever hears of it.
  server.pushes = () => false;
  server.after = (method) => {
    if (method !== "sendMessage") return;
    server.down = true;
    server.cut();
    throw new ConnectError("lost", Code.Unavailable);
  };
  const { requestId } = handle.send({ text: "did it arrive?" });
  await until("it arrived", () => log.messages.size === 1);
  await session.close();
  assert.ok([...storage.values.values()].some((value) => value.includes(requestId)));
  server.after = () => undefined;
  server.down = false;
  // The next page, before anybody opens the conversation.
  await signIn(server, "alice", { storage });
  await until("it is settled", () => ![...storage.values.values()].some((value) => value.includes(requestId)));
  assert.equal(log.messages.size, 1);
  assert.equal(log.events.at(-1)?.requestId, requestId);
});

test("what was refused waits for its writer, also after a reload", async () => {
  const server = new FakeServer();
  const { session, handle, log, storage } = await opened(server);
  server.before = (method) => {
    if (method === "sendMessage") throw refused(Code.PermissionDenied, "MUTED");
  };
  handle.send({ text: "in anger" });
  await until("it failed", () => handle.getSnapshot().pending[0]?.state === "failed");
  await session.close();
  server.before = () => undefined;
  const next = await opened(server, storage);
  next.handle.send({ text: "calm" });
  await until("the other one", () => texts(next.handle).includes("calm"));
  assert.deepEqual(next.handle.getSnapshot().pending.map((one) => [one.text, one.state]), [["in anger", "failed"]]);
  assert.equal(log.messages.size, 1);
});

test("what was written before the server was restored from a backup can still be sent", async () => {
  const server = new FakeServer();
  const { session, handle, storage } = await opened(server);
  handle.send({ text: "lost with the server" });
  await until("it is there", () => texts(handle).length === 1);
  server.down = true;
  server.cut();
  handle.send({ text: "kept by the browser" });
  await session.close();
  // Its logs are shorter than what the browser has seen of them.
  const next = await opened(new FakeServer(), storage);
  const pending = () => next.handle.getSnapshot().pending;
  await until("it was refused", () => pending()[0]?.state === "failed");
  assert.equal(pending()[0]?.error?.reason, "AFTER_SEQ_ABOVE_HEAD");
  next.handle.retry(pending()[0]?.requestId ?? "");
  await until("it arrives", () => texts(next.handle).includes("kept by the browser"));
  assert.equal(next.log.messages.size, 1);
});
