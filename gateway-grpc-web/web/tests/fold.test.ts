// Folding equals reading (promise P5): over logs, and the states that the Rust client folds them to.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { LogEvent } from "../src/session/events";
import { ConversationState, type Snapshot } from "../src/session/fold/state";
import type { Message, Participant } from "../src/session/model";
import { below, seeded } from "./support/random";
import { readVectors, type Vector } from "./support/vectors";

const vectors = readVectors();
const USERS = ["alice", "bob", "carol", "dave"];
const ROOM = vectors[0]?.log[0]?.conversationId ?? "";

function fold(log: readonly LogEvent[], reader: string): ConversationState {
  const state = new ConversationState(ROOM, reader);
  for (const event of log) assert.equal(state.apply(event), true);
  return state;
}

function everybody(state: ConversationState): Participant[] {
  return USERS.flatMap((user) => state.participant(user) ?? []);
}

/** What a reader sees, to be compared. */
function seen(state: ConversationState) {
  return {
    appliedSeq: state.appliedSeq,
    conversation: state.conversation,
    participants: everybody(state),
    messages: state.messagesOf(),
  };
}

/** The log as the server keeps it: a message is given as it is now, contents of deleted ones are gone. */
function asStored(log: readonly LogEvent[]): LogEvent[] {
  const now = fold(log, "nobody");
  return log.map((event) => {
    const { body } = event;
    if (body.kind === "message-created") {
      const message = now.messages.get(event.seq);
      assert.ok(message);
      return { ...event, body: { ...body, message } };
    }
    if (body.kind === "message-edited" && now.messages.get(body.messageSeq)?.deleteTime !== null) {
      return { ...event, body: { ...body, content: null } };
    }
    return event;
  });
}

/** What reads give at three places of a log, the conversation's last. */
function snapshot(vector: Vector, [first, second, last]: readonly [number, number, number], newest: number): Snapshot {
  const [a, b, c] = [first, second, last].map((at) => fold(vector.log.slice(0, at), vector.reader));
  assert.ok(a && b && c);
  const messages = a.messagesOf().slice(-newest);
  return {
    messages,
    messagesAsOf: first,
    startReached: messages.length === a.main.seqs.length,
    participants: everybody(b),
    conversation: c.conversation,
    conversationAsOf: last,
    asOfSeq: Math.min(first, second, last),
  };
}

test("every kind of event is in the vectors", () => {
  const kinds = new Set(vectors.flatMap((vector) => vector.log.map((event) => event.body.kind)));
  assert.ok(kinds.size >= 19, [...kinds].join());
  assert.ok(vectors.some((vector) => vector.messages.some((message) => message.thread !== null)));
});

test("the fold is that of the Rust client", () => {
  for (const vector of vectors) {
    const { log, conversation, participants, messages } = vector;
    const expected = { appliedSeq: log.length, conversation, participants, messages };
    assert.deepEqual(seen(fold(log, vector.reader)), expected);
    assert.deepEqual(seen(fold(asStored(log), vector.reader)), expected, "the log as stored");
  }
});

test("reads of different times and the events after them give what all events give", () => {
  const random = seeded(1);
  for (const vector of vectors) {
    const whole = fold(vector.log, vector.reader);
    const stored = asStored(vector.log);
    for (let round = 0; round < 40; round += 1) {
      const at = () => 1 + below(random, vector.log.length);
      // Messages and participants in any order, the conversation last.
      const [first, second] = [at(), at()];
      const cuts = [first, second, Math.max(first, second, at())] as const;
      const state = new ConversationState(ROOM, vector.reader, snapshot(vector, cuts, 1_000));
      // As it happened, or as a replay gives it: with messages as they are now.
      const isReplay = round % 2 === 0;
      const log = isReplay ? stored : vector.log;
      for (const event of log.slice(below(random, state.appliedSeq + 1))) {
        const isNews = event.seq > state.appliedSeq;
        const before = state.messagesOf();
        assert.equal(state.apply(event), isNews);
        // What a read has given is not moved by events that it has seen.
        if (!isReplay && event.seq <= cuts[0]) assert.deepEqual(state.messagesOf(), before);
      }
      assert.deepEqual(seen(state), seen(whole), `cuts at ${cuts.join()}`);
    }
  }
});

test("pages that come early or late are brought up to date", () => {
  const random = seeded(2);
  for (const vector of vectors) {
    const whole = fold(vector.log, vector.reader);
    for (let round = 0; round < 40; round += 1) {
      const from = 1 + below(random, vector.log.length);
      const state = new ConversationState(ROOM, vector.reader, snapshot(vector, [from, from, from], 2));
      // The page is read at some time, and arrives at another.
      const readAt = from + below(random, vector.log.length - from + 1);
      const arrives = from + below(random, vector.log.length - from + 1);
      const { first } = state.main;
      const older = fold(vector.log.slice(0, readAt), vector.reader).messagesOf();
      const page = older.filter((message) => message.seq < first);
      for (const event of vector.log.slice(from)) {
        if (event.seq === arrives + 1) addOlder(state, page, readAt);
        state.apply(event);
      }
      if (arrives === vector.log.length) addOlder(state, page, readAt);
      assert.deepEqual(seen(state), seen(whole), `from ${from}, read at ${readAt}, there at ${arrives}`);
    }
  }
});

function addOlder(state: ConversationState, page: readonly Message[], asOfSeq: number): void {
  const placed = state.addPage(page, asOfSeq, () => {
    state.main.prepend(page, true);
    return null;
  });
  assert.ok(placed);
}

test("a window that moved away and back shows what a fresh read shows", () => {
  const random = seeded(3);
  for (const vector of vectors) {
    const whole = fold(vector.log, vector.reader);
    for (let round = 0; round < 20; round += 1) {
      const from = 1 + below(random, vector.log.length);
      const state = new ConversationState(ROOM, vector.reader, snapshot(vector, [from, from, from], 10));
      // It is read elsewhere, while the log grows, and comes back with a page that may be old by then.
      state.main.dropNewest(3);
      const readAt = from + below(random, vector.log.length - from + 1);
      for (const event of vector.log.slice(from)) state.apply(event);
      const last = fold(vector.log.slice(0, readAt), vector.reader).messagesOf();
      const page = last.filter((message) => message.seq > state.main.last);
      state.addPage(page, readAt, () => {
        state.main.append(page, readAt);
        return state.main;
      });
      assert.ok(state.reachesEnd());
      const shown = state.messagesOf();
      assert.deepEqual(shown, whole.messagesOf().slice(-shown.length || whole.messagesOf().length));
      const { first } = state.main;
      assert.deepEqual(shown, whole.messagesOf().filter((message) => message.seq >= first));
    }
  }
});

test("a reader's own reaction that was taken back before the read is not marked again", () => {
  const room = { conversationId: "room", createTime: 0, requestId: "", ordinal: 1 };
  const bodies: readonly (readonly [string, LogEvent["body"]])[] = [
    ["bob", { kind: "unknown" }],
    ["bob", { kind: "reaction-added", messageSeq: 1, emoji: "👍" }],
    ["alice", { kind: "reaction-added", messageSeq: 1, emoji: "👍" }],
    ["alice", { kind: "reaction-removed", messageSeq: 1, emoji: "👍" }],
  ];
  const log = bodies.map(([actorId, body], index): LogEvent => ({ ...room, seq: index + 1, actorId, body }));
  const message: Message = {
    ...{ conversationId: "room", seq: 1, ordinal: 1, senderId: "bob", requestId: "", content: null, createTime: 0 },
    ...{ editTime: null, deleteTime: null, appliedSeq: 4, replyToSeq: 0, threadSeq: 0, thread: null },
    reactions: [{ emoji: "👍", count: 1, reacted: false }],
  };
  const read = { messages: [message], messagesAsOf: 4, startReached: true, participants: [], conversation: null };
  const state = new ConversationState("room", "alice", { ...read, conversationAsOf: 4, asOfSeq: 1 });
  for (const event of log.slice(1)) {
    state.apply(event);
    assert.deepEqual(state.messagesOf(), [message], `after event ${event.seq}`);
  }
});

test("a missing event is a hole, and one that came before is passed over", () => {
  const [vector] = vectors;
  assert.ok(vector);
  const state = fold(vector.log.slice(0, 5), "alice");
  const [, , third, , , sixth, seventh] = vector.log;
  assert.ok(third && sixth && seventh);
  assert.equal(state.apply(third), false);
  assert.throws(() => state.apply(seventh), /event 7 cannot follow 5/);
  assert.equal(state.apply(sixth), true);
});
