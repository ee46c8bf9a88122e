// The conversation itself under events, by the rules of the server's fold (crates/client/src/fold).
// Pure. The etag is the seq of the event that moved it last, in decimal.

import type { Creation, LogEvent } from "../events";
import type { Conversation } from "../model";

/** The conversation, and that it reflects every event up to `asOf`, changed by it or not. */
export interface Described {
  readonly conversation: Conversation;
  readonly asOf: number;
}

/** What the first event makes. */
export function created(event: LogEvent, creation: Creation): Described {
  const direct = creation.type === "direct";
  const owner = creation.participants.find((first) => first.role === "owner");
  const conversation: Conversation = {
    conversationId: event.conversationId,
    type: creation.type,
    title: creation.title,
    description: creation.description,
    avatarUrl: creation.avatarUrl,
    metadata: creation.metadata,
    creatorId: event.actorId,
    ownerId: direct ? "" : (owner?.userId ?? ""),
    participantCount: creation.participants.length,
    createTime: event.createTime,
    updateTime: event.createTime,
    archiveTime: null,
    deleteTime: null,
    etag: String(event.seq),
    appliedSeq: event.seq,
    historyVisibility: creation.historyVisibility,
    public: creation.public,
    pinnedSeqs: [],
    blockedByIds: [],
    retention: creation.retention,
    expiredThroughSeq: 0,
  };
  return { conversation, asOf: event.seq };
}

/**
 * Applies an event to the conversation. `wasActive`: whether somebody was a participant before this
 * event; only a ban asks. The same object when nothing changed.
 */
export function describe(
  now: Described,
  event: LogEvent,
  wasActive: (userId: string) => boolean,
): Described {
  if (event.seq <= now.asOf) return now;
  const { conversation } = now;
  // At or below its own seq the event is in it already.
  const fresh = event.seq > conversation.appliedSeq;
  const changes = fresh ? changesOf(conversation, event, wasActive) : null;
  if (changes === null) return { conversation, asOf: event.seq };
  return { conversation: { ...conversation, ...changes, appliedSeq: event.seq }, asOf: event.seq };
}

function changesOf(
  conversation: Conversation,
  event: LogEvent,
  wasActive: (userId: string) => boolean,
): Partial<Conversation> | null {
  const { body, createTime, actorId } = event;
  // People see these in the conversation: the etag moves.
  const described = { updateTime: createTime, etag: String(event.seq) };
  switch (body.kind) {
    case "conversation-updated":
      return { ...body.changes, ...described };
    case "conversation-archived":
      return { archiveTime: createTime, ...described };
    case "conversation-unarchived":
      return { archiveTime: null, ...described };
    case "conversation-deleted":
      return { deleteTime: createTime, ...described };
    case "conversation-restored":
      return { deleteTime: null, ...described };
    case "participants-joined":
      return { participantCount: conversation.participantCount + body.participants.length };
    case "participant-left":
      return oneLess(conversation, event, body.userId);
    case "participant-banned":
      return wasActive(body.userId) ? oneLess(conversation, event, body.userId) : null;
    case "roles-changed": {
      const owner = body.changes.find((change) => change.role === "owner");
      return owner ? { ownerId: owner.userId } : null;
    }
    case "message-pinned":
      return { pinnedSeqs: [...conversation.pinnedSeqs, body.messageSeq] };
    case "message-unpinned":
    case "message-deleted":
      return withoutPins(conversation, (pin) => pin === body.messageSeq);
    case "messages-expired":
      return {
        pinnedSeqs: conversation.pinnedSeqs.filter((pin) => pin < body.fromSeq || pin > body.toSeq),
        expiredThroughSeq: body.toSeq,
      };
    case "participant-blocked":
      return { blockedByIds: [...conversation.blockedByIds, actorId] };
    case "participant-unblocked":
      return { blockedByIds: conversation.blockedByIds.filter((id) => id !== actorId) };
    default:
      return null;
  }
}

/** The last one who leaves deletes the conversation. */
function oneLess(conversation: Conversation, event: LogEvent, userId: string): Partial<Conversation> {
  const participantCount = Math.max(0, conversation.participantCount - 1);
  const ended = participantCount === 0 && conversation.deleteTime === null;
  return {
    participantCount,
    ...(conversation.ownerId === userId && { ownerId: "" }),
    ...(ended && { deleteTime: event.createTime, updateTime: event.createTime, etag: String(event.seq) }),
  };
}

/** Only where there is a pin to take has the conversation changed. */
function withoutPins(
  conversation: Conversation,
  gone: (pin: number) => boolean,
): Partial<Conversation> | null {
  if (!conversation.pinnedSeqs.some(gone)) return null;
  return { pinnedSeqs: conversation.pinnedSeqs.filter((pin) => !gone(pin)) };
}
