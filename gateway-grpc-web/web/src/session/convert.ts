// Protobuf to plain values. It decides nothing: what is absent there is null or empty here.

import type { Timestamp } from "@bufbuild/protobuf/wkt";

import * as conversations from "../gen/confab/conversations/v1/conversations_pb";
import * as events from "../gen/confab/messages/v1/events_pb";
import type { Receipt as ReceiptPb } from "../gen/confab/messages/v1/messages_pb";
import * as inbox from "../gen/confab/participants/v1/inbox_pb";
import * as participants from "../gen/confab/participants/v1/participants_pb";
import type { User } from "../gen/confab/participants/v1/users_pb";
import { type Presence as PresencePb, PresenceStatus } from "../gen/confab/realtime/v1/presence_pb";
import * as types from "../gen/confab/types/v1/types_pb";
import type { Head, InboxEvent } from "./events";
import type {
  Content,
  Conversation,
  ConversationType,
  Entity,
  HistoryVisibility,
  Message,
  Participant,
  Person,
  Presence,
  Receipt,
  Restriction,
  Retention,
  Role,
  Settings,
} from "./model";

export function time(timestamp: Timestamp | undefined): number | null {
  if (timestamp === undefined) return null;
  return Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1e6);
}

export function role(role: types.Role): Role {
  if (role === types.Role.OWNER) return "owner";
  return role === types.Role.ADMIN ? "admin" : "member";
}

export function conversationType(type: types.ConversationType): ConversationType {
  if (type === types.ConversationType.DIRECT) return "direct";
  return type === types.ConversationType.CHANNEL ? "channel" : "group";
}

/** The server's default is said. */
export function history(visibility: types.HistoryVisibility): HistoryVisibility {
  return visibility === types.HistoryVisibility.FROM_JOIN ? "from-join" : "full";
}

/** A retention without limits is none. */
export function retention(kept: events.Retention | undefined): Retention | null {
  if (kept === undefined || (kept.maxAgeSeconds === 0n && kept.maxMessages === 0n)) return null;
  return { maxAgeSeconds: Number(kept.maxAgeSeconds), maxMessages: Number(kept.maxMessages) };
}

export function conversation(from: conversations.Conversation): Conversation {
  return {
    conversationId: from.conversationId,
    type: conversationType(from.type),
    title: from.title,
    description: from.description,
    avatarUrl: from.avatarUrl,
    metadata: { ...from.metadata },
    creatorId: from.creatorId,
    ownerId: from.ownerId,
    participantCount: from.participantCount,
    createTime: time(from.createTime),
    updateTime: time(from.updateTime),
    archiveTime: time(from.archiveTime),
    deleteTime: time(from.deleteTime),
    etag: from.etag,
    appliedSeq: Number(from.appliedSeq),
    historyVisibility: history(from.historyVisibility),
    public: from.public,
    pinnedSeqs: from.pinnedSeqs.map(Number),
    blockedByIds: [...from.blockedByIds],
    retention: retention(from.retention),
    expiredThroughSeq: Number(from.expiredThroughSeq),
  };
}

export function content(from: events.Content | undefined): Content | null {
  if (from === undefined) return null;
  const { text, html } = from;
  return { text, html, attributes: { ...from.attributes }, entities: entities(text, from.entities) };
}

/** The contract counts bytes of UTF-8; JavaScript counts units of UTF-16. */
function entities(text: string, from: readonly events.Entity[]): Entity[] {
  if (from.length === 0) return [];
  const utf16 = offsets(text);
  return from.flatMap((entity) => {
    const [start, end] = [utf16(entity.start), utf16(entity.end)];
    const kind = entity.kind.case;
    if (kind === undefined || start === undefined || end === undefined) return [];
    return [{ start, end, kind, value: entity.kind.value }];
  });
}

/** Finds the UTF-16 offset of a byte, for bytes in rising order. Not defined inside a character. */
function offsets(text: string): (byte: number) => number | undefined {
  let [unit, bytes] = [0, 0];
  return (byte) => {
    while (bytes < byte && unit < text.length) {
      const point = text.codePointAt(unit) ?? 0;
      bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      unit += point < 0x10000 ? 1 : 2;
    }
    return bytes === byte ? unit : undefined;
  };
}

/** The byte offset of a UTF-16 unit: what a request wants. */
export function byteOffset(text: string, unit: number): number {
  return new TextEncoder().encode(text.slice(0, unit)).length;
}

export function message(from: events.Message): Message {
  const { thread } = from;
  return {
    conversationId: from.conversationId,
    seq: Number(from.seq),
    ordinal: Number(from.ordinal),
    senderId: from.senderId,
    requestId: from.requestId,
    content: content(from.content),
    createTime: time(from.createTime),
    editTime: time(from.editTime),
    deleteTime: time(from.deleteTime),
    reactions: from.reactions.map(({ emoji, count, reacted }) => ({ emoji, count, reacted })),
    appliedSeq: Number(from.appliedSeq),
    replyToSeq: Number(from.replyToSeq),
    threadSeq: Number(from.threadSeq),
    thread: thread
      ? { replyCount: thread.replyCount, lastReplySeq: Number(thread.lastReplySeq) }
      : null,
  };
}

export function participant(from: participants.Participant): Participant {
  return {
    userId: from.userId,
    role: role(from.role),
    joinTime: time(from.joinTime),
    joinSeq: Number(from.joinSeq),
    leaveTime: time(from.leaveTime),
    mute: restriction(from.mute),
    ban: restriction(from.ban),
    appliedSeq: Number(from.appliedSeq),
  };
}

function restriction(from: participants.Restriction | undefined): Restriction | null {
  if (from === undefined) return null;
  const { reason, actorId } = from;
  return { until: time(from.until), reason, actorId, createTime: time(from.createTime) };
}

export function receipt(from: ReceiptPb): Receipt {
  return { readSeq: Number(from.readSeq), deliveredSeq: Number(from.deliveredSeq) };
}

export function settings(from: inbox.ConversationSettings | undefined): Settings {
  return {
    muted: from?.muted ?? false,
    muteUntil: time(from?.muteUntil),
    archived: from?.archived ?? false,
    favourite: from?.favourite ?? false,
  };
}

export function person(from: User): Person {
  const { userId, displayName, avatarUrl } = from;
  return { userId, displayName: displayName || userId, avatarUrl, hasProfile: true };
}

export function presence(from: PresencePb): Presence {
  const lastSeenTime = time(from.lastSeenTime);
  if (from.status === PresenceStatus.ONLINE) return { status: "online", lastSeenTime, text: from.text };
  if (from.status === PresenceStatus.AWAY) return { status: "away", lastSeenTime, text: from.text };
  return { status: "offline", lastSeenTime, text: "" };
}

export function head(from: conversations.ConversationHead): Head {
  return {
    conversationId: from.conversationId,
    seq: Number(from.seq),
    unread: Number(from.unreadCount),
    mentions: from.mentionCount,
    readSeq: Number(from.readSeq),
    lastMessage: from.lastMessage ? message(from.lastMessage) : null,
    activityTime: time(from.activityTime) ?? 0,
  };
}

export function inboxEvent(from: inbox.InboxEvent): InboxEvent {
  const { conversationId } = from;
  return { inboxSeq: Number(from.inboxSeq), conversationId, body: inboxBody(from.kind) };
}

function inboxBody(kind: inbox.InboxEvent["kind"]): InboxEvent["body"] {
  switch (kind.case) {
    case "joined":
      return { kind: "joined", seq: Number(kind.value.seq), role: role(kind.value.role) };
    case "left":
      return { kind: "left", seq: Number(kind.value.seq) };
    case "readCursorMoved":
      return { kind: "read", readSeq: Number(kind.value.readSeq) };
    case "settingsChanged":
      return { kind: "settings", settings: settings(kind.value.settings) };
    default:
      return { kind: "other" };
  }
}
