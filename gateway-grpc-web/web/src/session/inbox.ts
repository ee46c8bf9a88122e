// The user's inbox: each event once, in order. What a stream does not bring is paged.

import type { Context } from "./context";
import { inboxEvent } from "./convert";
import { SessionError } from "./errors";
import type { InboxEvent } from "./events";

/** Events that may wait behind a hole; all are paged when there are more. */
const MOST_HELD = 200;

export class Inbox {
  /** The last one applied; `null` on a new device, until it is told where the inbox stands. */
  cursor: number | null = null;
  #held: InboxEvent[] = [];
  #target = 0;
  #catching = false;

  constructor(
    private readonly context: Context,
    private readonly apply: (event: InboxEvent) => void,
  ) {}

  take(event: InboxEvent): void {
    if (this.#held.length >= MOST_HELD) this.#held = [];
    this.#held.push(event);
    this.reached(event.inboxSeq);
  }

  /** The inbox has an event `seq`. What was before a new device came is not for it: lists say it. */
  reached(seq: number): void {
    this.cursor ??= seq;
    this.#target = Math.max(this.#target, seq);
    this.#drain();
  }

  #drain(): void {
    let event: InboxEvent | undefined;
    while (!this.#catching && (event = this.#held[0]) !== undefined && event.inboxSeq <= this.#applied + 1) {
      this.#held.shift();
      this.#next(event);
    }
    if (this.#applied < this.#target && !this.#catching) void this.#catchUp();
  }

  get #applied(): number {
    return this.cursor ?? 0;
  }

  #next(event: InboxEvent): void {
    if (event.inboxSeq <= this.#applied) return;
    this.cursor = event.inboxSeq;
    this.apply(event);
  }

  async #catchUp(): Promise<void> {
    this.#catching = true;
    try {
      while (this.#applied < this.#target) {
        const before = this.#applied;
        const request = { afterInboxSeq: BigInt(before), pageSize: 500 };
        const { participants } = this.context.calls.services;
        const page = await this.context.calls.call((options) => participants.listInboxEvents(request, options));
        for (const event of page.events) this.#next(inboxEvent(event));
        // The page is all there is.
        if (this.#applied === before) this.#target = before;
      }
    } catch (thrown) {
      this.context.problem(`the inbox is behind: ${SessionError.from(thrown).message}`);
      return;
    } finally {
      this.#catching = false;
    }
    this.#drain();
  }
}
