/**
 * What people do with messages, wired to the session: the handlers of a list, and the menu of a
 * message.
 */
import type { ConversationHandle, Message } from "../../session/index";
import { SessionError } from "../../session/index";
import type { MenuEntry, MenuPlace, QuickEntry } from "../kit/menu";
import type { App } from "../state/app";
import { strings } from "../strings";
import { QUICK_REACTIONS } from "../text/emoji";
import type { ComposerMode } from "./composer";
import type { MessageHandlers } from "./handlers";

/** A menu that is open. */
export interface OpenMenu {
  readonly at: MenuPlace;
  readonly message: Message;
}

/** What the screen around the list has to offer. */
export interface ActionHost {
  setMode(mode: ComposerMode | null): void;
  setMenu(menu: OpenMenu | null): void;
  jumpTo(seq: number): void;
}

/** Does something and says so where it fails. */
export async function attempt(app: App, work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (thrown) {
    app.toast(strings.failure(SessionError.from(thrown)));
    return false;
  }
}

/** Edits a message. If that fails, its editor is opened again with what was written. */
export async function edit(
  app: App,
  handle: ConversationHandle,
  message: Message,
  text: string,
  setMode: (next: (now: ComposerMode | null) => ComposerMode | null) => void,
): Promise<void> {
  const done = await attempt(app, handle.edit(message.seq, text));
  if (!done) setMode((now) => now ?? { kind: "edit", message, text });
}

/** The handlers of one list of messages. */
export function createHandlers(app: App, handle: ConversationHandle, host: ActionHost): MessageHandlers {
  const react = (message: Message, emoji: string, on: boolean): void =>
    void attempt(app, handle.react(message.seq, emoji, on));
  return {
    rights: () => handle.getSnapshot().rights,
    onReact: react,
    onPickReaction: (message) => {
      app.dialog.value = { kind: "emoji", onPick: (emoji) => react(message, emoji, true) };
    },
    onWhoReacted: (message) => {
      app.dialog.value = { kind: "reactions", conversationId: handle.conversationId, message };
    },
    onReply: (message) => host.setMode({ kind: "reply", message }),
    onThread: (threadSeq) => {
      app.panel.value = { kind: "thread", threadSeq };
    },
    onMenu: (message, at) => host.setMenu({ message, at }),
    onTap: (message, event) => {
      if (!window.matchMedia("(hover: none)").matches || isInteractive(event.target)) return;
      host.setMenu({ message, at: new DOMRect(event.clientX, event.clientY, 0, 0) });
    },
    onContextMenu: (message, event) => {
      // Over selected text the browser's own menu is what is wanted.
      if (isInteractive(event.target) || window.getSelection()?.isCollapsed === false) return;
      event.preventDefault();
      host.setMenu({ message, at: new DOMRect(event.clientX, event.clientY, 0, 0) });
    },
    onJump: (seq) => host.jumpTo(seq),
    onRetry: (pending) => handle.retry(pending.requestId),
    onDiscard: (pending) => handle.discard(pending.requestId),
  };
}

function isInteractive(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("a, button") !== null;
}

/** Everything that can be done with a message by this user now. */
export function menuOf(
  app: App,
  handle: ConversationHandle,
  handlers: MessageHandlers,
  host: ActionHost,
  message: Message,
): readonly MenuEntry[] {
  const { rights, conversation } = handle.getSnapshot();
  const entries: MenuEntry[] = [];
  const pinned = conversation?.pinnedSeqs.includes(message.seq) ?? false;
  if (message.content !== null) {
    const { text } = message.content;
    if (rights.react) {
      entries.push({ label: strings.moreReactions, icon: "smile", onSelect: () => handlers.onPickReaction(message) });
    }
    if (rights.write) {
      entries.push({ label: strings.reply, icon: "reply", onSelect: () => handlers.onReply(message) });
      entries.push({
        label: strings.openThread,
        icon: "thread",
        onSelect: () => handlers.onThread(message.threadSeq === 0 ? message.seq : message.threadSeq),
      });
    }
    entries.push({ label: strings.copyText, icon: "copy", onSelect: () => void copy(app, text) });
    if (rights.pin) {
      entries.push({
        label: pinned ? strings.unpin : strings.pin,
        icon: "pin",
        onSelect: () => void attempt(app, handle.pin(message.seq, !pinned)),
      });
    }
    if (message.reactions.length > 0) {
      entries.push({ label: strings.whoReacted, icon: "people", onSelect: () => handlers.onWhoReacted(message) });
    }
  }
  const own: MenuEntry[] = [];
  if (message.content !== null && rights.edit(message)) {
    own.push({ label: strings.edit, icon: "edit", onSelect: () => host.setMode({ kind: "edit", message }) });
  }
  if (message.deleteTime === null && rights.deleteMessage(message)) {
    own.push({ label: strings.delete, icon: "trash", danger: true, onSelect: () => confirmDelete(app, handle, message) });
  }
  return entries.length > 0 && own.length > 0 ? [...entries, "line", ...own] : [...entries, ...own];
}

/** The reactions that are a press away; one that is given already is taken back. */
export function quickReactions(handlers: MessageHandlers, message: Message): readonly QuickEntry[] {
  if (message.content === null || !handlers.rights().react) return [];
  return QUICK_REACTIONS.map((emoji) => {
    const given = message.reactions.some((reaction) => reaction.emoji === emoji && reaction.reacted);
    return {
      sign: emoji,
      label: strings.reactWith(emoji),
      onSelect: () => handlers.onReact(message, emoji, !given),
    };
  });
}

function confirmDelete(app: App, handle: ConversationHandle, message: Message): void {
  app.dialog.value = {
    kind: "confirm",
    title: strings.deleteMessageTitle,
    text: strings.deleteMessageText,
    action: strings.delete,
    onConfirm: () => void attempt(app, handle.delete(message.seq)),
  };
}

async function copy(app: App, text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    app.toast(strings.copied);
  } catch {
    app.toast(strings.notCopied);
  }
}
