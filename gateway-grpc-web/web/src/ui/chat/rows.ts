/**
 * From a view of a conversation to the rows of the list: which messages stand together, where a day
 * begins, where the unread ones begin, how far the own ones have got. Pure.
 */
import type { ConversationView, Message, Notice, Participant, PendingMessage, Receipt } from "../../session/index";
import { isSameDay } from "../text/time";

/** How far an own message has got. */
export type Progress = "sending" | "waiting" | "failed" | "sent" | "delivered" | "read";

/** What every row says about its place. */
interface Place {
  /** The same from the first try to send to the last redraw. */
  readonly key: string;
  readonly senderId: string;
  readonly own: boolean;
  readonly time: number;
  /** The day that begins with this row; 0 when it goes on. */
  readonly day: number;
  /** The unread messages begin with this row. */
  readonly unread: boolean;
  /** First and last of what one person wrote in a row. */
  readonly first: boolean;
  readonly last: boolean;
}

/** A message of the log. */
export interface MessageRow extends Place {
  readonly kind: "message";
  readonly message: Message;
  /** What it answers, or the thread it is in; `null` while that is not loaded. */
  readonly quoted: Message | null;
  readonly pinned: boolean;
  /** Only of own messages. */
  readonly progress: Progress | null;
}

/** A message that is on its way. */
export interface PendingRow extends Place {
  readonly kind: "pending";
  readonly pending: PendingMessage;
  readonly quoted: Message | null;
  readonly progress: Progress;
}

/** What stands above the first message: the beginning, or that older ones come. */
export interface HeadRow {
  readonly kind: "beginning" | "older";
  readonly key: string;
}

/** What happened beside messages: somebody joined, the title changed. */
export interface NoticeRow {
  readonly kind: "notice";
  readonly key: string;
  readonly notice: Notice;
}

/** A row with something that was said. */
export type SaidRow = MessageRow | PendingRow;

/** A row of the list. */
export type Row = SaidRow | NoticeRow | HeadRow;

const GROUP_MS = 5 * 60 * 1000;

/** The lowest cursors of the others who are there now: what all of them have read and got. */
export function othersReached(
  participants: readonly Participant[],
  receipts: ReadonlyMap<string, Receipt>,
  me: string,
): Receipt {
  let readSeq = Number.MAX_SAFE_INTEGER;
  let deliveredSeq = Number.MAX_SAFE_INTEGER;
  let others = 0;
  for (const { userId } of participants) {
    if (userId === me) continue;
    others += 1;
    const receipt = receipts.get(userId);
    readSeq = Math.min(readSeq, receipt?.readSeq ?? 0);
    deliveredSeq = Math.min(deliveredSeq, receipt?.deliveredSeq ?? 0);
  }
  return others === 0 ? { readSeq: 0, deliveredSeq: 0 } : { readSeq, deliveredSeq };
}

function progressOf(seq: number, reached: Receipt): Progress {
  if (reached.readSeq >= seq) return "read";
  return reached.deliveredSeq >= seq ? "delivered" : "sent";
}

/** The key that a message keeps from its first try on. */
export function keyOf(message: Message, me: string): string {
  return message.senderId === me && message.requestId !== "" ? `r:${message.requestId}` : `s:${message.seq}`;
}

/** Builds rows; one for each place where messages are listed, because it remembers the last ones. */
export class RowBuilder {
  private before = new Map<string, Row>();

  constructor(private readonly me: string) {}

  /**
   * The rows of a view; what others wrote after `unreadAfter` begins with a divider. A row that did not
   * change is the same object as before.
   */
  build(view: ConversationView, unreadAfter: number): readonly Row[] {
    const bySeq = new Map(view.messages.map((message) => [message.seq, message]));
    const find = (seq: number): Message | null => bySeq.get(seq) ?? view.quoted.get(seq) ?? null;
    const reached = othersReached(view.participants, view.receipts, this.me);
    const pinned = new Set(view.conversation?.pinnedSeqs);
    const drafts: SaidRow[] = [];
    for (const message of view.messages) {
      const own = message.senderId === this.me;
      drafts.push({
        ...placeless(keyOf(message, this.me), message.senderId, own, message.createTime ?? 0),
        kind: "message",
        message,
        quoted: quotedOf(message, find),
        pinned: pinned.has(message.seq),
        progress: own && message.deleteTime === null ? progressOf(message.seq, reached) : null,
      });
    }
    const known = new Set(drafts.map((row) => row.key));
    if (!view.hasNewer) {
      for (const pending of view.pending) {
        const key = `r:${pending.requestId}`;
        // Its event may be here already, in the moment before it leaves `pending`.
        if (known.has(key)) continue;
        drafts.push(pendingRow(pending, key, this.me, find));
      }
    }
    // Named by what it stands above: when older messages have come it is another row, and what was
    // below it keeps its place.
    const above = drafts[0]?.key ?? "";
    const head: HeadRow = view.hasOlder
      ? { kind: "older", key: `older:${above}` }
      : { kind: "beginning", key: `beginning:${above}` };
    return this.reuse([head, ...placed(withNotices(drafts, view), unreadAfter)]);
  }

  private reuse(rows: readonly Row[]): readonly Row[] {
    const kept = rows.map((row) => {
      const before = this.before.get(row.key);
      return before !== undefined && isSameRow(before, row) ? before : row;
    });
    this.before = new Map(kept.map((row) => [row.key, row]));
    return kept;
  }
}

function placeless(key: string, senderId: string, own: boolean, time: number): Place {
  return { key, senderId, own, time, day: 0, unread: false, first: true, last: true };
}

function quotedOf(
  message: { readonly replyToSeq: number; readonly threadSeq: number },
  find: (seq: number) => Message | null,
): Message | null {
  const seq = message.replyToSeq !== 0 ? message.replyToSeq : message.threadSeq;
  return seq === 0 ? null : find(seq);
}

function pendingRow(
  pending: PendingMessage,
  key: string,
  me: string,
  find: (seq: number) => Message | null,
): PendingRow {
  return {
    ...placeless(key, me, true, pending.createTime),
    kind: "pending",
    pending,
    quoted: quotedOf(pending, find),
    // What only nobody could be reached for goes out by itself when the connection is back.
    progress: pending.state === "failed" && pending.error?.isRetryable === true ? "waiting" : pending.state,
  };
}

/** Puts the notices of the window's time between the messages. */
function withNotices(rows: readonly SaidRow[], view: ConversationView): readonly (SaidRow | NoticeRow)[] {
  const first = view.messages[0]?.seq ?? 0;
  const last = view.messages.at(-1)?.seq ?? 0;
  const shown = view.notices.filter(
    ({ seq, kind }) => kind !== "created" && (!view.hasOlder || seq > first) && (!view.hasNewer || seq < last),
  );
  const result: (SaidRow | NoticeRow)[] = [];
  let next = 0;
  for (const row of rows) {
    const seq = row.kind === "message" ? row.message.seq : Number.MAX_SAFE_INTEGER;
    for (let notice = shown[next]; notice !== undefined && notice.seq < seq; notice = shown[next]) {
      result.push(noticeRow(notice));
      next += 1;
    }
    result.push(row);
  }
  return [...result, ...shown.slice(next).map(noticeRow)];
}

function noticeRow(notice: Notice): NoticeRow {
  return { kind: "notice", key: `n:${notice.seq}`, notice };
}

/** Says of each row where it stands among the others. */
function placed(rows: readonly (SaidRow | NoticeRow)[], unreadAfter: number): readonly (SaidRow | NoticeRow)[] {
  let unreadSeen = false;
  let lastSaid: SaidRow | undefined;
  const result = rows.map((row, index) => {
    if (row.kind === "notice") return row;
    const newDay = lastSaid === undefined || !isSameDay(new Date(lastSaid.time), new Date(row.time));
    const unread = !unreadSeen && isUnread(row, unreadAfter);
    unreadSeen ||= unread;
    const joined = lastSaid !== undefined && rows[index - 1] === lastSaid && together(lastSaid, row);
    lastSaid = row;
    return { ...row, day: newDay ? row.time : 0, unread, first: newDay || unread || !joined };
  });
  return result.map((row, index) => {
    const next = result[index + 1];
    return row.kind === "notice" ? row : { ...row, last: next === undefined || next.kind === "notice" || next.first };
  });
}

function isUnread(row: SaidRow, unreadAfter: number): boolean {
  return row.kind === "message" && !row.own && row.message.seq > unreadAfter;
}

function together(before: SaidRow, row: SaidRow): boolean {
  return before.senderId === row.senderId && row.time - before.time < GROUP_MS;
}

function isSameRow(one: Row, other: Row): boolean {
  const before = one as unknown as Record<string, unknown>;
  const after = other as unknown as Record<string, unknown>;
  return Object.keys(after).every((name) => before[name] === after[name]);
}

/** Whether a row is one with something that was said. */
export function isSaid(row: Row): row is SaidRow {
  return row.kind === "message" || row.kind === "pending";
}
