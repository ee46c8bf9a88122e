// One row of the list of conversations, as heads and events move it. Pure: a row is never changed, only
// replaced. `stale` says what has to be read anew because a fold cannot know it.

import type { Head, LogEvent } from "../events";
import { describe } from "../fold/conversation";
import type { Conversation, Message, Settings } from "../model";

export interface Row {
  readonly conversation: Conversation;
  /** The conversation reflects every event up to this one. */
  readonly asOf: number;
  readonly peerId: string | null;
  readonly headSeq: number;
  readonly readSeq: number;
  readonly unread: number;
  readonly mentions: number;
  readonly lastMessage: Message | null;
  readonly activityTime: number;
  readonly settings: Settings;
}

/** A row, and what of it is only a guess. */
export interface Moved {
  readonly row: Row;
  readonly staleHead: boolean;
  readonly staleConversation: boolean;
}

/** The server's word on the end of the log. An older one than is known changes nothing. */
export function withHead(row: Row, head: Head): Moved {
  if (head.seq < row.headSeq) return { row, staleHead: false, staleConversation: false };
  // One message more changes nothing of the conversation.
  const onlyMessage = head.seq === row.headSeq + 1 && head.lastMessage?.seq === head.seq;
  const isNews = head.seq > row.headSeq && head.seq > row.asOf;
  const moved: Row = {
    ...row,
    headSeq: head.seq,
    ...readOf(row, head),
    lastMessage: head.lastMessage ?? row.lastMessage,
    activityTime: Math.max(row.activityTime, head.activityTime),
  };
  return { row: moved, staleHead: false, staleConversation: isNews && !onlyMessage };
}

/** A mark of ours may be under way: then the server counts as unread what is read here. */
function readOf(row: Row, head: Head): Pick<Row, "readSeq" | "unread" | "mentions"> {
  const { readSeq, unread, mentions } = head;
  if (readSeq >= row.readSeq) return { readSeq, unread, mentions };
  const most = row.unread + Math.max(0, head.seq - row.headSeq);
  return { readSeq: row.readSeq, unread: Math.min(unread, most), mentions: Math.min(mentions, row.mentions, most) };
}

/** An event of a watched conversation. */
export function withEvent(row: Row, event: LogEvent, userId: string): Moved {
  if (event.seq <= row.headSeq) return withOldEvent(row, event);
  const isHole = event.seq > row.headSeq + 1;
  const described = describe({ conversation: row.conversation, asOf: row.asOf }, event, () => false);
  // Whether somebody who is banned was a participant is not known here.
  const unsure = event.body.kind === "participant-banned";
  const counted = countMessage(row, event, userId);
  return {
    row: {
      ...row,
      ...counted.changes,
      conversation: described.conversation,
      asOf: isHole ? row.asOf : described.asOf,
      headSeq: event.seq,
      activityTime: Math.max(row.activityTime, event.createTime ?? 0),
    },
    staleHead: isHole || counted.unsure,
    staleConversation: isHole || unsure,
  };
}

/** The conversation may be older than the head. */
function withOldEvent(row: Row, event: LogEvent): Moved {
  if (event.seq !== row.asOf + 1) return { row, staleHead: false, staleConversation: false };
  const described = describe({ conversation: row.conversation, asOf: row.asOf }, event, () => false);
  const staleConversation = event.body.kind === "participant-banned";
  return { row: { ...row, ...described }, staleHead: false, staleConversation };
}

function countMessage(row: Row, event: LogEvent, userId: string): { changes: Partial<Row>; unsure: boolean } {
  const { body } = event;
  const { lastMessage } = row;
  switch (body.kind) {
    case "message-created": {
      const isOwn = body.message.senderId === userId;
      // Who has read everything and then writes has read what they write.
      if (isOwn && row.unread === 0) {
        return { changes: { lastMessage: body.message, readSeq: event.seq }, unsure: false };
      }
      const mentioned = !isOwn && mentions(body.message, userId);
      return {
        changes: {
          lastMessage: body.message,
          unread: row.unread + 1,
          mentions: Math.min(100, row.mentions + (mentioned ? 1 : 0)),
        },
        unsure: false,
      };
    }
    case "message-edited": {
      const isLast = lastMessage !== null && lastMessage.seq === body.messageSeq;
      const edited = isLast && { lastMessage: { ...lastMessage, content: body.content, editTime: event.createTime } };
      return { changes: edited || {}, unsure: body.messageSeq > row.readSeq };
    }
    case "message-deleted": {
      const isLast = lastMessage !== null && lastMessage.seq === body.messageSeq;
      const erased = isLast && { lastMessage: erase(lastMessage, event) };
      return { changes: erased || {}, unsure: row.mentions > 0 && body.messageSeq > row.readSeq };
    }
    case "messages-expired":
      return { changes: {}, unsure: lastMessage !== null && lastMessage.seq <= body.toSeq };
    default:
      return { changes: {}, unsure: false };
  }
}

function erase(message: Message, event: LogEvent): Message {
  return { ...message, content: null, reactions: [], deleteTime: event.createTime };
}

function mentions(message: Message, userId: string): boolean {
  return (message.content?.entities ?? []).some((one) => one.kind === "mention" && one.value === userId);
}

/**
 * The user has read up to here, on this device or another. `unread`: how many messages are above it, as
 * far as that is known; the server's word on it (`isSettled`) says when what is known may be asked for.
 */
export function withRead(row: Row, readSeq: number, unread: number | null, isSettled: boolean): Moved {
  const isNews = readSeq > row.readSeq;
  const known = { row, staleHead: false, staleConversation: false };
  if (readSeq < row.readSeq) return known;
  if (readSeq >= row.headSeq) {
    return isNews || row.unread > 0 ? { ...known, row: { ...row, readSeq, unread: 0, mentions: 0 } } : known;
  }
  const left = unread ?? row.unread;
  const moved = isNews ? { ...row, readSeq, unread: left, mentions: Math.min(row.mentions, left) } : row;
  return { ...known, row: moved, staleHead: isSettled && (isNews || row.unread > 0) };
}
