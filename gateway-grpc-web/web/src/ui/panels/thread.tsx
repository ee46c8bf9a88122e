/**
 * A thread: the message that it began with, the answers, and a composer of its own.
 */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ConversationHandle, ConversationView, Message, ThreadView } from "../../session/index";
import { type ActionHost, attempt, createHandlers, edit, menuOf, type OpenMenu, quickReactions } from "../chat/actions";
import { Composer, type ComposerMode } from "../chat/composer";
import { MessageRowView } from "../chat/message-row";
import { isSaid, RowBuilder, type Row } from "../chat/rows";
import { roveVertically } from "../kit/focus";
import { Menu } from "../kit/menu";
import { Button } from "../kit/parts";
import { useApp } from "../state/app";
import { useNames } from "../state/people";
import { useStore } from "../state/stores";
import { strings } from "../strings";
import { PanelFrame } from "./panel";

/** The panel of one thread. Give it a key: another thread is another panel. */
export function ThreadPanel(props: {
  readonly handle: ConversationHandle;
  readonly threadSeq: number;
  readonly onJump: (seq: number) => void;
}): JSX.Element {
  const { handle, threadSeq } = props;
  const app = useApp();
  const thread = useMemo(() => handle.openThread(threadSeq), []);
  useEffect(() => () => thread.close(), []);
  const view = useStore(handle);
  const threadView = useStore(thread);
  const nameOf = useNames();
  const [mode, setMode] = useState<ComposerMode | null>(null);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const host = useMemo<ActionHost>(() => ({ setMode, setMenu, jumpTo: props.onJump }), []);
  const handlers = useMemo(() => createHandlers(app, handle, host), []);
  const builder = useMemo(() => new RowBuilder(app.me), []);
  const rows = useMemo(() => builder.build(asConversation(view, threadView), Number.MAX_SAFE_INTEGER), [view, threadView]);
  const scroller = useBottom(rows);
  const ids = view.participants.map(({ userId }) => userId).filter((userId) => userId !== app.me);

  const send = (text: string): void => {
    setMode(null);
    if (mode?.kind === "edit") void edit(app, handle, mode.message, text, setMode);
    else handle.send({ text, threadSeq, replyToSeq: mode?.message.seq ?? 0 });
  };
  const lastOwn = (): Message | undefined =>
    threadView.messages.findLast((message) => message.content !== null && view.rights.edit(message));

  return (
    <PanelFrame title={strings.thread}>
      <div
        ref={scroller}
        class="panel-body thread-body scroll"
        role="feed"
        aria-label={strings.thread}
        aria-busy={threadView.status === "loading"}
        onKeyDown={(event) => roveVertically(event, scroller.current, "article")}
      >
        {threadView.hasOlder && (
          <Button wide kind="plain" onClick={() => void attempt(app, thread.loadOlder())}>
            {strings.olderReplies}
          </Button>
        )}
        {rows.map((row, index) =>
          !isSaid(row) ? null : (
            <MessageRowView
              key={row.key}
              row={row}
              direct={view.conversation?.type === "direct"}
              focusable={index === rows.length - 1}
              highlighted={false}
              me={app.me}
              nameOf={nameOf}
              handlers={handlers}
              threads={false}
            />
          ),
        )}
      </div>
      {view.rights.write && (
        <Composer
          draftKey={`${view.conversationId}/${threadSeq}`}
          label={strings.replyInThread}
          mode={mode}
          userIds={ids}
          nameOf={nameOf}
          onCancel={() => setMode(null)}
          onSend={send}
          onEditLast={() => {
            const message = lastOwn();
            if (message !== undefined) setMode({ kind: "edit", message });
          }}
          onTyping={() => handle.typing()}
          onStopTyping={() => handle.stopTyping()}
        />
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
    </PanelFrame>
  );
}

/** The thread as a view whose window is the thread: so that its rows are built like all others. */
function asConversation(view: ConversationView, thread: ThreadView): ConversationView {
  const messages = thread.root === null ? thread.messages : [thread.root, ...thread.messages];
  return { ...view, messages, pending: thread.pending, hasOlder: thread.hasOlder, hasNewer: false };
}

/** Keeps the end in sight as answers come, if it was in sight. */
function useBottom(rows: readonly Row[]): { readonly current: HTMLDivElement | null } {
  const scroller = useRef<HTMLDivElement>(null);
  const atBottom = useRef(true);
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    const look = (): void => {
      atBottom.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    };
    element.addEventListener("scroll", look, { passive: true });
    return () => element.removeEventListener("scroll", look);
  }, []);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element !== null && atBottom.current) element.scrollTop = element.scrollHeight;
  }, [rows]);
  return scroller;
}
