/**
 * The messages of a conversation: draws the rows, loads what is near, says what was read, and keeps
 * the keyboard in the list.
 */
import type { JSX, RefObject } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ConversationHandle, ConversationView, Message } from "../../session/index";
import { Icon } from "../icons";
import { roveVertically } from "../kit/focus";
import { useApp } from "../state/app";
import { strings } from "../strings";
import type { MessageHandlers } from "./handlers";
import { MessageRowView } from "./message-row";
import { NoticeLine } from "./notice-line";
import { Beginning, OlderSkeleton } from "./placeholders";
import { isSaid, RowBuilder, type Row } from "./rows";
import { type ListControl, VirtualList } from "./virtual-list";

/** What the list needs. */
export interface MessageListProps {
  readonly handle: ConversationHandle;
  readonly view: ConversationView;
  readonly title: string;
  readonly nameOf: (userId: string) => string;
  readonly handlers: MessageHandlers;
  readonly control: RefObject<ListControl | null>;
  /** The message that was jumped to. */
  readonly highlighted: number | null;
}

/** What the window shows, and how far that was said to be read. */
interface Seen {
  atBottom: boolean;
  last: number;
  marked: number;
}

/** The list with its button that jumps to the latest message. */
export function MessageList(props: MessageListProps): JSX.Element {
  const { handle, view } = props;
  const { me } = useApp();
  const builder = useMemo(() => new RowBuilder(me), [handle]);
  const unreadAfter = useUnreadAfter(handle);
  const rows = useMemo(() => builder.build(view, unreadAfter), [view, unreadAfter]);
  const keys = useMemo(() => rows.map((row) => row.key), [rows]);
  const startAt = useMemo(() => rows.find((row) => "unread" in row && row.unread)?.key, []);
  const [focusKey, setFocusKey] = useState<string | null>(null);
  const [atBottom, setAtBottom] = useState(startAt === undefined);
  const seen = useRef<Seen>({ atBottom, last: -1, marked: 0 });
  const loading = useRef(false);
  const latest = useRef({ rows, view });
  latest.current = { rows, view };

  const load = useCallback((which: "older" | "newer") => {
    const { view: now } = latest.current;
    const wanted = which === "older" ? now.hasOlder : now.hasNewer;
    if (!wanted || loading.current) return;
    loading.current = true;
    const work = which === "older" ? handle.loadOlder() : handle.loadNewer();
    void work.catch(() => undefined).finally(() => {
      loading.current = false;
    });
  }, []);
  useReading(handle, latest, seen);
  useEffect(() => handle.setFollowing(seen.current.atBottom), [handle]);

  const tabbable = focusKey !== null && keys.includes(focusKey) ? focusKey : keys.at(-1);
  const renderRow = (index: number): JSX.Element | null => {
    const row = rows[index];
    if (row === undefined) return null;
    if (row.kind === "notice") return <NoticeLine key={row.key} row={row} nameOf={props.nameOf} />;
    if (!isSaid(row)) {
      if (row.kind === "beginning") return <Beginning key={row.key} rowKey={row.key} title={props.title} view={view} />;
      return <OlderSkeleton key={row.key} rowKey={row.key} />;
    }
    return (
      <MessageRowView
        key={row.key}
        row={row}
        direct={view.conversation?.type === "direct"}
        focusable={row.key === tabbable}
        highlighted={row.kind === "message" && row.message.seq === props.highlighted}
        me={me}
        nameOf={props.nameOf}
        handlers={props.handlers}
        threads
      />
    );
  };
  return (
    <div class="message-area" onFocusIn={(event) => setFocusKey(keyAround(event.target))}>
      <VirtualList
        keys={keys}
        renderRow={renderRow}
        startAt={startAt}
        label={strings.messagesOf(props.title)}
        busy={view.loading !== null}
        sticky={!view.hasNewer}
        control={props.control}
        onNearTop={() => load("older")}
        onNearBottom={() => load("newer")}
        onWindow={({ atBottom: nowAtBottom, last }) => {
          if (seen.current.atBottom !== nowAtBottom) handle.setFollowing(nowAtBottom);
          seen.current.atBottom = nowAtBottom;
          seen.current.last = last;
          setAtBottom(nowAtBottom);
          markSeen(handle, latest.current, seen.current);
        }}
        onKeyDown={(event) => onListKey(event, latest.current.rows, props.handlers)}
      />
      {(!atBottom || view.hasNewer) && (
        <JumpToLatest count={view.unread} onJump={() => jumpToLatest(handle, props.control)} />
      )}
    </div>
  );
}

const NOTHING_UNREAD = Number.MAX_SAFE_INTEGER;

/**
 * Where the unread messages begin: at what was unread when the conversation was opened, and anew at
 * what comes while nobody looks at the page. What comes before somebody's eyes is not marked.
 */
function useUnreadAfter(handle: ConversationHandle): number {
  const [after, setAfter] = useState(() => {
    const { unread, readSeqAtOpen } = handle.getSnapshot();
    return unread > 0 ? readSeqAtOpen : NOTHING_UNREAD;
  });
  useEffect(() => {
    const away = (): void => {
      const { unread, appliedSeq } = handle.getSnapshot();
      if (unread === 0) setAfter(appliedSeq);
    };
    window.addEventListener("blur", away);
    return () => window.removeEventListener("blur", away);
  }, [handle]);
  return after;
}

/** Shows the end of the conversation. */
export function jumpToLatest(handle: ConversationHandle, control: RefObject<ListControl | null>): void {
  const settled = handle.getSnapshot().hasNewer ? handle.jumpToLatest() : Promise.resolve();
  // On failure the list stays where it is, and the connection's bar says why.
  void settled.then(() => control.current?.toBottom()).catch(() => undefined);
}

function JumpToLatest(props: { readonly count: number; readonly onJump: () => void }): JSX.Element {
  return (
    <button type="button" class="jump" aria-label={strings.jumpToLatest(props.count)} onClick={props.onJump}>
      <Icon name="chevronDown" />
      {props.count > 0 && <span class="badge">{props.count > 99 ? "99+" : props.count}</span>}
    </button>
  );
}

function keyAround(target: EventTarget | null): string | null {
  const row = target instanceof Element ? target.closest<HTMLElement>("[data-key]") : null;
  return row?.dataset["key"] ?? null;
}

/** What is in the window of a page that somebody looks at is read. */
function markSeen(
  handle: ConversationHandle,
  now: { readonly rows: readonly Row[]; readonly view: ConversationView },
  seen: Seen,
): void {
  if (document.visibilityState !== "visible" || !document.hasFocus()) return;
  const atEnd = seen.atBottom && !now.view.hasNewer;
  const seq = atEnd ? now.view.appliedSeq : lastSeqUpTo(now.rows, seen.last);
  if (seq <= Math.max(seen.marked, now.view.readSeq)) return;
  seen.marked = seq;
  handle.markRead(seq);
}

/** The newest message at or above a row; 0 when there is none. */
function lastSeqUpTo(rows: readonly Row[], last: number): number {
  for (let index = Math.min(last, rows.length - 1); index >= 0; index -= 1) {
    const row = rows[index];
    if (row?.kind === "message") return row.message.seq;
  }
  return 0;
}

/** Looks again whether something was read when the page is looked at again or the view moves. */
function useReading(
  handle: ConversationHandle,
  latest: RefObject<{ readonly rows: readonly Row[]; readonly view: ConversationView }>,
  seen: RefObject<Seen>,
): void {
  const look = (): void => {
    if (latest.current !== null && seen.current !== null) markSeen(handle, latest.current, seen.current);
  };
  useEffect(look);
  useEffect(() => {
    window.addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      window.removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [handle]);
}

function onListKey(event: KeyboardEvent, rows: readonly Row[], handlers: MessageHandlers): void {
  const list = event.currentTarget;
  if (!(list instanceof HTMLElement)) return;
  if (event.key !== "Home" && event.key !== "End" && roveVertically(event, list, "article")) return;
  const article = event.target instanceof HTMLElement ? event.target : null;
  if (article?.tagName !== "ARTICLE") return;
  const row = rows.find((candidate) => candidate.key === article.dataset["key"]);
  if (row?.kind !== "message") return;
  const opens = event.key === "Enter" || event.key === " " || event.key === "ContextMenu";
  if (!opens) return;
  event.preventDefault();
  const anchor = article.querySelector(".bubble") ?? article;
  handlers.onMenu(row.message, anchor.getBoundingClientRect());
}

/** The newest own message that can still be edited. */
export function lastOwnMessage(view: ConversationView): Message | null {
  for (const message of [...view.messages].reverse()) {
    if (message.content !== null && view.rights.edit(message)) return message;
  }
  return null;
}
