// The highest seq that this session has seen of each conversation: the `after_seq` of its next command,
// which makes retries idempotent for ever. Bounded; what is forgotten is asked for again.

/** Conversations in one generation; two generations are kept. */
const GENERATION = 10_000;

export class Heads {
  #young = new Map<string, number>();
  #old = new Map<string, number>();

  /** The conversation has an event `seq`. */
  note(conversationId: string, seq: number): void {
    if (conversationId === "" || seq <= this.get(conversationId)) return;
    if (!this.#young.has(conversationId) && this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(conversationId, seq);
  }

  /** The server says that there is no such event: it was set back to a backup. */
  forget(conversationId: string): void {
    this.#young.delete(conversationId);
    this.#old.delete(conversationId);
  }

  /** 0 when none was seen. */
  get(conversationId: string): number {
    return this.#young.get(conversationId) ?? this.#old.get(conversationId) ?? 0;
  }
}
