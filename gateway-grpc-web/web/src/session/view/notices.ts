// What happened in a conversation beside messages, for the lines between them. Pure.

import type { LogEvent } from "../events";
import type { Notice } from "../types";

export function noticeOf(event: LogEvent): Notice | null {
  const { seq, createTime: time, actorId, body } = event;
  const base = { seq, time, actorId, userIds: [], title: "", role: null, messageSeq: 0 };
  switch (body.kind) {
    case "conversation-created":
      return { ...base, kind: "created", title: body.creation.title };
    case "conversation-updated":
      return body.changes.title === undefined ? null : { ...base, kind: "renamed", title: body.changes.title };
    case "conversation-archived":
      return { ...base, kind: "archived" };
    case "conversation-unarchived":
      return { ...base, kind: "unarchived" };
    case "conversation-deleted":
      return { ...base, kind: "deleted" };
    case "conversation-restored":
      return { ...base, kind: "restored" };
    case "participants-joined":
      return { ...base, kind: "joined", userIds: body.participants.map((one) => one.userId) };
    case "participant-left":
      return { ...base, kind: body.userId === actorId ? "left" : "removed", userIds: [body.userId] };
    case "roles-changed": {
      const [first] = body.changes;
      return first === undefined ? null : { ...base, kind: "role", userIds: [first.userId], role: first.role };
    }
    case "participant-muted":
      return { ...base, kind: "muted", userIds: [body.userId] };
    case "participant-unmuted":
      return { ...base, kind: "unmuted", userIds: [body.userId] };
    case "participant-banned":
      return { ...base, kind: "banned", userIds: [body.userId] };
    case "message-pinned":
      return { ...base, kind: "pinned", messageSeq: body.messageSeq };
    default:
      return null;
  }
}
