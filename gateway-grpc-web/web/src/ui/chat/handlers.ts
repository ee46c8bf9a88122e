/**
 * What can be done with a message in the list. One object for the life of a conversation's screen, so
 * that rows need not be drawn anew for a new function.
 */
import type { Message, PendingMessage, Rights } from "../../session/index";

/** The list's answers to what somebody does with a message. */
export interface MessageHandlers {
  /** What may be done, now. */
  rights(): Rights;
  onReact(message: Message, emoji: string, on: boolean): void;
  onPickReaction(message: Message): void;
  onWhoReacted(message: Message): void;
  onReply(message: Message): void;
  onThread(threadSeq: number): void;
  /** Opens the menu of what else can be done. */
  onMenu(message: Message, at: DOMRect): void;
  /** A press on the bubble: on a touch screen it opens the menu. */
  onTap(message: Message, event: MouseEvent): void;
  onContextMenu(message: Message, event: MouseEvent): void;
  onJump(seq: number): void;
  onRetry(pending: PendingMessage): void;
  onDiscard(pending: PendingMessage): void;
}
