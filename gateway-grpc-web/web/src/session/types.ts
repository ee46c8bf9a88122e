// The session's public face. `createSession` in `index.ts` makes one; README.md has an example.

import type { SessionError } from "./errors";
import type {
  Conversation,
  ConversationType,
  HistoryVisibility,
  Message,
  Participant,
  Person,
  Presence,
  Receipt,
  Role,
  Settings,
  Store,
} from "./model";

/** Where small things are kept between two lives of a page: `sessionStorage` fits. */
export interface KeyValueStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** What a session needs. */
export interface SessionOptions {
  /** Where the gateway is, without a slash at the end. */
  readonly baseUrl: string;
  /**
   * Gives a token: asked for the first one, before one ends, and when one is refused. What it throws
   * ends the session with `sign-in`, unless it is a `TypeError` (fetch could not reach anybody).
   */
  getToken(): Promise<string>;
  /** Where unsent messages outlive a reload. Absent: they do not. */
  readonly storage?: KeyValueStorage;
  /** Whether tabs of one user share one stream. Where the browser can; on unless `false`. */
  readonly shareTabs?: boolean;
  /** Told of what should not happen and was mended: for logs. */
  onProblem?(what: string): void;
  /** For tests: `fetch` by default. */
  readonly fetch?: typeof globalThis.fetch;
}

/** Whether the session hears of what happens. */
export type Connection =
  | { readonly status: "connecting" }
  /** `leader`: this tab has the stream that all tabs share. */
  | { readonly status: "online"; readonly leader: boolean }
  | { readonly status: "offline"; readonly retryAt: number; readonly error: SessionError }
  /** Over: only a new session helps, and `sign-in` needs another token. */
  | {
      readonly status: "ended";
      readonly why: "sign-in" | "ended-elsewhere" | "closed" | "refused";
      readonly error: SessionError | null;
    };

/** A row of the list of conversations. */
export interface ConversationListItem {
  readonly conversationId: string;
  readonly type: ConversationType;
  readonly conversation: Conversation;
  /** In a direct conversation: the other one, once known. */
  readonly peerId: string | null;
  readonly headSeq: number;
  readonly readSeq: number;
  /** Messages above the read cursor. */
  readonly unread: number;
  /** How many of them mention this user; counted up to 100. */
  readonly mentions: number;
  readonly lastMessage: Message | null;
  readonly activityTime: number;
  readonly settings: Settings;
  /** Who types there now, as far as this session hears of it. */
  readonly typing: readonly string[];
}

/** The list of conversations, the most recently active first. Deleted and left ones are not in it. */
export interface ConversationList {
  readonly status: "loading" | "ready" | "failed";
  readonly error: SessionError | null;
  readonly items: readonly ConversationListItem[];
  /** Unread messages of what is neither muted nor archived by the user. */
  readonly unread: number;
}

/** A message that is on its way. It is gone from `pending` when its event has been applied. */
export interface PendingMessage {
  readonly requestId: string;
  readonly conversationId: string;
  readonly text: string;
  readonly replyToSeq: number;
  readonly threadSeq: number;
  readonly createTime: number;
  /** `sent`: the server has it, its event is under way. `failed`: retry or discard it. */
  readonly state: "sending" | "sent" | "failed";
  readonly error: SessionError | null;
}

/** Why somebody may not write. */
export type Obstacle =
  | "not-a-participant"
  | "banned"
  | "deleted"
  | "archived"
  | "blocked"
  | "muted"
  | "channel";

/** What this session's user may do in a conversation, as far as can be told here. The server decides. */
export interface Rights {
  /** `null`: they may write. */
  readonly obstacle: Obstacle | null;
  /** When a mute or ban ends, for the obstacles `muted` and `banned`. */
  readonly obstacleUntil: number | null;
  readonly write: boolean;
  readonly react: boolean;
  readonly pin: boolean;
  readonly addPeople: boolean;
  readonly changeRoles: boolean;
  /** Title, description, who may join. */
  readonly describe: boolean;
  /** For everyone, and back. */
  readonly archive: boolean;
  readonly leave: boolean;
  readonly deleteConversation: boolean;
  /** It is deleted, and they may undo that. */
  readonly restore: boolean;
  /** Own messages may be edited. */
  edit(message: Message): boolean;
  deleteMessage(message: Message): boolean;
  /** Remove, kick, mute, ban: whom they outrank. */
  moderate(participant: Participant): boolean;
}

/** One thread of a conversation, while it is open. */
export interface ThreadView {
  readonly threadSeq: number;
  /** What began it; `null` while unknown. */
  readonly root: Message | null;
  readonly status: "loading" | "ready" | "failed";
  /** The oldest first; without the root. */
  readonly messages: readonly Message[];
  readonly pending: readonly PendingMessage[];
  readonly hasOlder: boolean;
  readonly error: SessionError | null;
}

/** A conversation, while it is open. */
export interface ConversationView {
  readonly conversationId: string;
  /** `gone`: this user is no longer a participant; what was read is still there. */
  readonly status: "loading" | "ready" | "failed" | "gone";
  readonly error: SessionError | null;
  readonly conversation: Conversation | null;
  /** The participants of now, in the order of their ids. */
  readonly participants: readonly Participant[];
  readonly me: Participant | null;
  readonly rights: Rights;
  /** A window of the messages, the oldest first, without a hole; messages of threads are among them. */
  readonly messages: readonly Message[];
  /** What this session is sending, the oldest first. Belongs after the messages. */
  readonly pending: readonly PendingMessage[];
  readonly hasOlder: boolean;
  /** The window does not reach the newest message: see `loadNewer` and `jumpToLatest`. */
  readonly hasNewer: boolean;
  readonly loading: "older" | "newer" | "jump" | null;
  /** Messages that came after the window's last one. */
  readonly newerCount: number;
  /** Every event up to this one is applied. */
  readonly appliedSeq: number;
  readonly readSeq: number;
  /** The read cursor when it was opened: where the unread divider belongs, if anything follows. */
  readonly readSeqAtOpen: number;
  readonly unread: number;
  readonly typing: readonly string[];
  /** By user id, this user's own among them. */
  readonly receipts: ReadonlyMap<string, Receipt>;
  /** The pinned messages in the order they were pinned, as far as they are loaded. */
  readonly pins: readonly Message[];
  /** What replies in the window answer, by seq: for quotes. Filled as it is read. */
  readonly quoted: ReadonlyMap<number, Message>;
  /** What happened beside messages since it was opened, the oldest first: at most 100. */
  readonly notices: readonly Notice[];
}

/** Something that happened in a conversation and is no message. It belongs before the next higher seq. */
export interface Notice {
  readonly seq: number;
  readonly time: number | null;
  readonly kind:
    | "created"
    | "renamed"
    | "archived"
    | "unarchived"
    | "deleted"
    | "restored"
    | "joined"
    | "left"
    | "removed"
    | "role"
    | "muted"
    | "unmuted"
    | "banned"
    | "pinned";
  readonly actorId: string;
  /** Whom it is about. */
  readonly userIds: readonly string[];
  /** Of `renamed`. */
  readonly title: string;
  /** Of `role`. */
  readonly role: Role | null;
  /** Of `pinned`. */
  readonly messageSeq: number;
}

/** What to send. */
export interface Draft {
  readonly text: string;
  readonly replyToSeq?: number;
  readonly threadSeq?: number;
  /** Mentions by place in the text, in UTF-16 units. The server finds `@user` itself. */
  readonly mentions?: readonly { readonly start: number; readonly end: number; readonly userId: string }[];
}

/**
 * A conversation that is followed. Opening it again gives another handle of the same view. Commands
 * reject with a `SessionError`; none of them is lost or done twice because of a broken connection.
 */
export interface ConversationHandle extends Store<ConversationView> {
  readonly conversationId: string;

  /** Shows it in `pending` at once and sends it, again and again under one request id. */
  send(draft: Draft): PendingMessage;
  retry(requestId: string): void;
  discard(requestId: string): void;

  edit(messageSeq: number, text: string): Promise<void>;
  delete(messageSeq: number): Promise<void>;
  react(messageSeq: number, emoji: string, on: boolean): Promise<void>;
  pin(messageSeq: number, on: boolean): Promise<void>;
  /** Who reacted with what. */
  listReactions(messageSeq: number): Promise<readonly { readonly userId: string; readonly emoji: readonly string[] }[]>;

  loadOlder(): Promise<void>;
  loadNewer(): Promise<void>;
  /** Moves the window so that it ends at the newest message. */
  jumpToLatest(): Promise<void>;
  /** Moves the window around a message. `false`: there is none for this user. */
  jumpTo(messageSeq: number): Promise<boolean>;
  /**
   * Whether the user looks at the end: then new messages push out the oldest beyond the window's
   * bound. Else the window stays where it is, and new ones are counted in `newerCount`.
   */
  setFollowing(following: boolean): void;

  /** Everything up to here was seen: call it freely, it only grows and is sent now and then. */
  markRead(seq: number): void;
  /** Call it at each change of the draft. */
  typing(): void;
  stopTyping(): void;

  openThread(threadSeq: number): ThreadHandle;

  addPeople(userIds: readonly string[]): Promise<void>;
  removePerson(userId: string): Promise<void>;
  setRole(userId: string, role: "member" | "admin"): Promise<void>;
  transferOwnership(userId: string): Promise<void>;
  mute(userId: string, on: boolean, until?: number): Promise<void>;
  ban(userId: string, on: boolean, until?: number): Promise<void>;
  leave(): Promise<void>;
  update(changes: ConversationChanges): Promise<void>;
  /** For everyone: read-only, or writable again. */
  archive(on: boolean): Promise<void>;
  deleteConversation(): Promise<void>;
  restore(): Promise<void>;

  /** Lets go of it. The view lives on for whoever else has it open, and a while for who comes back. */
  close(): void;
}

/** An open thread. */
export interface ThreadHandle extends Store<ThreadView> {
  loadOlder(): Promise<void>;
  close(): void;
}

/** Fields of a conversation that can be changed; those left out are not. */
export interface ConversationChanges {
  readonly title?: string;
  readonly description?: string;
  readonly public?: boolean;
  readonly historyVisibility?: HistoryVisibility;
}

/** A public channel that can be joined. */
export interface Channel {
  readonly conversation: Conversation;
  /** Whether it is in this user's list already. */
  readonly joined: boolean;
}

/** One user's session, shared by the tabs of that user. */
export interface Session {
  /** From the token. */
  readonly userId: string;
  readonly connection: Store<Connection>;
  readonly conversations: Store<ConversationList>;
  /** Of people that this session watches: those of direct and open conversations, at most 200. */
  readonly presence: Store<ReadonlyMap<string, Presence>>;
  /** Profiles that are known. Ask for one with `person`, and it will be. */
  readonly people: Store<ReadonlyMap<string, Person>>;
  /** What is known of somebody now. Loads the profile if it is not known. */
  person(userId: string): Person;

  open(conversationId: string): ConversationHandle;

  /** The id of the direct conversation with somebody, made if there is none. */
  openDirect(userId: string): Promise<string>;
  createGroup(group: { readonly title: string; readonly userIds: readonly string[] }): Promise<string>;
  createChannel(channel: {
    readonly title: string;
    readonly public: boolean;
    readonly userIds?: readonly string[];
  }): Promise<string>;
  listChannels(titleQuery?: string): Promise<readonly Channel[]>;
  joinChannel(conversationId: string): Promise<void>;

  /** People with a profile whose id or name contains this. */
  searchPeople(query: string): Promise<readonly Person[]>;
  /** The user's own display name. */
  setDisplayName(name: string): Promise<void>;
  setPresence(status: "online" | "away", text?: string): Promise<void>;
  blockPerson(userId: string, on: boolean): Promise<void>;
  listBlocked(): Promise<readonly string[]>;

  setSettings(conversationId: string, changes: Partial<Settings>): Promise<void>;

  /** Tries to connect now instead of at `retryAt`. */
  retryNow(): void;
  /** Stops. `revoke`: ends the login as well, in all tabs and devices that share it. */
  close(options?: { readonly revoke?: boolean }): Promise<void>;
}

export type { Role };
