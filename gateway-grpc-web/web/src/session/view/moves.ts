// Moving the window over the messages: older ones, newer ones, the end, or around one message. One move
// at a time; whoever asks for the same one meanwhile waits for it.

import type { ConversationState } from "../fold/state";
import type { MessageWindow } from "../fold/window";
import type { Page } from "./reads";
import { KEPT_MESSAGES, MOST_MESSAGES, PAGE_TRIES } from "./limits";
import type { View } from "./view";

type Kind = "older" | "newer" | "jump";

export class Moves {
  #moving: { kind: Kind; done: Promise<unknown> } | null = null;

  constructor(private readonly view: View) {}

  async older(): Promise<void> {
    await this.#alone("older", async (state) => {
      const { main } = state;
      if (main.startReached) return;
      const page = await this.view.reads.older(main.first);
      this.#place(state, page, () => {
        main.prepend(page.messages, page.isLast);
        return null;
      });
      if (main.seqs.length > MOST_MESSAGES) {
        this.view.following = false;
        this.view.trimmed(() => main.dropNewest(KEPT_MESSAGES));
      }
    });
  }

  async newer(): Promise<void> {
    await this.#alone("newer", async (state) => {
      const { main } = state;
      if (state.reachesEnd()) return;
      const page = await this.view.reads.newer(main.last);
      this.#place(state, page, () => {
        main.append(page.messages, reach(page));
        return main;
      });
      if (main.seqs.length > MOST_MESSAGES) this.view.trimmed(() => main.dropOldest(KEPT_MESSAGES));
    });
  }

  async latest(): Promise<void> {
    await this.#alone("jump", async (state) => {
      this.view.following = true;
      if (state.reachesEnd()) return;
      await this.#again(async () => {
        const page = await this.view.reads.older(0);
        return this.#place(state, page, () => {
          const first = page.messages[0]?.seq ?? 1;
          state.main.reset(page.messages, first, page.asOfSeq, page.isLast);
          return state.main;
        });
      });
      this.view.trimmed(() => undefined);
    });
  }

  /** `false`: there is no such message for this user. */
  async to(seq: number): Promise<boolean> {
    const moved = await this.#alone("jump", async (state) => {
      if (state.main.has(seq)) return true;
      let found = false;
      await this.#again(async () => {
        const [before, after] = await Promise.all([this.view.reads.older(seq + 1), this.view.reads.newer(seq)]);
        found = before.messages.at(-1)?.seq === seq;
        if (!found) return true;
        return this.#around(state, before, after);
      });
      if (found) this.view.following = false;
      this.view.trimmed(() => undefined);
      return found;
    });
    return moved ?? false;
  }

  #around(state: ConversationState, before: Page, after: Page): boolean {
    const messages = [...before.messages, ...after.messages];
    const asOfSeq = Math.min(before.asOfSeq, after.asOfSeq);
    return this.#place(state, { messages, asOfSeq, isLast: after.isLast }, () => {
      const first = messages[0]?.seq ?? 1;
      state.main.reset(messages, first, reach({ ...after, messages }), before.isLast);
      return state.main;
    });
  }

  #place(state: ConversationState, page: Page, place: () => MessageWindow | null): boolean {
    // A newer state has its own window.
    if (state !== this.view.state) return true;
    return state.addPage(page.messages, page.asOfSeq, place);
  }

  async #again(attempt: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < PAGE_TRIES; tries += 1) if (await attempt()) return;
  }

  async #alone<T>(kind: Kind, move: (state: ConversationState) => Promise<T>): Promise<T | undefined> {
    while (this.#moving !== null) {
      const { kind: other, done } = this.#moving;
      await done.catch(() => undefined);
      if (other === kind && kind !== "jump") return undefined;
    }
    const { state } = this.view;
    if (state === null) return undefined;
    const done = move(state);
    this.#moving = { kind, done };
    this.view.loading = kind;
    this.view.changed();
    try {
      return await done;
    } finally {
      this.#moving = null;
      this.view.loading = null;
      this.view.changed();
    }
  }
}

/** How far a page that goes forward covers the log. */
function reach({ messages, asOfSeq, isLast }: Page): number {
  return isLast ? asOfSeq : (messages.at(-1)?.seq ?? asOfSeq);
}
