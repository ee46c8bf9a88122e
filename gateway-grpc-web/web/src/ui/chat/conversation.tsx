/**
 * The screen of one conversation: header, messages, composer. It is made anew for each conversation.
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ConversationHandle, ConversationView } from "../../session/index";
import { Menu } from "../kit/menu";
import { Button, Empty, IconButton } from "../kit/parts";
import { useApp } from "../state/app";
import { titleOf, useNames } from "../state/people";
import { useStore } from "../state/stores";
import { strings } from "../strings";
import { PeoplePanel } from "../panels/people";
import { PinsPanel } from "../panels/pins";
import { ThreadPanel } from "../panels/thread";
import { type ActionHost, createHandlers, edit, menuOf, type OpenMenu, quickReactions } from "./actions";
import { useAnnouncements } from "./announcements";
import { Composer, type ComposerMode } from "./composer";
import { FindBar } from "./find-bar";
import { ConversationHeader } from "./header";
import { MessageList, jumpToLatest, lastOwnMessage } from "./message-list";
import { Obstacle } from "./obstacle";
import { PinsBar } from "./pins-bar";
import { ConversationSkeleton } from "./placeholders";
import { TypingLine } from "./typing-line";
import { keyOf } from "./rows";
import type { ListControl } from "./virtual-list";

const HIGHLIGHT_MS = 2_200;

/** The screen. Give it a key: another conversation is another screen. */
export function ConversationScreen(props: { readonly conversationId: string }): JSX.Element {
  const app = useApp();
  const handle = useMemo(() => app.session.open(props.conversationId), []);
  useEffect(() => () => handle.close(), []);
  const view = useStore(handle);
  const nameOf = useNames();
  const peerId = view.participants.find((participant) => participant.userId !== app.me)?.userId ?? null;
  const title = view.conversation === null ? "" : titleOf(view.conversation, peerId, nameOf);

  if (view.status === "failed") return <FailedConversation view={view} />;
  if (view.status === "loading" || view.conversation === null) {
    return (
      <section class="conversation" aria-label={strings.loading}>
        <header class="header">
          <IconButton class="back" icon="back" label={strings.back} onClick={() => app.select(null)} />
          <div class="skeleton skeleton-title" />
        </header>
        <ConversationSkeleton />
      </section>
    );
  }
  return <LoadedConversation handle={handle} view={view} title={title} peerId={peerId} nameOf={nameOf} />;
}

interface LoadedProps {
  readonly handle: ConversationHandle;
  readonly view: ConversationView;
  readonly title: string;
  readonly peerId: string | null;
  readonly nameOf: (userId: string) => string;
}

function LoadedConversation(props: LoadedProps): JSX.Element {
  const { handle, view, title, nameOf } = props;
  const app = useApp();
  const control = useRef<ListControl>(null);
  const [mode, setMode] = useState<ComposerMode | null>(null);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const [highlighted, jumpTo] = useJump(handle, control);
  const host = useMemo<ActionHost>(() => ({ setMode, setMenu, jumpTo: (seq) => void jumpTo(seq) }), []);
  const handlers = useMemo(() => createHandlers(app, handle, host), []);
  const userIds = useMemo(
    () => view.participants.map(({ userId }) => userId).filter((userId) => userId !== app.me),
    [view.participants],
  );
  useAnnouncements(view, nameOf);
  useEffect(focusConversation, []);

  const send = (text: string): void => {
    setMode(null);
    if (mode?.kind === "edit") {
      void edit(app, handle, mode.message, text, setMode);
      return;
    }
    handle.send(mode === null ? { text } : { text, replyToSeq: mode.message.seq, threadSeq: mode.message.threadSeq });
    jumpToLatest(handle, control);
  };
  const editLast = (): void => {
    const message = lastOwnMessage(handle.getSnapshot());
    if (message !== null) setMode({ kind: "edit", message });
  };

  return (
    <>
    <section class="conversation" aria-label={strings.conversationWith(title)}>
      <ConversationHeader view={view} title={title} peerId={props.peerId} nameOf={nameOf} />
      {app.finding.value && <FindBar handle={handle} onJump={jumpTo} />}
      <PinsBar view={view} onJump={host.jumpTo} />
      <MessageList
        handle={handle}
        view={view}
        title={title}
        nameOf={nameOf}
        handlers={handlers}
        control={control}
        highlighted={highlighted}
      />
      <TypingLine userIds={view.typing} nameOf={nameOf} />
      {view.rights.write ? (
        <Composer
          draftKey={view.conversationId}
          label={strings.messageTo(title)}
          mode={mode}
          userIds={userIds}
          nameOf={nameOf}
          onCancel={() => setMode(null)}
          onSend={send}
          onEditLast={editLast}
          onTyping={() => handle.typing()}
          onStopTyping={() => handle.stopTyping()}
        />
      ) : (
        <Obstacle rights={view.rights} />
      )}
      {menu !== null && (
        <Menu
          label={strings.moreActions}
          at={menu.at}
          quick={quickReactions(handlers, menu.message)}
          entries={menuOf(app, handle, handlers, host, menu.message)}
          onClose={() => setMenu(null)}
        />
      )}
    </section>
    <OpenPanel handle={handle} onJump={host.jumpTo} />
    </>
  );
}

/**
 * Moves the focus into a conversation that was opened: to the composer, or on a touch screen, where
 * that would open a keyboard, to the conversation. Whoever types somewhere is left alone.
 */
function focusConversation(): void {
  const typing = document.activeElement?.matches("input, textarea") === true;
  if (typing || document.querySelector("[aria-modal]") !== null) return;
  const touch = window.matchMedia("(hover: none)").matches;
  const composer = document.querySelector<HTMLElement>(".conversation [data-focus-home]");
  ((touch ? null : composer) ?? document.getElementById("conversation"))?.focus({ preventScroll: true });
}

/** The panel that is open beside the conversation, if there is one. */
function OpenPanel(props: { readonly handle: ConversationHandle; readonly onJump: (seq: number) => void }): JSX.Element | null {
  const app = useApp();
  const panel = app.panel.value;
  if (panel === null) return null;
  switch (panel.kind) {
    case "people":
      return <PeoplePanel handle={props.handle} />;
    case "pins":
      return <PinsPanel handle={props.handle} onJump={props.onJump} />;
    case "thread":
      return <ThreadPanel key={panel.threadSeq} handle={props.handle} threadSeq={panel.threadSeq} onJump={props.onJump} />;
  }
}

/** Brings a message into the window, and marks it for a moment. */
function useJump(
  handle: ConversationHandle,
  control: { readonly current: ListControl | null },
): readonly [number | null, (seq: number) => Promise<boolean>] {
  const app = useApp();
  const [highlighted, setHighlighted] = useState<number | null>(null);
  const timer = useRef(0);
  const jump = async (seq: number): Promise<boolean> => {
    const inWindow = (): boolean => handle.getSnapshot().messages.some((message) => message.seq === seq);
    if (!inWindow()) {
      const found = await handle.jumpTo(seq).catch(() => false);
      if (!found) {
        app.toast(strings.messageNotFound);
        return false;
      }
      // The list has the new rows after the next drawing.
      await new Promise((resolve) => window.requestAnimationFrame(resolve));
    }
    const message = handle.getSnapshot().messages.find((candidate) => candidate.seq === seq);
    if (message === undefined) return false;
    control.current?.toRow(keyOf(message, app.me));
    setHighlighted(seq);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setHighlighted(null), HIGHLIGHT_MS);
    return true;
  };
  return [highlighted, jump];
}

function FailedConversation(props: { readonly view: ConversationView }): JSX.Element {
  const app = useApp();
  return (
    <section class="conversation">
      <header class="header">
        <IconButton class="back" icon="back" label={strings.back} onClick={() => app.select(null)} />
      </header>
      <Empty icon="warning" title={strings.conversationFailed}>
        <p>{props.view.error === null ? "" : strings.failure(props.view.error)}</p>
        <Button onClick={() => app.session.retryNow()}>{strings.tryAgain}</Button>
      </Empty>
    </section>
  );
}
