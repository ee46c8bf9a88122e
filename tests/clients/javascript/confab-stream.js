// The stream of a small client of Confab, to be read and copied.
//
// The next event of a log is the cursor plus one, or a gap says what is not pushed and is paged.
// Everything else is an error. So nothing is missed in silence, whatever happens to connections and
// servers, and cursors are all that there is to go on from.

import { setTimeout as sleep } from "node:timers/promises";

import grpc from "@grpc/grpc-js";

import { Backoff, Refused, clientOf, milliseconds, openChannel } from "./confab-client.js";

// Milliseconds: the first frame may take so long, and acknowledgements are so far apart.
const WELCOME = 10_000;
const ACK_INTERVAL = 200;
// The inbox's name among the cursors, as in frames that are about it.
export const INBOX = "";

// The server left something out. To go on could hide a loss.
export class BrokenContract extends Error {}

// Everything that happens, each event once and in order, over as many connections as it takes:
//
//     const stream = new Stream(confab, { [conversationId]: 0 });
//     for await (const [kind, update] of stream) … // store it
//
// An event counts as stored when the next one is asked for. Then its cursor moves and is
// acknowledged. Keep `stream.cursors` beside what you store, and begin from them the next time.
//
// `cursors`: the last seq stored of each conversation to watch, 0 for all of it, and of the inbox,
// left out on a new device. `subscribe`: for clients that cannot stream both ways; it brings the
// same. `resumeSession`: lets the server remember what is watched and stored.
//
// Updates are the frames. A `gap` among them is what this user may not see: read anew what you keep
// of the conversation.
export class Stream {
  constructor(confab, cursors, { subscribe = false, resumeSession = false } = {}) {
    this.confab = confab;
    this.cursors = new Map(Object.entries(cursors));
    this.subscribe = subscribe;
    this.resumeSession = resumeSession;
    this.sessionId = "";
    this.connections = 0;
    this.call = null;
    this.brought = new Map();
    this.acked = new Map();
    this.closing = false;
    // Its own connection: what is not read yet must not hold up the answers to calls.
    const { RealtimeService } = confab.contract.realtime.v1;
    this.client = clientOf(RealtimeService, openChannel(confab.address));
  }

  async *[Symbol.asyncIterator]() {
    let backoff = new Backoff();
    let denied = false;
    for (;;) {
      let acknowledging = null;
      let refused;
      try {
        await this.open();
        backoff = new Backoff();
        denied = false;
        acknowledging = setInterval(() => this.acknowledge().catch(() => {}), ACK_INTERVAL);
        yield* this.updates();
        refused = new Refused(grpc.status.UNAVAILABLE, "the stream ended");
      } catch (error) {
        if (error instanceof BrokenContract) throw error;
        refused = error instanceof Refused ? error : Refused.of(error);
      } finally {
        clearInterval(acknowledging);
        this.call?.cancel();
      }
      if (this.closing) {
        this.client.close();
        return;
      }
      if (refused.reason === "SESSION_LOST") {
        this.sessionId = ""; // Now by cursors.
      } else if (refused.code === grpc.status.UNAUTHENTICATED && !denied) {
        denied = true; // Once more, with the next token.
      } else if (refused.isTransient() || refused.reason === "NOT_WATCHED") {
        // The latter when an ack crossed the end of its watch.
        await this.pause(refused, backoff.beforeNextTry(refused));
      } else {
        throw refused;
      }
    }
  }

  // Watches one more conversation, from this cursor.
  watch(conversationId, seq = 0) {
    if (!this.cursors.has(conversationId)) this.cursors.set(conversationId, seq);
    if (this.subscribe) {
      // Opened anew, by cursors and with the larger set.
      this.sessionId = "";
      this.call?.cancel();
    } else if (this.connections > 0) {
      const cursor = this.cursors.get(conversationId);
      this.brought.set(conversationId, cursor);
      this.call.write({ watch: { add: listOf([[conversationId, cursor]]) } });
    }
  }

  // Says what is stored, as far as this connection has brought it: one that resumed a session
  // begins where that was acknowledged, which may be behind our cursors.
  async acknowledge() {
    const news = [...this.brought]
      .filter(([topic]) => this.cursors.has(topic))
      .map(([topic, brought]) => [topic, Math.min(brought, this.cursors.get(topic))])
      .filter(([topic, seq]) => seq > (this.acked.get(topic) ?? 0));
    if (news.length === 0) return;
    const ack = { cursors: listOf(news), inbox_seq: new Map(news).get(INBOX) };
    const { acked } = this;
    if (this.subscribe) {
      const request = { session_id: this.sessionId, ...ack };
      await this.confab.call(this.confab.realtime, "Acknowledge", request);
    } else {
      this.call.write({ ack });
    }
    for (const [topic, seq] of news) acked.set(topic, seq);
  }

  // Ends it after a last acknowledgement.
  async close() {
    this.closing = true;
    await this.acknowledge();
    if (this.subscribe) this.call.cancel();
    else this.call.end();
  }

  // Says hello and waits for the welcome.
  async open() {
    const bySession = this.resumeSession && this.sessionId !== "";
    const watch = listOf(this.cursors);
    const hello = bySession
      ? { session_id: this.sessionId }
      : { watch, inbox_seq: this.cursors.get(INBOX) };
    const metadata = this.confab.metadata();
    if (this.subscribe) this.call = this.client.Subscribe({ hello }, metadata);
    else this.call = this.client.Connect(metadata);
    // Errors are told to whoever reads; without this, those of a call that nobody reads any more
    // would end the process.
    this.call.on("error", () => {});
    if (!this.subscribe) this.call.write({ hello });
    this.frames = this.call[Symbol.asyncIterator]();
    const [kind, welcome] = await this.nextFrame(WELCOME);
    if (kind !== "welcome") throw farewell(kind === "goodbye" ? welcome : null);
    this.sessionId = welcome.session_id;
    this.silence = 2 * milliseconds(welcome.heartbeat_interval);
    this.connections += 1;
    if (bySession) {
      this.brought = new Map(welcome.watching.map((at) => [at.conversation_id, at.seq]));
      const ours = [...this.cursors].filter(([topic]) => topic !== INBOX);
      if (ours.some(([topic, seq]) => (this.brought.get(topic) ?? seq + 1) > seq)) {
        // It lacks a conversation, or is ahead of what this device has stored.
        this.sessionId = "";
        throw new Refused(grpc.status.UNAVAILABLE, "another session", [], 0);
      }
    } else {
      if (!this.cursors.has(INBOX)) this.cursors.set(INBOX, welcome.head_inbox_seq);
      this.brought = new Map(this.cursors);
    }
    this.acked = new Map(this.brought);
  }

  // What one connection brings.
  async *updates() {
    for (;;) {
      const [kind, frame] = await this.nextFrame(this.silence);
      if (kind === "end") return;
      if (kind === "goodbye") throw farewell(frame);
      if (kind === "event" || kind === "inbox") {
        const [topic, seq] = placeOf(frame);
        if (this.isNews(topic, seq, seq)) {
          // Also of a kind that this client does not know: it has its place all the same.
          yield [kind, frame];
          this.cursors.set(topic, seq);
        }
      } else if (kind === "gap") {
        if (this.isNews(frame.conversation_id, frame.from_seq, frame.to_seq)) {
          yield* this.page(frame.conversation_id, frame.to_seq);
        }
      } else if (kind === "synced") {
        const cursor = this.cursors.get(frame.conversation_id) ?? frame.seq;
        if (frame.seq > cursor) {
          const topic = frame.conversation_id || "inbox";
          throw new BrokenContract(`${topic}: synced at ${frame.seq} after ${cursor}`);
        }
        yield [kind, frame];
      } else if (kind === "watch_ended") {
        this.cursors.delete(frame.conversation_id);
        yield [kind, frame];
      } else if (kind !== undefined) {
        yield [kind, frame];
      } // Else it is a frame of a newer server.
    }
  }

  // Whether there is something to store. Not of what is not watched any more, and not where the
  // session was behind.
  isNews(topic, first, last) {
    this.brought.set(topic, last);
    const cursor = this.cursors.get(topic);
    if (cursor === undefined || last <= cursor) return false;
    if (first > cursor + 1) {
      throw new BrokenContract(`${topic || "inbox"}: ${first} comes after ${cursor}`);
    }
    if (topic !== INBOX) this.confab.noteHead(topic, last);
    return true;
  }

  // Gets what the server does not push.
  async *page(topic, to) {
    const kind = topic === INBOX ? "inbox" : "event";
    while (this.cursors.get(topic) < to) {
      const listed = await this.list(topic, this.cursors.get(topic));
      const page = listed.map((event) => [placeOf(event)[1], event]).filter(([seq]) => seq <= to);
      // What the page leaves out may not be seen; an empty one leaves out all of it.
      for (const [seq, event] of page.length > 0 ? page : [[to + 1, null]]) {
        const next = this.cursors.get(topic) + 1;
        if (seq > next) {
          yield ["gap", { conversation_id: topic, from_seq: next, to_seq: seq - 1 }];
          this.cursors.set(topic, seq - 1);
        }
        if (event !== null) {
          yield [kind, event];
          this.cursors.set(topic, seq);
        }
      }
    }
  }

  async list(topic, after) {
    const { confab } = this;
    const answer =
      topic === INBOX
        ? await confab.call(confab.participants, "ListInboxEvents", { after_inbox_seq: after })
        : await confab.call(confab.messages, "ListEvents", {
            conversation_id: topic,
            after_seq: after,
          });
    return answer.events;
  }

  // The next frame and its kind. A silence of so many milliseconds: the connection is dead.
  async nextFrame(limit) {
    let timer;
    const silence = new Promise((_, reject) => {
      const text = `nothing was heard for ${limit} ms`;
      timer = setTimeout(() => reject(new Refused(grpc.status.UNAVAILABLE, text)), limit);
    });
    try {
      const { done, value } = await Promise.race([this.frames.next(), silence]);
      return done ? ["end", null] : [value.frame, value[value.frame]];
    } finally {
      clearTimeout(timer);
    }
  }

  pause(_refused, delay) {
    return sleep(delay);
  }
}

function listOf(cursors) {
  const logs = [...cursors].filter(([topic]) => topic !== INBOX);
  return logs.map(([topic, seq]) => ({ conversation_id: topic, seq }));
}

// Of which log an event is, and where in it.
function placeOf(event) {
  return "inbox_seq" in event ? [INBOX, event.inbox_seq] : [event.conversation_id, event.seq];
}

// Why the server ends the stream.
function farewell(goodbye) {
  if (goodbye === null) {
    return new Refused(grpc.status.UNAVAILABLE, "the stream ended before it began");
  }
  const { failure, retry_after } = goodbye;
  const retryAfter = retry_after ? milliseconds(retry_after) : null;
  return new Refused(failure.code, failure.message, failure.details, retryAfter);
}
