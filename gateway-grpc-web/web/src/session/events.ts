// The events of the two kinds of log, and the other things a stream brings, as plain values: they can
// be posted to other tabs as they are.

import type {
  Content,
  ConversationType,
  HistoryVisibility,
  Message,
  Presence,
  Receipt,
  Retention,
  Role,
  Settings,
} from "./model";

/** One event of a conversation's log. */
export interface LogEvent {
  readonly conversationId: string;
  readonly seq: number;
  readonly createTime: number | null;
  readonly actorId: string;
  readonly requestId: string;
  /** How many messages the log holds up to and including this event. */
  readonly ordinal: number;
  /** What happened; `unknown` is of a newer server and is passed over. */
  readonly body: EventBody;
}

/** A user with a role. */
export interface Assignment {
  readonly userId: string;
  readonly role: Role;
}

/** What a creation says. */
export interface Creation {
  readonly type: ConversationType;
  readonly participants: readonly Assignment[];
  readonly title: string;
  readonly description: string;
  readonly avatarUrl: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly public: boolean;
  readonly historyVisibility: HistoryVisibility;
  readonly retention: Retention | null;
}

/** What an update changes; what is absent did not change. */
export interface Changes {
  readonly title?: string;
  readonly description?: string;
  readonly avatarUrl?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly public?: boolean;
  readonly historyVisibility?: HistoryVisibility;
  readonly retention?: Retention | null;
}

/** Against whom, until when, and why. `null`: until it is lifted. */
export interface Sentence {
  readonly userId: string;
  readonly until: number | null;
  readonly reason: string;
}

/** What happened. */
export type EventBody =
  | { readonly kind: "conversation-created"; readonly creation: Creation }
  | { readonly kind: "conversation-updated"; readonly changes: Changes }
  | { readonly kind: "conversation-archived" }
  | { readonly kind: "conversation-unarchived" }
  | { readonly kind: "conversation-deleted" }
  | { readonly kind: "conversation-restored" }
  | { readonly kind: "message-created"; readonly message: Message }
  | { readonly kind: "message-edited"; readonly messageSeq: number; readonly content: Content | null }
  | { readonly kind: "message-deleted"; readonly messageSeq: number }
  | { readonly kind: "reaction-added"; readonly messageSeq: number; readonly emoji: string }
  | { readonly kind: "reaction-removed"; readonly messageSeq: number; readonly emoji: string }
  | { readonly kind: "message-pinned"; readonly messageSeq: number }
  | { readonly kind: "message-unpinned"; readonly messageSeq: number }
  | { readonly kind: "messages-expired"; readonly fromSeq: number; readonly toSeq: number }
  | { readonly kind: "participants-joined"; readonly participants: readonly Assignment[] }
  | { readonly kind: "participant-left"; readonly userId: string }
  | { readonly kind: "roles-changed"; readonly changes: readonly Assignment[] }
  | ({ readonly kind: "participant-muted" } & Sentence)
  | { readonly kind: "participant-unmuted"; readonly userId: string }
  | ({ readonly kind: "participant-banned" } & Sentence)
  | { readonly kind: "participant-unbanned"; readonly userId: string }
  | { readonly kind: "participant-blocked" }
  | { readonly kind: "participant-unblocked" }
  | { readonly kind: "unknown" };

/** One event of the user's inbox. */
export interface InboxEvent {
  readonly inboxSeq: number;
  readonly conversationId: string;
  readonly body:
    | { readonly kind: "joined"; readonly seq: number; readonly role: Role }
    | { readonly kind: "left"; readonly seq: number }
    | { readonly kind: "read"; readonly readSeq: number }
    | { readonly kind: "settings"; readonly settings: Settings }
    | { readonly kind: "other" };
}

/** The end of a conversation's log as this user sees it. */
export interface Head {
  readonly conversationId: string;
  readonly seq: number;
  readonly unread: number;
  readonly mentions: number;
  readonly readSeq: number;
  readonly lastMessage: Message | null;
  readonly activityTime: number;
}

/** Why a watch ended. */
export interface Ending {
  readonly reason: string;
  readonly message: string;
}

/** What a stream brings, in its order. The inbox is the log with the empty name. */
export type Frame =
  | { readonly kind: "event"; readonly event: LogEvent }
  | { readonly kind: "inbox"; readonly event: InboxEvent }
  | { readonly kind: "gap"; readonly conversationId: string; readonly fromSeq: number; readonly toSeq: number }
  | { readonly kind: "synced"; readonly conversationId: string; readonly seq: number }
  | { readonly kind: "head"; readonly head: Head }
  | { readonly kind: "receipt"; readonly conversationId: string; readonly userId: string; readonly receipt: Receipt }
  | { readonly kind: "typing"; readonly conversationId: string; readonly userId: string; readonly lasts: number }
  | { readonly kind: "presence"; readonly userId: string; readonly presence: Presence }
  | { readonly kind: "watch-ended"; readonly conversationId: string; readonly ending: Ending };
