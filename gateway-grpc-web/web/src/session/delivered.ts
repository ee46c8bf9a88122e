// Says that messages have arrived, for the marks that their senders see. One tab does it for all, at
// most once a second for each conversation; it may fail, and the next message makes up for it.

import { Batch, type Context } from "./context";
import type { Frame } from "./events";

const DELAY = 1_000;

export class Delivered {
  #wanted = new Map<string, number>();
  #told = new Map<string, number>();
  readonly #batch = new Batch(DELAY, (ids) => void this.#tell(ids));

  constructor(private readonly context: Context) {}

  takeFrame(frame: Frame): void {
    if (frame.kind === "event") {
      const { body, actorId, seq, conversationId } = frame.event;
      if (body.kind === "message-created" && actorId !== this.context.userId) this.arrived(conversationId, seq);
    } else if (frame.kind === "head") {
      const { lastMessage, unread, conversationId } = frame.head;
      if (unread > 0 && lastMessage !== null && lastMessage.senderId !== this.context.userId) {
        this.arrived(conversationId, lastMessage.seq);
      }
    }
  }

  arrived(conversationId: string, seq: number): void {
    if (seq <= (this.#wanted.get(conversationId) ?? 0)) return;
    this.#wanted.set(conversationId, seq);
    this.#batch.add(conversationId);
  }

  /** It is read, which says as much. */
  read(conversationId: string, seq: number): void {
    this.#told.set(conversationId, Math.max(seq, this.#told.get(conversationId) ?? 0));
  }

  stop(): void {
    this.#batch.stop();
  }

  async #tell(ids: readonly string[]): Promise<void> {
    for (const conversationId of ids) {
      const seq = this.#wanted.get(conversationId) ?? 0;
      if (seq <= (this.#told.get(conversationId) ?? 0)) continue;
      this.#told.set(conversationId, seq);
      const { messages } = this.context.calls.services;
      const request = { conversationId, deliveredSeq: BigInt(seq) };
      await messages.markDelivered(request, { timeoutMs: 5_000 }).catch(() => this.#told.delete(conversationId));
    }
  }
}
