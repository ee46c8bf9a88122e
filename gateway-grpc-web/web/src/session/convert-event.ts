// The events of a conversation's log: Protobuf to plain values.

import * as events from "../gen/confab/messages/v1/events_pb";
import { content, conversationType, history, message, retention, role, time } from "./convert";
import type { Assignment, Changes, Creation, EventBody, LogEvent } from "./events";

export function logEvent(from: events.Event): LogEvent {
  return {
    conversationId: from.conversationId,
    seq: Number(from.seq),
    createTime: time(from.createTime),
    actorId: from.actorId,
    requestId: from.requestId,
    ordinal: Number(from.ordinal),
    body: body(from.kind),
  };
}

function body(kind: events.Event["kind"]): EventBody {
  switch (kind.case) {
    case "conversationCreated":
      return { kind: "conversation-created", creation: creation(kind.value) };
    case "conversationUpdated":
      return { kind: "conversation-updated", changes: changes(kind.value) };
    case "conversationArchived":
      return { kind: "conversation-archived" };
    case "conversationUnarchived":
      return { kind: "conversation-unarchived" };
    case "conversationDeleted":
      return { kind: "conversation-deleted" };
    case "conversationRestored":
      return { kind: "conversation-restored" };
    case "messageCreated":
      return { kind: "message-created", message: message(kind.value) };
    case "messageEdited": {
      const { messageSeq } = kind.value;
      return { kind: "message-edited", messageSeq: Number(messageSeq), content: content(kind.value.content) };
    }
    case "messageDeleted":
      return { kind: "message-deleted", messageSeq: Number(kind.value.messageSeq) };
    case "reactionAdded":
      return { kind: "reaction-added", messageSeq: Number(kind.value.messageSeq), emoji: kind.value.emoji };
    case "reactionRemoved":
      return { kind: "reaction-removed", messageSeq: Number(kind.value.messageSeq), emoji: kind.value.emoji };
    case "messagePinned":
      return { kind: "message-pinned", messageSeq: Number(kind.value.messageSeq) };
    case "messageUnpinned":
      return { kind: "message-unpinned", messageSeq: Number(kind.value.messageSeq) };
    case "messagesExpired":
      return { kind: "messages-expired", fromSeq: Number(kind.value.fromSeq), toSeq: Number(kind.value.toSeq) };
    default:
      return participantBody(kind);
  }
}

function participantBody(kind: events.Event["kind"]): EventBody {
  switch (kind.case) {
    case "participantsJoined":
      return { kind: "participants-joined", participants: kind.value.participants.map(assignment) };
    case "participantLeft":
      return { kind: "participant-left", userId: kind.value.userId };
    case "rolesChanged":
      return { kind: "roles-changed", changes: kind.value.changes.map(assignment) };
    case "participantMuted": {
      const { userId, until, reason } = kind.value;
      return { kind: "participant-muted", userId, until: time(until), reason };
    }
    case "participantUnmuted":
      return { kind: "participant-unmuted", userId: kind.value.userId };
    case "participantBanned": {
      const { userId, until, reason } = kind.value;
      return { kind: "participant-banned", userId, until: time(until), reason };
    }
    case "participantUnbanned":
      return { kind: "participant-unbanned", userId: kind.value.userId };
    case "participantBlocked":
      return { kind: "participant-blocked" };
    case "participantUnblocked":
      return { kind: "participant-unblocked" };
    default:
      return { kind: "unknown" };
  }
}

function assignment(from: events.RoleAssignment): Assignment {
  return { userId: from.userId, role: role(from.role) };
}

function creation(from: events.ConversationCreated): Creation {
  return {
    type: conversationType(from.type),
    participants: from.participants.map(assignment),
    title: from.title,
    description: from.description,
    avatarUrl: from.avatarUrl,
    metadata: { ...from.metadata },
    public: from.public,
    historyVisibility: history(from.historyVisibility),
    retention: retention(from.retention),
  };
}

function changes(from: events.ConversationUpdated): Changes {
  return {
    ...(from.title !== undefined && { title: from.title }),
    ...(from.description !== undefined && { description: from.description }),
    ...(from.avatarUrl !== undefined && { avatarUrl: from.avatarUrl }),
    ...(from.metadata !== undefined && { metadata: { ...from.metadata.entries } }),
    ...(from.public !== undefined && { public: from.public }),
    ...(from.historyVisibility !== undefined && { historyVisibility: history(from.historyVisibility) }),
    ...(from.retention !== undefined && { retention: retention(from.retention) }),
  };
}
