// What somebody holds who has a conversation open: the view's store, and the commands.

import { Role } from "../../gen/confab/types/v1/types_pb";
import { SessionError } from "../errors";
import type {
  ConversationChanges,
  ConversationHandle,
  ConversationView,
  Draft,
  PendingMessage,
  ThreadHandle,
} from "../types";
import { Commands } from "./commands";
import type { OwnTyping, ReadMark } from "./marks";
import type { Moves } from "./moves";
import type { View } from "./view";

/** One conversation's view and what acts on it; shared by its handles. */
export interface Opened {
  readonly view: View;
  readonly moves: Moves;
  readonly mark: ReadMark;
  readonly typing: OwnTyping;
}

export class Handle implements ConversationHandle {
  readonly conversationId: string;
  readonly getSnapshot: () => ConversationView;
  readonly subscribe: (listener: () => void) => () => void;
  readonly #commands: Commands;
  #isOpen = true;

  constructor(
    private readonly opened: Opened,
    private readonly release: () => void,
  ) {
    const { view } = opened;
    this.conversationId = view.conversationId;
    this.getSnapshot = view.store.getSnapshot;
    this.subscribe = view.store.subscribe;
    this.#commands = new Commands(view.host.context.calls, view.conversationId);
  }

  send(draft: Draft): PendingMessage {
    if (draft.text.trim() === "") throw new SessionError("closed", "an empty message is none");
    this.opened.typing.sent();
    return this.opened.view.outbox.send(draft);
  }

  retry(requestId: string): void {
    this.opened.view.outbox.retry(requestId);
  }

  discard(requestId: string): void {
    this.opened.view.outbox.discard(requestId);
  }

  loadOlder = (): Promise<void> => this.opened.moves.older();
  loadNewer = (): Promise<void> => this.opened.moves.newer();
  jumpToLatest = (): Promise<void> => this.opened.moves.latest();
  jumpTo = (messageSeq: number): Promise<boolean> => this.opened.moves.to(messageSeq);

  setFollowing(following: boolean): void {
    this.opened.view.following = following;
  }

  markRead(seq: number): void {
    const { view, mark } = this.opened;
    const through = Math.min(seq, view.appliedSeq ?? 0);
    if (!mark.move(through)) return;
    view.host.list.read(view.conversationId, through, view.unreadAbove(through));
    view.changed();
  }

  typing(): void {
    this.opened.typing.typed();
  }

  stopTyping(): void {
    this.opened.typing.stopped();
  }

  openThread(threadSeq: number): ThreadHandle {
    return this.opened.view.threads.open(threadSeq);
  }

  edit = (messageSeq: number, text: string) => this.#commands.edit(messageSeq, text);
  delete = (messageSeq: number) => this.#commands.delete(messageSeq);
  react = (messageSeq: number, emoji: string, on: boolean) => this.#commands.react(messageSeq, emoji, on);
  pin = (messageSeq: number, on: boolean) => this.#commands.pin(messageSeq, on);
  listReactions = (messageSeq: number) => this.#commands.listReactions(messageSeq);
  addPeople = (userIds: readonly string[]) => this.#commands.addPeople(userIds);
  removePerson = (userId: string) => this.#commands.removePerson(userId);
  setRole = (userId: string, role: "member" | "admin") =>
    this.#commands.setRole(userId, role === "admin" ? Role.ADMIN : Role.MEMBER);
  transferOwnership = (userId: string) => this.#commands.transferOwnership(userId);
  mute = (userId: string, on: boolean, until?: number) => this.#commands.mute(userId, on, until);
  ban = (userId: string, on: boolean, until?: number) => this.#commands.ban(userId, on, until);
  leave = () => this.#commands.leave();
  update = (changes: ConversationChanges) => this.#commands.update(changes);
  archive = (on: boolean) => this.#commands.archive(on);
  deleteConversation = () => this.#commands.deleteConversation();
  restore = () => this.#commands.restore();

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.opened.typing.stopped();
    this.release();
  }
}
