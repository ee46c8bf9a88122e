// A run of messages without a hole, as a screen shows it: all messages of the conversation, or of one
// thread, with seqs in [from, to]. It holds seqs only; the messages are in the pool.

import type { Message } from "../model";

export class MessageWindow {
  /** Rising. */
  seqs: number[] = [];
  /** Nothing older is there for this reader. */
  startReached = false;

  /** `threadSeq`: 0 for all messages. */
  constructor(
    readonly threadSeq: number,
    private from = 1,
    private to = 0,
  ) {}

  /** Every message of the window's kind up to here, from the first one on, is in it. */
  get coveredTo(): number {
    return this.to;
  }

  get first(): number {
    return this.seqs[0] ?? this.from;
  }

  get last(): number {
    return this.seqs.at(-1) ?? this.to;
  }

  has(seq: number): boolean {
    // What is looked for is mostly at an end.
    return seq >= this.first && seq <= this.last && this.seqs.includes(seq);
  }

  belongs(message: Message): boolean {
    return this.threadSeq === 0 || message.threadSeq === this.threadSeq;
  }

  /** Starts anew with a page, rising: all there are in [from, to]. */
  reset(page: readonly Message[], from: number, to: number, startReached: boolean): void {
    this.seqs = page.map((message) => message.seq);
    this.from = from;
    this.to = to;
    this.startReached = startReached;
  }

  /** Older messages, rising, that end right below the first one. */
  prepend(page: readonly Message[], startReached: boolean): void {
    const { first } = this;
    const older = page.map((message) => message.seq).filter((seq) => seq < first);
    this.seqs = [...older, ...this.seqs];
    this.from = this.first;
    this.startReached = startReached;
  }

  /** Newer messages, rising, that begin right above what is covered; the window then covers `to`. */
  append(page: readonly Message[], to: number): void {
    const { last } = this;
    this.seqs = [...this.seqs, ...page.map((message) => message.seq).filter((seq) => seq > last)];
    this.to = Math.max(this.to, to);
  }

  /** The next message of the log, or an event that is none: the window covers it from now on. */
  extend(seq: number, message: Message | null): void {
    if (seq <= this.to) return;
    this.to = seq;
    if (message !== null && this.belongs(message)) this.seqs = [...this.seqs, seq];
  }

  /** Lets go of the oldest. */
  dropOldest(keep: number): void {
    if (this.seqs.length <= keep) return;
    this.seqs = this.seqs.slice(-keep);
    this.from = this.first;
    this.startReached = false;
  }

  /** Lets go of the newest: the window no longer reaches the end. */
  dropNewest(keep: number): void {
    if (this.seqs.length <= keep) return;
    this.seqs = this.seqs.slice(0, keep);
    this.to = this.last;
  }
}
