// What two connections of one stream bring together: each event once, in order, or a gap.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import type { Frame } from "../src/session/events";
import { Wire } from "../src/session/stream/wire";
import { FakeServer } from "./support/fake";
import { below, seeded } from "./support/random";
import { signIn, signOutAll } from "./support/sign-in";
import { until } from "./support/until";

afterEach(signOutAll);

function event(seq: number): Frame {
  const base = { conversationId: "room", seq, createTime: null, actorId: "bob", requestId: "", ordinal: 0 };
  return { kind: "event", event: { ...base, body: { kind: "unknown" } } };
}

test("every event comes out once, however two connections share them", () => {
  const random = seeded(5);
  for (let round = 0; round < 200; round += 1) {
    const wire = new Wire();
    wire.follow("room", 3);
    // Each brings all of it from somewhere, in order.
    const links = [4, 1 + below(random, 4)].map((from) => Array.from({ length: 20 }, (_, index) => event(from + index)));
    const out: number[] = [];
    while (links.some((link) => link.length > 0)) {
      const frame = links[below(random, 2)]?.shift();
      for (const news of frame ? wire.accept(frame) : []) {
        assert.equal(news.kind, "event");
        if (news.kind === "event") out.push(news.event.seq);
      }
    }
    assert.deepEqual(out, Array.from({ length: out.length }, (_, index) => 4 + index));
    assert.equal(out.at(-1), 23);
  }
});

test("a jump becomes a gap, and what is not followed is passed over", () => {
  const wire = new Wire();
  wire.follow("room", 3);
  const gap = { kind: "gap", conversationId: "room", fromSeq: 4, toSeq: 5 } as const;
  assert.deepEqual(wire.accept(event(6)), [gap, event(6)]);
  const synced = { kind: "synced", conversationId: "room", seq: 9 } as const;
  assert.deepEqual(wire.accept(synced), [{ ...gap, fromSeq: 7, toSeq: 9 }, synced]);
  assert.deepEqual(wire.accept(event(9)), []);
  wire.drop("room");
  assert.deepEqual(wire.accept(event(10)), []);
});

test("a second stream is opened beside the first, which ends only when everything is replayed", async () => {
  const server = new FakeServer();
  const rooms = Array.from({ length: 31 }, (_, index) => server.room(`room${index}`, ["alice", "bob"]));
  const session = await signIn(server, "alice");
  await until("the most active ones are watched", () => server.open.at(-1)?.watching.size === 30);
  const [first] = server.open;
  const unwatched = rooms.find((room) => !first?.watching.has(room.id));
  server.holdsSynced = true;
  session.open(unwatched?.id ?? "");
  await until("two streams", () => server.open.length === 2);
  await until("the second one has said welcome, and more", () => server.calls.filter((name) => name === "listReceipts").length > 0);
  assert.equal(first?.isOpen, true);
  server.holdsSynced = false;
  for (const release of server.held.splice(0)) release();
  await until("only the second one is left", () => first?.isOpen === false && server.open.length === 1);
});
