// Who the other one is in a direct conversation. It never changes, so it is kept; a conversation does
// not say it, but its creator, its messages or its participants do.

import { type Context, type Queue } from "../context";
import type { Conversation, Message } from "../model";

export class Peers {
  #known = new Map<string, string>();
  #asked = new Set<string>();

  constructor(
    private readonly context: Context,
    private readonly reads: Queue,
    private readonly changed: () => void,
  ) {}

  /** `null`: not a direct conversation, or not known yet; then it is asked for. */
  of(conversation: Conversation, lastMessage: Message | null): string | null {
    if (conversation.type !== "direct") return null;
    const { conversationId, creatorId } = conversation;
    const known = this.#known.get(conversationId) ?? this.#stored(conversationId);
    if (known !== null) return known;
    for (const userId of [creatorId, lastMessage?.senderId ?? "", ...conversation.blockedByIds]) {
      if (userId !== "" && userId !== this.context.userId) return this.#keep(conversationId, userId);
    }
    if (!this.#asked.has(conversationId)) this.#ask(conversationId);
    return null;
  }

  #ask(conversationId: string): void {
    this.#asked.add(conversationId);
    this.reads.add(`participants of ${conversationId}`, async () => {
      const { participants } = this.context.calls.services;
      try {
        const answer = await this.context.calls.call((options) =>
          participants.listParticipants({ conversationId }, options),
        );
        const other = answer.participants.find((one) => one.userId !== this.context.userId);
        // Somebody may talk to themselves.
        this.#keep(conversationId, other?.userId ?? this.context.userId);
        this.changed();
      } catch (thrown) {
        this.#asked.delete(conversationId);
        throw thrown;
      }
    });
  }

  #keep(conversationId: string, userId: string): string {
    this.#known.set(conversationId, userId);
    try {
      this.context.storage?.setItem(this.#key(conversationId), userId);
    } catch {
      // The storage is full: it is asked for again next time.
    }
    return userId;
  }

  #stored(conversationId: string): string | null {
    const stored = this.context.storage?.getItem(this.#key(conversationId)) ?? null;
    if (stored !== null) this.#known.set(conversationId, stored);
    return stored;
  }

  #key(conversationId: string): string {
    return `${this.context.owner}:peer:${conversationId}`;
  }
}
