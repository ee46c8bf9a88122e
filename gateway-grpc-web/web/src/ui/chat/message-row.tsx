/**
 * One message in the list: day and unread dividers above it, the sender, the bubble, its reactions,
 * and how far it has got.
 */
import type { JSX } from "preact";
import { Icon } from "../icons";
import { memo } from "../kit/memo";
import { Avatar, Button } from "../kit/parts";
import { strings } from "../strings";
import { MessageBody, excerpt } from "../text/body";
import { isRightToLeft } from "../text/direction";
import { hueOf } from "../text/names";
import { clockTime, dayName, exactTime } from "../text/time";
import type { MessageHandlers } from "./handlers";
import { Reactions, ThreadLink } from "./reactions";
import type { PendingRow, Progress, SaidRow } from "./rows";
import { MessageTools } from "./message-tools";

/** What a row is drawn from. */
export interface RowProps {
  readonly row: SaidRow;
  /** In a direct conversation nobody needs to be told who wrote. */
  readonly direct: boolean;
  /** The row that Tab reaches. */
  readonly focusable: boolean;
  /** Just jumped to. */
  readonly highlighted: boolean;
  readonly me: string;
  /** Changes when names change; a new function then. */
  readonly nameOf: (userId: string) => string;
  readonly handlers: MessageHandlers;
  /** Not inside of a thread. */
  readonly threads: boolean;
}

/** A row; drawn anew only when something of it changed. */
export const MessageRowView = memo((props: RowProps): JSX.Element => {
  const { row } = props;
  const classes = ["row", row.own ? "row-own" : "row-other"];
  if (row.first) classes.push("row-first");
  if (row.last) classes.push("row-last");
  if (props.direct) classes.push("row-direct");
  if (props.highlighted) classes.push("row-highlighted");
  const sender = row.own ? strings.you : props.nameOf(row.senderId);
  return (
    <article
      class={classes.join(" ")}
      data-key={row.key}
      data-seq={row.kind === "message" ? row.message.seq : undefined}
      tabIndex={props.focusable ? 0 : -1}
      aria-label={labelOf(row, sender)}
    >
      {row.day !== 0 && <DayDivider time={row.day} />}
      {row.unread && (
        <p class="unread-divider">
          <span>{strings.newMessages}</span>
        </p>
      )}
      <div class="row-line">
        {!row.own && !props.direct && (
          <div class="row-avatar">{row.last && <Avatar id={row.senderId} name={sender} size="small" />}</div>
        )}
        <div class="row-content">
          {!row.own && !props.direct && row.first && (
            <p class={`row-name line name-${hueOf(row.senderId)}`}>{sender}</p>
          )}
          <Bubble {...props} />
          {row.kind === "message" && row.message.reactions.length > 0 && (
            <Reactions message={row.message} handlers={props.handlers} />
          )}
          {row.kind === "message" && props.threads && row.message.thread !== null && (
            <ThreadLink message={row.message} handlers={props.handlers} />
          )}
          {row.kind === "pending" && row.progress === "failed" && <Failed row={row} handlers={props.handlers} />}
          {row.progress === "waiting" && <p class="waiting">{strings.waitingForConnection}</p>}
        </div>
        {row.kind === "message" && <MessageTools message={row.message} handlers={props.handlers} />}
      </div>
    </article>
  );
});

function textOf(row: SaidRow): string {
  if (row.kind === "pending") return row.pending.text;
  if (row.message.deleteTime !== null) return strings.deletedMessage;
  return row.message.content?.text ?? strings.hiddenMessage;
}

function labelOf(row: SaidRow, sender: string): string {
  const progress = row.progress === null ? "" : strings.progress[row.progress];
  return strings.messageLabel(sender, excerpt(textOf(row), 400), clockTime(new Date(row.time)), progress);
}

function DayDivider(props: { readonly time: number }): JSX.Element {
  return (
    <p class="day-divider">
      <span>{dayName(new Date(props.time), new Date())}</span>
    </p>
  );
}

function Bubble(props: RowProps): JSX.Element {
  const { row, handlers } = props;
  const deleted = row.kind === "message" && row.message.content === null;
  return (
    <div
      class={`bubble ${deleted ? "bubble-deleted" : ""} ${isRightToLeft(textOf(row)) ? "bubble-rtl" : ""}`}
      onClick={(event) => {
        if (row.kind === "message") handlers.onTap(row.message, event);
      }}
      onContextMenu={(event) => {
        if (row.kind === "message") handlers.onContextMenu(row.message, event);
      }}
    >
      <Quote row={row} nameOf={props.nameOf} handlers={handlers} threads={props.threads} />
      {row.kind === "message" && row.message.content !== null ? (
        <MessageBody content={row.message.content} me={props.me} nameOf={props.nameOf} after={<Meta row={row} room />} />
      ) : (
        <p class={`body ${deleted ? "body-gone" : ""}`} dir="auto">
          {textOf(row)}
          <Meta row={row} room />
        </p>
      )}
      <Meta row={row} />
    </div>
  );
}

/** What the message answers, or the thread that it is in. */
function Quote(props: {
  readonly row: SaidRow;
  readonly nameOf: (userId: string) => string;
  readonly handlers: MessageHandlers;
  readonly threads: boolean;
}): JSX.Element | null {
  const { row, handlers } = props;
  const { replyToSeq, threadSeq } = row.kind === "message" ? row.message : row.pending;
  const isReply = replyToSeq !== 0 && replyToSeq !== threadSeq;
  if (!isReply && (threadSeq === 0 || !props.threads)) return null;
  if (row.kind === "message" && row.message.content === null) return null;
  const { quoted } = row;
  const text = quoted?.content?.text ?? (quoted?.deleteTime === null ? "…" : strings.deletedMessage);
  return (
    <button
      type="button"
      class="quote"
      tabIndex={-1}
      onClick={(event) => {
        event.stopPropagation();
        if (isReply) handlers.onJump(replyToSeq);
        else handlers.onThread(threadSeq);
      }}
    >
      <span class="quote-name line">
        {!isReply && <Icon name="thread" class="icon-small" />}
        {isReply ? (quoted === null ? strings.reply : props.nameOf(quoted.senderId)) : strings.inThread}
      </span>
      <span class="quote-text line" dir="auto">
        {quoted === null ? "…" : excerpt(text)}
      </span>
    </button>
  );
}

const PROGRESS_ICONS = { sending: "clock", waiting: "clock", sent: "check", delivered: "checks", read: "checks", failed: "warning" } as const;

/**
 * The time and the marks, in the corner of the bubble. With `room` it is the same, unseen, at the end
 * of the text: it keeps the last line from running into the corner.
 */
function Meta(props: { readonly row: SaidRow; readonly room?: boolean }): JSX.Element {
  const { row } = props;
  const time = new Date(row.time);
  return (
    <span class={props.room === true ? "meta meta-room" : "meta"} aria-hidden="true">
      {row.kind === "message" && row.pinned && <Icon name="pin" class="icon-meta" />}
      {row.kind === "message" && row.message.editTime !== null && row.message.content !== null && (
        <span title={exactTime(new Date(row.message.editTime))}>{strings.edited}</span>
      )}
      <time dateTime={time.toISOString()} title={exactTime(time)}>
        {clockTime(time)}
      </time>
      {row.progress !== null && <ProgressMark progress={row.progress} />}
    </span>
  );
}

function ProgressMark(props: { readonly progress: Progress }): JSX.Element {
  return (
    <span class={`progress progress-${props.progress}`} title={strings.progress[props.progress]}>
      <Icon name={PROGRESS_ICONS[props.progress]} class="icon-meta" />
    </span>
  );
}

function Failed(props: { readonly row: PendingRow; readonly handlers: MessageHandlers }): JSX.Element {
  const { pending } = props.row;
  return (
    <div class="failed" role="group" aria-label={strings.notSent}>
      <span>{strings.notSentBecause(pending.error)}</span>
      <Button small kind="plain" onClick={() => props.handlers.onRetry(pending)}>
        {strings.tryAgain}
      </Button>
      <Button small kind="plain" onClick={() => props.handlers.onDiscard(pending)}>
        {strings.discard}
      </Button>
    </div>
  );
}
