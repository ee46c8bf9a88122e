// Who types and who is here: what may be lost, and passes by itself.

import { Cell } from "./cell";
import type { Frame } from "./events";
import type { Presence } from "./model";

const NOBODY: readonly string[] = [];

export class Live {
  readonly presence = new Cell<ReadonlyMap<string, Presence>>(() => new Map(this.#presence));
  #presence = new Map<string, Presence>();
  #typing = new Map<string, Map<string, ReturnType<typeof setTimeout>>>();
  #shown = new Map<string, readonly string[]>();

  /** `changed`: who types in a conversation has changed. */
  constructor(private readonly changed: (conversationId: string) => void) {}

  typing(conversationId: string): readonly string[] {
    return this.#shown.get(conversationId) ?? NOBODY;
  }

  takeFrame(frame: Frame): void {
    switch (frame.kind) {
      case "typing":
        this.#set(frame.conversationId, frame.userId, frame.lasts);
        break;
      case "event":
        if (frame.event.body.kind === "message-created") this.#set(frame.event.conversationId, frame.event.actorId, 0);
        break;
      case "presence":
        this.#presence.set(frame.userId, frame.presence);
        this.presence.changed();
        break;
      default:
    }
  }

  /** Shows it until it is over: `lasts` milliseconds, 0 ends it. */
  #set(conversationId: string, userId: string, lasts: number): void {
    const typists = this.#typing.get(conversationId) ?? new Map<string, ReturnType<typeof setTimeout>>();
    const known = typists.get(userId);
    if (known === undefined && lasts === 0) return;
    clearTimeout(known);
    if (lasts > 0) typists.set(userId, setTimeout(() => this.#set(conversationId, userId, 0), lasts));
    else typists.delete(userId);
    if (typists.size > 0) this.#typing.set(conversationId, typists);
    else this.#typing.delete(conversationId);
    if ((known === undefined) === lasts > 0) {
      this.#shown.set(conversationId, [...typists.keys()]);
      this.changed(conversationId);
    }
  }

  stop(): void {
    for (const typists of this.#typing.values()) for (const timer of typists.values()) clearTimeout(timer);
  }
}
