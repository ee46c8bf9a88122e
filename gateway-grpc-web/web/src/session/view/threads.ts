// The threads of a conversation that are open. They are windows beside the main one, fed by the same
// events.

import { Cell } from "../cell";
import { SessionError } from "../errors";
import { MessageWindow } from "../fold/window";
import type { ThreadHandle, ThreadView } from "../types";
import { MOST_REPLIES, PAGE_TRIES } from "./limits";
import type { View } from "./view";

interface Open {
  readonly threadSeq: number;
  readonly store: Cell<ThreadView>;
  handles: number;
  status: ThreadView["status"];
  error: SessionError | null;
}

export class Threads {
  #open = new Map<number, Open>();

  constructor(private readonly view: View) {}

  open(threadSeq: number): ThreadHandle {
    let thread = this.#open.get(threadSeq);
    if (thread === undefined) {
      const store: Cell<ThreadView> = new Cell(() => this.#build(threadSeq));
      thread = { threadSeq, store, handles: 0, status: "loading", error: null };
      this.#open.set(threadSeq, thread);
      void this.#load(thread);
    }
    thread.handles += 1;
    return this.#handle(thread);
  }

  #handle(thread: Open): ThreadHandle {
    let isOpen = true;
    return {
      getSnapshot: thread.store.getSnapshot,
      subscribe: thread.store.subscribe,
      loadOlder: () => this.#older(thread),
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        thread.handles -= 1;
        if (thread.handles > 0) return;
        this.#open.delete(thread.threadSeq);
        this.view.state?.threads.delete(thread.threadSeq);
        this.view.trimmed(() => undefined);
      },
    };
  }

  changed(): void {
    for (const thread of this.#open.values()) thread.store.changed();
  }

  /** The view has a new state. */
  reload(): void {
    for (const thread of this.#open.values()) void this.#load(thread);
  }

  async #load(thread: Open): Promise<void> {
    // The state that comes loads it.
    if (this.view.state === null) return;
    try {
      await this.#read(thread, 0);
      thread.status = "ready";
      thread.error = null;
    } catch (thrown) {
      thread.status = "failed";
      thread.error = SessionError.from(thrown);
    }
    this.view.changed();
  }

  async #older(thread: Open): Promise<void> {
    const window = this.view.state?.threads.get(thread.threadSeq);
    if (window === undefined || !hasOlder(window)) return;
    await this.#read(thread, window.first);
    this.view.changed();
  }

  async #read(thread: Open, fromSeq: number): Promise<void> {
    for (let tries = 0; tries < PAGE_TRIES; tries += 1) {
      const { messages, asOfSeq, isLast } = await this.view.reads.older(fromSeq, thread.threadSeq);
      const { state } = this.view;
      if (state === null || !this.#open.has(thread.threadSeq)) return;
      const placed = state.addPage(messages, asOfSeq, () => {
        const known = state.threads.get(thread.threadSeq);
        if (fromSeq > 0 && known !== undefined) {
          known.prepend(messages, isLast);
          return null;
        }
        const window = new MessageWindow(thread.threadSeq);
        window.reset(messages, messages[0]?.seq ?? thread.threadSeq, asOfSeq, isLast);
        state.threads.set(thread.threadSeq, window);
        return window;
      });
      if (placed) return;
    }
  }

  #build(threadSeq: number): ThreadView {
    const thread = this.#open.get(threadSeq);
    const { state } = this.view;
    const window = state?.threads.get(threadSeq);
    return {
      threadSeq,
      root: state?.messages.get(threadSeq) ?? null,
      status: thread?.status ?? "ready",
      error: thread?.error ?? null,
      messages: state && window ? state.messagesOf(window) : [],
      pending: this.view.outbox.pending.filter((message) => message.threadSeq === threadSeq),
      hasOlder: window !== undefined && hasOlder(window),
    };
  }
}

function hasOlder(window: MessageWindow): boolean {
  return !window.startReached && window.seqs.length < MOST_REPLIES;
}
