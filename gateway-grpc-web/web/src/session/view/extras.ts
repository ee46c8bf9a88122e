// Messages beside the window that it refers to: what replies answer, pins, the first messages of
// threads. They are read when they are missing, and stay in the pool while something needs them.

import { type Context, Queue } from "../context";
import { SessionError } from "../errors";
import type { Message } from "../model";
import { PAGE_TRIES } from "./limits";
import type { View } from "./view";

export class Extras {
  #asked = new Set<number>();
  #pinsAsked = "";
  readonly #reads: Queue;

  constructor(
    private readonly view: View,
    context: Context,
  ) {
    const failed = (error: unknown) => context.problem(`a quote is missing: ${SessionError.from(error).message}`);
    this.#reads = new Queue(2, failed);
  }

  /** Seqs that must not be forgotten. */
  needed(): Set<number> {
    const { state } = this.view;
    const needed = new Set<number>(state?.conversation?.pinnedSeqs ?? []);
    if (state === null) return needed;
    for (const window of [state.main, ...state.threads.values()]) {
      if (window.threadSeq > 0) needed.add(window.threadSeq);
      for (const message of state.messagesOf(window)) if (message.replyToSeq > 0) needed.add(message.replyToSeq);
    }
    return needed;
  }

  /** Reads what is missing. */
  look(): void {
    const { state } = this.view;
    if (state === null || this.view.isGone) return;
    const pins = state.conversation?.pinnedSeqs ?? [];
    const key = pins.join();
    if (key !== this.#pinsAsked && pins.some((seq) => state.messages.get(seq) === undefined)) {
      this.#pinsAsked = key;
      this.#reads.add("pins", () => this.#readPins());
    }
    for (const seq of this.needed()) {
      if (state.messages.get(seq) !== undefined || this.#asked.has(seq) || pins.includes(seq)) continue;
      this.#asked.add(seq);
      this.#reads.add(String(seq), () => this.#read(seq));
    }
  }

  async #read(seq: number): Promise<void> {
    for (let tries = 0; tries < PAGE_TRIES; tries += 1) {
      const found = await this.view.reads.message(seq);
      const { state } = this.view;
      if (found === null || state === null) return;
      if (state.addPage([found.message], found.asOfSeq, () => null)) break;
    }
    this.#asked.delete(seq);
    this.view.changed();
  }

  async #readPins(): Promise<void> {
    for (let tries = 0; tries < PAGE_TRIES; tries += 1) {
      const { messages, asOfSeq } = await this.view.reads.pinned();
      const { state } = this.view;
      if (state === null || state.addPage(messages, asOfSeq, () => null)) break;
    }
    this.view.changed();
  }

  /** For the view's snapshot. */
  shown(window: readonly Message[]): { pins: Message[]; quoted: ReadonlyMap<number, Message> } {
    // Pages bring new messages, too.
    this.look();
    const { state } = this.view;
    const quoted = new Map<number, Message>();
    if (state === null) return { pins: [], quoted };
    const all = [...window, ...[...state.threads.values()].flatMap((thread) => state.messagesOf(thread))];
    for (const { replyToSeq } of all) {
      const answered = replyToSeq > 0 ? state.messages.get(replyToSeq) : undefined;
      if (answered !== undefined) quoted.set(replyToSeq, answered);
    }
    const pins = (state.conversation?.pinnedSeqs ?? []).flatMap((seq) => state.messages.get(seq) ?? []);
    return { pins, quoted };
  }
}
