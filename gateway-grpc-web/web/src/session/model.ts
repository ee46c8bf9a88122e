// What conversations are made of, as plain values: no Protobuf, no bigint, nothing that changes once
// it is handed out. Times are milliseconds since 1970; seqs are safe integers.

/** Something that changes: read it, and be told when to read it again. */
export interface Store<T> {
  /** The value of now: the same object until it changes. */
  getSnapshot(): T;
  /** Calls the listener after changes, several of them at once. Returns what ends it. */
  subscribe(listener: () => void): () => void;
}

/** What kind of conversation it is. It never changes. */
export type ConversationType = "direct" | "group" | "channel";

/** What a participant may do; each includes the one before. In a direct conversation both are owners. */
export type Role = "member" | "admin" | "owner";

/** What joiners see of what was said before. */
export type HistoryVisibility = "full" | "from-join";

/** How long messages are kept; 0 is no limit. */
export interface Retention {
  readonly maxAgeSeconds: number;
  readonly maxMessages: number;
}

/** A conversation as the events up to `appliedSeq` made it. */
export interface Conversation {
  readonly conversationId: string;
  readonly type: ConversationType;
  readonly title: string;
  readonly description: string;
  readonly avatarUrl: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly creatorId: string;
  /** Empty in a direct conversation. */
  readonly ownerId: string;
  readonly participantCount: number;
  readonly createTime: number | null;
  readonly updateTime: number | null;
  /** Set while it is read-only for everyone. */
  readonly archiveTime: number | null;
  readonly deleteTime: number | null;
  readonly etag: string;
  readonly appliedSeq: number;
  readonly historyVisibility: HistoryVisibility;
  readonly public: boolean;
  /** In the order they were pinned. */
  readonly pinnedSeqs: readonly number[];
  /** In a direct conversation: who has blocked the other side. */
  readonly blockedByIds: readonly string[];
  readonly retention: Retention | null;
  readonly expiredThroughSeq: number;
}

/** A part of a text, in UTF-16 units as JavaScript counts (the contract counts bytes). */
export interface Entity {
  readonly start: number;
  readonly end: number;
  readonly kind: "mention" | "link" | "hashtag";
  /** The user id, the address, or the tag in lower case. */
  readonly value: string;
}

/** What a message says. */
export interface Content {
  readonly text: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Made safe by the server; empty for none. */
  readonly html: string;
  readonly entities: readonly Entity[];
}

/** How many people reacted with one emoji. */
export interface Reaction {
  readonly emoji: string;
  readonly count: number;
  /** Whether this session's user is one of them. */
  readonly reacted: boolean;
}

/** A message as the events up to `appliedSeq` made it. */
export interface Message {
  readonly conversationId: string;
  /** Its place in the order, and its name. */
  readonly seq: number;
  /** The how-manieth message of the conversation it is, from 1. */
  readonly ordinal: number;
  readonly senderId: string;
  readonly requestId: string;
  /** `null` when deleted, or not for this user to read. */
  readonly content: Content | null;
  readonly createTime: number | null;
  readonly editTime: number | null;
  readonly deleteTime: number | null;
  readonly reactions: readonly Reaction[];
  readonly appliedSeq: number;
  /** The message that this one answers; 0 for none. */
  readonly replyToSeq: number;
  /** The message whose thread this one is in; 0 for none. */
  readonly threadSeq: number;
  /** The thread that began with this message. */
  readonly thread: { readonly replyCount: number; readonly lastReplySeq: number } | null;
}

/** A mute or a ban. */
export interface Restriction {
  /** `null`: until it is lifted. */
  readonly until: number | null;
  readonly reason: string;
  readonly actorId: string;
  readonly createTime: number | null;
}

/** A user's part in a conversation. */
export interface Participant {
  readonly userId: string;
  readonly role: Role;
  readonly joinTime: number | null;
  readonly joinSeq: number;
  /** `null` for a participant of now. */
  readonly leaveTime: number | null;
  readonly mute: Restriction | null;
  readonly ban: Restriction | null;
  readonly appliedSeq: number;
}

/** How far one user has got. */
export interface Receipt {
  readonly readSeq: number;
  readonly deliveredSeq: number;
}

/** How a user has arranged a conversation for themselves. */
export interface Settings {
  readonly muted: boolean;
  readonly muteUntil: number | null;
  readonly archived: boolean;
  readonly favourite: boolean;
}

/** What is shown of a user. Without a profile, the name is the id. */
export interface Person {
  readonly userId: string;
  readonly displayName: string;
  readonly avatarUrl: string;
  readonly hasProfile: boolean;
}

/** How present a user is. */
export interface Presence {
  readonly status: "online" | "away" | "offline";
  readonly lastSeenTime: number | null;
  readonly text: string;
}
