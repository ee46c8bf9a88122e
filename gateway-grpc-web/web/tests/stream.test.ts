// The stream: every event once and in order, whatever happens to connections, sessions and tokens.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { FakeServer, token } from "./support/fake";
import { below, seeded } from "./support/random";
import { ready, showsAll, signIn, signOutAll, texts } from "./support/sign-in";
import { until } from "./support/until";

afterEach(signOutAll);

test("a cut stream resumes by its session, and by cursors when that is lost", async () => {
  const server = new FakeServer();
  const log = server.room("room", ["alice", "bob"]);
  const problems: string[] = [];
  const session = await signIn(server, "alice", { problems });
  const handle = session.open("room");
  await ready(handle);
  await until("online", () => session.connection.getSnapshot().status === "online");
  for (const loses of [false, true]) {
    const before = server.streams.length;
    if (loses) server.sessions.clear();
    server.cut();
    for (let count = 0; count < 5; count += 1) log.send("bob", `while away ${loses} ${count}`);
    session.retryNow();
    await until("another stream", () => server.streams.length > before);
    log.send("bob", `live ${loses}`);
    await showsAll(server, handle, "alice");
  }
  const ids = server.streams.filter((stream) => stream.user === "alice").map((stream) => stream.session.id);
  assert.equal(new Set(ids.slice(0, 3)).size < ids.slice(0, 3).length, true, "the first break kept the session");
  assert.equal(texts(handle).length, 12);
  assert.deepEqual(problems, []);
});

test("gaps are paged, and where a part is hidden the snapshot is read anew", async () => {
  for (const hides of [false, true]) {
    const server = new FakeServer();
    server.gapAbove = 3;
    const log = server.room("room", ["alice", "bob"]);
    const session = await signIn(server, "alice");
    const handle = session.open("room");
    await ready(handle);
    await until("it is watched", () => server.open.some((stream) => stream.watching.has("room")));
    server.down = true;
    server.cut();
    await until("offline", () => session.connection.getSnapshot().status !== "online");
    for (let count = 0; count < 20; count += 1) log.send("bob", `away ${count}`);
    if (hides) log.hidden = [4, 10];
    server.down = false;
    session.retryNow();
    await showsAll(server, handle, "alice");
    assert.equal(texts(handle).length, hides ? 13 : 20);
    await signOutAll();
  }
});

test("events that a server leaves out without a word are noticed and read", async () => {
  const server = new FakeServer();
  const log = server.room("room", ["alice", "bob"]);
  const problems: string[] = [];
  const session = await signIn(server, "alice", { problems });
  const handle = session.open("room");
  await ready(handle);
  await until("it is watched", () => server.open.some((stream) => stream.watching.has("room")));
  server.pushes = (event) => event.seq % 3n !== 0n;
  for (let count = 0; count < 10; count += 1) log.send("bob", `${count}`);
  await showsAll(server, handle, "alice");
  assert.equal(texts(handle).length, 10);
  assert.ok(problems.length > 0, "it is said aloud");
});

test("silence of two heartbeats ends a connection", async () => {
  const server = new FakeServer();
  server.heartbeatMs = 50;
  // Nobody whose presence would be watched on another connection.
  server.room("room", ["alice"]);
  await signIn(server, "alice");
  await until("other connections", () => server.streams.length > 2);
});

test("a goodbye says when to come back", async () => {
  const server = new FakeServer();
  const log = server.room("room", ["alice", "bob"]);
  const session = await signIn(server, "alice");
  const handle = session.open("room");
  await ready(handle);
  await until("it is watched", () => server.open.some((stream) => stream.watching.has("room")));
  server.goodbye(300);
  await until("offline", () => session.connection.getSnapshot().status === "offline");
  const connection = session.connection.getSnapshot();
  assert.ok(connection.status === "offline" && connection.error.reason === "DRAINING");
  const wait = connection.retryAt - Date.now();
  assert.ok(wait > 0 && wait <= 300, `it waits ${wait} ms`);
  log.send("bob", "meanwhile");
  await showsAll(server, handle, "alice");
});

test("watching more opens another stream beside the first, and nothing is lost between them", async () => {
  const server = new FakeServer();
  const rooms = Array.from({ length: 45 }, (_, index) => server.room(`room${index}`, ["alice", "bob"]));
  const session = await signIn(server, "alice");
  await until("the most active ones are watched", () => server.open.at(-1)?.watching.size === 30);
  const writing = setInterval(() => {
    for (const room of rooms.slice(12)) room.send("bob", `${room.head}`);
  }, 20);
  try {
    const unwatched = rooms.slice(12).filter((room) => !server.open.at(-1)?.watching.has(room.id)).slice(0, 3);
    for (const room of unwatched) {
      const handle = session.open(room.id);
      await ready(handle);
      await until("it is watched, and only by one stream", () => {
        const { open } = server;
        return open.length === 1 && open[0]?.watching.has(room.id) === true;
      });
      const { appliedSeq } = handle.getSnapshot();
      await until("it goes on live", () => handle.getSnapshot().appliedSeq > appliedSeq + 10);
    }
    await until("sessions that were left are ended", () => server.sessions.size === 1);
  } finally {
    clearInterval(writing);
  }
  for (const { id } of rooms.slice(14, 17)) await showsAll(server, session.open(id), "alice");
});

test("a token is replaced before it ends, without a break", async () => {
  const server = new FakeServer();
  const log = server.room("room", ["alice", "bob"]);
  let asked = 0;
  const session = await signIn(server, "alice", {
    getToken: () => {
      asked += 1;
      return token("alice", 2_500);
    },
  });
  const handle = session.open("room");
  await ready(handle);
  const statuses = new Set<string>();
  await until("online", () => session.connection.getSnapshot().status === "online");
  session.connection.subscribe(() => statuses.add(session.connection.getSnapshot().status));
  await until("two more streams", () => {
    log.send("bob", `${log.head}`);
    return new Set(server.streams.map((stream) => stream.token)).size >= 3;
  });
  // Once for each token, though the server says of all of them that they end soon.
  assert.equal(asked, new Set(server.streams.map((stream) => stream.token)).size);
  assert.deepEqual([...statuses], ["online"]);
  await showsAll(server, handle, "alice");
});

test("a token that is refused is asked for once more, then the user has to sign in", async () => {
  const server = new FakeServer();
  server.room("room", ["alice", "bob"]);
  const first = token("alice");
  let current = first;
  const session = await signIn(server, "alice", { getToken: () => current });
  await until("online", () => session.connection.getSnapshot().status === "online");
  server.refusedTokens.add(first);
  current = token("alice");
  server.cut();
  await until("online again", () => {
    session.retryNow();
    return server.open.some((stream) => stream.token.endsWith(current));
  });
  server.refusedTokens.add(current);
  server.cut();
  session.retryNow();
  await until("ended", () => session.connection.getSnapshot().status === "ended");
  const connection = session.connection.getSnapshot();
  assert.ok(connection.status === "ended" && connection.why === "sign-in");
});

test("when there is no token any more the session ends at once", async () => {
  const server = new FakeServer();
  server.room("room", ["alice", "bob"]);
  let asked = 0;
  const session = await signIn(server, "alice", {
    getToken: () => {
      asked += 1;
      if (asked > 2) throw new Error("403");
      return token("alice", 1_500);
    },
  });
  await until("ended", () => session.connection.getSnapshot().status === "ended");
  const connection = session.connection.getSnapshot();
  assert.ok(connection.status === "ended" && connection.why === "sign-in");
  await until("its stream is closed", () => server.open.length === 0);
});

test("random breaks, edits, deletions and reactions end in what a fresh read gives", async () => {
  const seed = Number(process.env["WEB_TEST_SEED"] ?? 7);
  const random = seeded(seed);
  console.log(`WEB_TEST_SEED=${seed}`);
  const server = new FakeServer();
  server.gapAbove = 8;
  const log = server.room("room", ["alice", "bob"]);
  const session = await signIn(server, "alice");
  const handle = session.open("room");
  await ready(handle);
  for (let step = 0; step < 400; step += 1) {
    const seqs = [...log.messages].filter(([, message]) => !message.deleteTime).map(([seq]) => seq);
    const target = BigInt(seqs[below(random, seqs.length)] ?? 0);
    const who = random() < 0.5 ? "alice" : "bob";
    const dice = random();
    const requestId = `step-${step}`;
    if (dice < 0.4 || target === 0n) log.send("bob", `step ${step}`);
    else if (dice < 0.55) {
      const value = { messageSeq: target, content: { text: `edited ${step}` } };
      log.append("bob", requestId, { case: "messageEdited", value });
    } else if (dice < 0.6) log.append("bob", requestId, { case: "messageDeleted", value: { messageSeq: target } });
    else if (dice < 0.75 && !log.own.get(`${target} ${who}`)?.has("👍")) {
      log.append(who, requestId, { case: "reactionAdded", value: { messageSeq: target, emoji: "👍" } });
    } else if (dice < 0.8) handle.send({ text: `mine ${step}` });
    else if (dice < 0.83) server.cut();
    else if (dice < 0.85) server.sessions.clear();
    else if (dice < 0.9) session.retryNow();
    else if (dice < 0.93) void handle.loadOlder();
    else await new Promise((resolve) => setTimeout(resolve, 1));
  }
  session.retryNow();
  await until("it catches up", () => {
    session.retryNow();
    return handle.getSnapshot().pending.length === 0;
  });
  await handle.jumpToLatest();
  await showsAll(server, handle, "alice");
});
