// How far the user has read, and that they type: told to the server now and then, and never back.

import type { Context } from "../context";
import { SessionError } from "../errors";
import { TypingState } from "../../gen/confab/realtime/v1/presence_pb";

/** Milliseconds: marks are this far apart; typing is said again after this long, and over after this. */
const MARK_DELAY = 300;
const [TYPING_AGAIN, TYPING_OVER] = [3_000, 5_000];

/** The read cursor of one conversation. */
export class ReadMark {
  #wanted = 0;
  #sent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly context: Context,
    private readonly conversationId: string,
  ) {}

  /** `false`: it was there before. */
  move(seq: number): boolean {
    if (seq <= this.#wanted) return false;
    this.#wanted = seq;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#send();
    }, MARK_DELAY);
    return true;
  }

  async #send(): Promise<void> {
    const { conversationId } = this;
    const readSeq = this.#wanted;
    if (readSeq <= this.#sent) return;
    const { calls } = this.context;
    try {
      await calls.call((options) =>
        calls.services.messages.markRead({ conversationId, readSeq: BigInt(readSeq) }, options),
      );
      this.#sent = readSeq;
    } catch (thrown) {
      // The next mark says it, too.
      if (this.#wanted === readSeq) this.#wanted = this.#sent;
      this.context.problem(`not marked as read: ${SessionError.from(thrown).message}`);
    }
  }
}

/** That the user types in one conversation. */
export class OwnTyping {
  #saidAt = 0;
  #over: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly context: Context,
    private readonly conversationId: string,
  ) {}

  /** At each change of the draft. */
  typed(): void {
    clearTimeout(this.#over);
    this.#over = setTimeout(() => this.stopped(), TYPING_OVER);
    if (Date.now() - this.#saidAt < TYPING_AGAIN) return;
    this.#saidAt = Date.now();
    this.#say(TypingState.STARTED);
  }

  stopped(): void {
    clearTimeout(this.#over);
    if (this.#saidAt === 0) return;
    this.#saidAt = 0;
    this.#say(TypingState.STOPPED);
  }

  /** A message says it better. */
  sent(): void {
    clearTimeout(this.#over);
    this.#saidAt = 0;
  }

  #say(state: TypingState): void {
    const { conversationId } = this;
    const { services } = this.context.calls;
    // Nothing is lost with it, and the next one is soon.
    services.realtime.sendTyping({ conversationId, state }, { timeoutMs: 3_000 }).catch(() => undefined);
  }
}
