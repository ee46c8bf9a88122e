// How far each log has been handed on, over all connections of a stream. Frames go in, in the order of
// each connection, two connections at a time; what is new comes out, each event once and in order.
// Pure. The inbox is the log with the empty name.

import type { Frame } from "../events";

export const INBOX = "";

export class Wire {
  #cursors = new Map<string, number>();

  /** Follows a log from a cursor. One that is followed goes on where it is. */
  follow(topic: string, cursor: number): void {
    if (!this.#cursors.has(topic)) this.#cursors.set(topic, cursor);
  }

  drop(topic: string): void {
    this.#cursors.delete(topic);
  }

  get(topic: string): number | undefined {
    return this.#cursors.get(topic);
  }

  /** The conversations that are followed. */
  conversations(): [string, number][] {
    return [...this.#cursors].filter(([topic]) => topic !== INBOX);
  }

  /** What is to be handed on because of a frame. */
  accept(frame: Frame): Frame[] {
    switch (frame.kind) {
      case "event":
        return this.#advance(frame.event.conversationId, frame.event.seq, frame.event.seq, frame);
      case "inbox":
        return this.#advance(INBOX, frame.event.inboxSeq, frame.event.inboxSeq, frame);
      case "gap":
        return this.#advance(frame.conversationId, frame.fromSeq, frame.toSeq, frame);
      case "synced":
        if (!this.#cursors.has(frame.conversationId)) return [];
        return [...this.#missing(frame.conversationId, frame.seq), frame];
      case "watch-ended":
        return this.#cursors.delete(frame.conversationId) ? [frame] : [];
      default:
        return [frame];
    }
  }

  #advance(topic: string, first: number, last: number, frame: Frame): Frame[] {
    const cursor = this.#cursors.get(topic);
    // Not followed any more, or another connection was faster.
    if (cursor === undefined || last <= cursor) return [];
    const missing = this.#missing(topic, first - 1);
    this.#cursors.set(topic, last);
    return [...missing, frame];
  }

  /** A jump without a gap is a fault of the server, or of ours: said aloud, and paged like any gap. */
  #missing(topic: string, through: number): Frame[] {
    const cursor = this.#cursors.get(topic) ?? through;
    if (through <= cursor) return [];
    this.#cursors.set(topic, through);
    return [{ kind: "gap", conversationId: topic, fromSeq: cursor + 1, toSeq: through }];
  }
}
