// The list of conversations: loaded page by page, then moved by heads, by the events of what is watched
// and by the inbox. What cannot be known from those is read anew, a few at a time.

import { ListView } from "../../gen/confab/conversations/v1/conversations_pb";
import { Cell } from "../cell";
import { Batch, type Context, Queue } from "../context";
import { conversation, head, settings } from "../convert";
import { SessionError } from "../errors";
import type { Frame, Head, InboxEvent, LogEvent } from "../events";
import type { Conversation, Settings } from "../model";
import type { ConversationList, ConversationListItem } from "../types";
import { Peers } from "./peers";
import { type Moved, type Row, withEvent, withHead, withRead } from "./row";

const PAGE = 100;
/** Rows that are kept in memory: the most recently active ones. */
const MOST_ROWS = 2_000;
/** Heads asked for in one call. */
const HEADS = 200;
const NO_SETTINGS: Settings = { muted: false, muteUntil: null, archived: false, favourite: false };

/** What the list needs of the session. */
export interface ListHost {
  typing(conversationId: string): readonly string[];
  /** A row is another one than before. */
  moved(conversationId: string): void;
  /** A log was asked for its end, beside what the stream says. */
  headRead(head: Head): void;
}

export class List {
  readonly store = new Cell<ConversationList>(() => this.#build());
  #rows = new Map<string, Row>();
  #status: ConversationList["status"] = "loading";
  #error: SessionError | null = null;
  #loading: Promise<void> = Promise.resolve();
  readonly #peers: Peers;
  readonly #reads: Queue;
  readonly #heads = new Batch(150, (ids) => void this.#readHeads(ids.map((id) => [id, 0])));

  constructor(
    private readonly context: Context,
    private readonly host: ListHost,
  ) {
    const failed = (error: unknown) => context.problem(`the list is behind: ${SessionError.from(error).message}`);
    this.#reads = new Queue(2, failed);
    this.#peers = new Peers(context, this.#reads, () => this.store.changed());
  }

  row(conversationId: string): Row | undefined {
    return this.#rows.get(conversationId);
  }

  /** The rows, the most recently active first. */
  rows(): Row[] {
    const rows = [...this.#rows.values()].filter((row) => row.conversation.deleteTime === null);
    return rows.sort((a, b) => b.activityTime - a.activityTime || compareIds(a, b));
  }

  /** Loads what is there, or only what has moved since. Called for every new stream. */
  refresh(): Promise<void> {
    // What is under way began before: it does not know what was lost since.
    this.#loading = this.#loading.then(() => (this.#status === "ready" ? this.#compare() : this.#load()));
    return this.#loading;
  }

  async #load(): Promise<void> {
    let pageToken = "";
    try {
      do {
        const request = { pageSize: PAGE, pageToken, includeArchived: true, view: ListView.ALL };
        const { conversations } = this.context.calls.services;
        const page = await this.context.calls.call((options) => conversations.listConversations(request, options));
        for (const item of page.conversations) {
          if (item.conversation === undefined || item.head === undefined) continue;
          this.#put(conversation(item.conversation), head(item.head), settings(item.settings));
        }
        pageToken = page.nextPageToken;
        this.#status = "ready";
        this.#error = null;
        this.store.changed();
        this.context.wantsChanged();
      } while (pageToken !== "" && this.#rows.size < MOST_ROWS);
    } catch (thrown) {
      this.#error = SessionError.from(thrown);
      if (this.#status === "loading") this.#status = "failed";
      this.store.changed();
    }
  }

  /** A device that returns asks what has moved. */
  async #compare(): Promise<void> {
    const cursors = [...this.#rows].map(([id, row]): [string, number] => [id, row.headSeq]);
    for (let at = 0; at < cursors.length; at += HEADS) await this.#readHeads(cursors.slice(at, at + HEADS));
  }

  async #readHeads(cursors: readonly (readonly [string, number])[]): Promise<void> {
    const request = { cursors: cursors.map(([conversationId, seq]) => ({ conversationId, seq: BigInt(seq) })) };
    try {
      const { conversations } = this.context.calls.services;
      const answer = await this.context.calls.call((options) => conversations.compareHeads(request, options));
      for (const moved of answer.moved.map(head)) {
        if (!this.#rows.has(moved.conversationId)) continue;
        this.takeHead(moved);
        this.host.headRead(moved);
      }
    } catch (thrown) {
      this.context.problem(`heads are behind: ${SessionError.from(thrown).message}`);
    }
  }

  /** A conversation with its head: a new row, or news of an old one. */
  #put(conversation: Conversation, head: Head, settings: Settings): void {
    const { conversationId } = conversation;
    this.context.calls.heads.note(conversationId, head.seq);
    const known = this.#rows.get(conversationId);
    if (known !== undefined && known.headSeq > head.seq) return;
    this.#rows.set(conversationId, {
      conversation,
      // The page's row is exact, but does not say at which event: the conversation may be older.
      asOf: Math.max(conversation.appliedSeq, known?.asOf ?? 0),
      peerId: this.#peers.of(conversation, head.lastMessage),
      headSeq: head.seq,
      readSeq: Math.max(head.readSeq, known?.readSeq ?? 0),
      unread: head.unread,
      mentions: head.mentions,
      lastMessage: head.lastMessage,
      activityTime: head.activityTime,
      settings,
    });
  }

  takeFrame(frame: Frame): void {
    switch (frame.kind) {
      case "head":
        this.takeHead(frame.head);
        break;
      case "event":
        this.takeEvent(frame.event);
        break;
      case "gap":
        this.#heads.add(frame.conversationId);
        this.#readConversation(frame.conversationId);
        break;
      default:
    }
  }

  takeHead(head: Head): void {
    this.context.calls.heads.note(head.conversationId, head.seq);
    const row = this.#rows.get(head.conversationId);
    if (row === undefined) this.add(head.conversationId);
    else this.#move(head.conversationId, withHead(row, head));
  }

  takeEvent(event: LogEvent): void {
    const row = this.#rows.get(event.conversationId);
    if (row !== undefined) this.#move(event.conversationId, withEvent(row, event, this.context.userId));
    else if (event.body.kind === "conversation-restored") this.add(event.conversationId);
  }

  takeInbox({ conversationId, body }: InboxEvent): void {
    const row = this.#rows.get(conversationId);
    switch (body.kind) {
      case "joined":
        this.context.calls.heads.note(conversationId, body.seq);
        this.add(conversationId);
        break;
      case "left":
        this.remove(conversationId);
        break;
      case "read":
        if (row !== undefined) this.#move(conversationId, withRead(row, body.readSeq, null, true));
        break;
      case "settings":
        if (row !== undefined) this.#set(conversationId, { ...row, settings: body.settings });
        break;
      default:
    }
  }

  /** The user has read up to here, in this tab. */
  read(conversationId: string, readSeq: number, unread: number | null): void {
    const row = this.#rows.get(conversationId);
    if (row !== undefined) this.#move(conversationId, withRead(row, readSeq, unread, false));
  }

  setSettings(conversationId: string, settings: Settings): void {
    const row = this.#rows.get(conversationId);
    if (row !== undefined) this.#set(conversationId, { ...row, settings });
  }

  remove(conversationId: string): void {
    if (!this.#rows.delete(conversationId)) return;
    this.store.changed();
    this.context.wantsChanged();
  }

  /** Reads a conversation that is not in the list, and puts it there. */
  add(conversationId: string): void {
    this.#readConversation(conversationId);
  }

  /** What a read gave, perhaps together with its participants. */
  takeConversation(conversation: Conversation, asOf: number): void {
    const { conversationId } = conversation;
    const row = this.#rows.get(conversationId);
    if (row === undefined) {
      const head = { conversationId, seq: asOf, unread: 0, mentions: 0, readSeq: 0, lastMessage: null };
      this.#put(conversation, { ...head, activityTime: conversation.createTime ?? 0 }, NO_SETTINGS);
      this.#heads.add(conversationId);
      this.store.changed();
      this.context.wantsChanged();
    } else if (asOf >= row.asOf) {
      this.#set(conversationId, { ...row, conversation, asOf });
    }
  }

  #readConversation(conversationId: string): void {
    this.#reads.add(conversationId, async () => {
      const { conversations } = this.context.calls.services;
      try {
        const answer = await this.context.calls.call((options) =>
          conversations.getConversation({ conversationId }, options),
        );
        if (answer.conversation === undefined) return;
        this.takeConversation(conversation(answer.conversation), Number(answer.asOfSeq));
      } catch (thrown) {
        if (SessionError.from(thrown).kind !== "refused") throw thrown;
        this.remove(conversationId);
      }
    });
  }

  #move(conversationId: string, { row, staleHead, staleConversation }: Moved): void {
    if (staleHead) this.#heads.add(conversationId);
    if (staleConversation) this.#readConversation(conversationId);
    this.#set(conversationId, row);
  }

  #set(conversationId: string, row: Row): void {
    if (this.#rows.get(conversationId) === row) return;
    this.#rows.set(conversationId, row);
    this.store.changed();
    this.host.moved(conversationId);
  }

  stop(): void {
    this.#heads.stop();
  }

  #build(): ConversationList {
    const items = this.rows().map((row) => this.#item(row));
    const counted = items.filter(({ settings }) => !settings.archived && !isMuted(settings));
    const unread = counted.reduce((sum, item) => sum + item.unread, 0);
    return { status: this.#status, error: this.#error, items, unread };
  }

  #item(row: Row): ConversationListItem {
    const { conversation } = row;
    const { conversationId, type } = conversation;
    const peerId = row.peerId ?? this.#peers.of(conversation, row.lastMessage);
    return { ...row, conversationId, type, peerId, typing: this.host.typing(conversationId) };
  }
}

function isMuted({ muted, muteUntil }: Settings): boolean {
  return muted && (muteUntil === null || muteUntil > Date.now());
}

function compareIds(a: Row, b: Row): number {
  return a.conversation.conversationId < b.conversation.conversationId ? -1 : 1;
}
