// Tabs of one user share one stream, and every one of them stays live, whichever goes away.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import type { TabPlatform } from "../src/session/tabs";
import { FakeServer, token } from "./support/fake";
import { ready, showsAll, signIn, signOutAll, texts } from "./support/sign-in";
import { until } from "./support/until";

afterEach(signOutAll);

/** Locks as a browser gives them: one holder, the others in a queue; and a tab that dies lets go. */
class Locks {
  #queues = new Map<string, Promise<unknown>>();

  platform(): TabPlatform & { die(): void } {
    let dies: () => void = () => undefined;
    const death = new Promise<void>((resolve) => {
      dies = resolve;
    });
    let isDead = false;
    const request = (name: string, { signal }: LockOptions, callback: LockGrantedCallback<unknown>) => {
      const before = this.#queues.get(name) ?? Promise.resolve();
      const turn = before.then(async () => {
        if (isDead || signal?.aborted) return;
        await Promise.race([callback(null), death]);
      });
      this.#queues.set(name, turn);
      return turn;
    };
    const channels: { onmessage: BroadcastChannel["onmessage"]; inner: BroadcastChannel }[] = [];
    return {
      locks: { request: request as LockManager["request"] },
      openChannel: (name) => {
        const inner = new BroadcastChannel(name);
        const channel = {
          inner,
          onmessage: null as BroadcastChannel["onmessage"],
          postMessage: (message: unknown) => void (isDead || inner.postMessage(message)),
          close: () => inner.close(),
        };
        inner.onmessage = (message) => void (isDead || channel.onmessage?.call(inner, message as MessageEvent));
        channels.push(channel);
        return channel;
      },
      die: () => {
        isDead = true;
        for (const { inner } of channels) inner.close();
        dies();
      },
    };
  }
}

test("eight tabs have one stream, and all of them are live", async () => {
  const server = new FakeServer();
  const log = server.room("room", ["alice", "bob"]);
  const locks = new Locks();
  const tabs = await Promise.all(Array.from({ length: 8 }, () => signIn(server, "alice", { platform: locks.platform() })));
  const handles = tabs.map((tab) => tab.open("room"));
  await Promise.all(handles.map(ready));
  await until("all are online", () => tabs.every((tab) => tab.connection.getSnapshot().status === "online"));
  for (let count = 0; count < 20; count += 1) log.send("bob", `${count}`);
  for (const [index, handle] of handles.entries()) handle.send({ text: `from tab ${index}` });
  await until("all show all", () => handles.every((handle) => texts(handle).length === 28));
  assert.equal(server.open.length, 1);
  const shown = handles.map((handle) => JSON.stringify(handle.getSnapshot().messages));
  assert.equal(new Set(shown).size, 1);
  const leaders = tabs.filter((tab) => {
    const connection = tab.connection.getSnapshot();
    return connection.status === "online" && connection.leader;
  });
  assert.equal(leaders.length, 1);
  await Promise.all(handles.map((handle) => until("nothing is pending", () => handle.getSnapshot().pending.length === 0)));
});

test("when the tab with the stream closes or dies, another one goes on where all of them are", async () => {
  const server = new FakeServer();
  const rooms = ["room", "other"].map((id) => server.room(id, ["alice", "bob"]));
  // So many are more active that these two are watched only because somebody looks at them.
  for (let count = 0; count < 32; count += 1) server.room(`busy${count}`, ["alice", "bob"]).fill(3);
  const locks = new Locks();
  const platforms = Array.from({ length: 4 }, () => locks.platform());
  const tabs: Awaited<ReturnType<typeof signIn>>[] = [];
  for (const platform of platforms) tabs.push(await signIn(server, "alice", { platform }));
  // Not all look at the same.
  const handles = tabs.map((tab, index) => tab.open(index % 2 ? "other" : "room"));
  await Promise.all(handles.map(ready));
  await until("all are online", () => tabs.every((tab) => tab.connection.getSnapshot().status === "online"));
  for (const [index, platform] of platforms.slice(0, 3).entries()) {
    for (const room of rooms) room.send("bob", `before ${index}`);
    if (index === 1) platform.die();
    else await tabs[index]?.close();
    // The dead one's connection goes with it.
    for (const stream of server.open) if (index === 1) stream.isOpen = false;
    for (const room of rooms) room.send("bob", `nobody listens ${index}`);
    const rest = handles.slice(index + 1);
    await until("another one leads", () => {
      const connection = tabs[index + 1]?.connection.getSnapshot();
      return connection?.status === "online" && connection.leader;
    });
    for (const room of rooms) room.send("bob", `after ${index}`);
    await until("what the others look at is watched", () => {
      const watching = server.open.at(-1)?.watching;
      return rest.every((handle) => watching?.has(handle.conversationId));
    });
    const length = (index + 1) * 3;
    await until("all show all", () => rest.every((handle) => texts(handle).length === length));
  }
  for (const handle of handles.slice(3)) await showsAll(server, handle, "alice");
});

test("a tab whose token is refused leaves the stream to one that has a better one", async () => {
  const server = new FakeServer();
  const log = server.room("room", ["alice", "bob"]);
  const locks = new Locks();
  const bad = token("alice");
  const first = await signIn(server, "alice", { platform: locks.platform(), getToken: () => bad });
  await until("it leads", () => server.open.length === 1);
  const second = await signIn(server, "alice", { platform: locks.platform() });
  const handle = second.open("room");
  await ready(handle);
  server.refusedTokens.add(bad);
  server.cut();
  first.retryNow();
  await until("the first one has to sign in", () => first.connection.getSnapshot().status === "ended");
  await until("the second one leads", () => {
    const connection = second.connection.getSnapshot();
    return connection.status === "online" && connection.leader;
  });
  log.send("bob", "hello");
  await until("it is live", () => texts(handle).length === 1);
});

test("two users in one browser do not hear each other", async () => {
  const server = new FakeServer();
  server.room("hers", ["alice"]).send("alice", "secret");
  server.room("his", ["bob"]);
  const locks = new Locks();
  const alice = await signIn(server, "alice", { platform: locks.platform() });
  const bob = await signIn(server, "bob", { platform: locks.platform() });
  await until("both lists", () => [alice, bob].every((one) => one.conversations.getSnapshot().items.length === 1));
  server.logs.get("hers")?.send("alice", "another");
  await until("hers moved", () => alice.conversations.getSnapshot().items[0]?.unread === 2);
  assert.deepEqual(bob.conversations.getSnapshot().items.map((item) => item.conversationId), ["his"]);
  assert.equal(server.open.length, 2);
});
