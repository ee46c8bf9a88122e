// A session: the parts put together. It passes what the stream brings to whom it concerns, in one order.

import type { Transport } from "@connectrpc/connect";

import { authorize, Calls, openTransport, services } from "./calls";
import { Cell } from "./cell";
import type { Context } from "./context";
import { Delivered } from "./delivered";
import { Directory } from "./directory";
import { SessionError } from "./errors";
import type { Frame, InboxEvent } from "./events";
import { Inbox } from "./inbox";
import { List } from "./list/list";
import { Live } from "./live";
import type { Person, Presence, Settings, Store } from "./model";
import { People } from "./people";
import { Stream, type StreamStatus } from "./stream/stream";
import { INBOX } from "./stream/wire";
import { browserTabs, type TabPlatform, Tabs } from "./tabs";
import { type Claims, Tokens } from "./tokens";
import type { Connection, ConversationHandle, Session, SessionOptions } from "./types";
import { Handle, type Opened } from "./view/handle";
import { OwnTyping, ReadMark } from "./view/marks";
import { Moves } from "./view/moves";
import { storedOutboxes } from "./view/outbox";
import { View } from "./view/view";
import { Watching } from "./watching";

/** Views that nobody has open but that are kept for who comes back. */
const KEPT_VIEWS = 5;
/** Milliseconds that wishes are collected for. */
const WANTS_DELAY = 20;
/** Unread conversations whose messages a start says to have arrived. */
const ARRIVED_AT_START = 20;

export class ConfabSession implements Session {
  readonly userId: string;
  readonly connection = new Cell<Connection>(() => this.#connection);
  readonly conversations;
  readonly presence: Store<ReadonlyMap<string, Presence>>;
  readonly people: Store<ReadonlyMap<string, Person>>;
  readonly directory: Directory;
  #connection: Connection = { status: "connecting" };
  #opened = new Map<string, Opened>();
  #wantsTimer: ReturnType<typeof setTimeout> | undefined;
  #ownPresence: { status: "online" | "away"; text: string } | null = null;
  readonly #context: Context;
  readonly #list: List;
  readonly #live: Live;
  readonly #people: People;
  readonly #inbox: Inbox;
  readonly #delivered: Delivered;
  readonly #watching: Watching;
  readonly #tabs: Tabs;

  constructor(
    options: SessionOptions,
    tokens: Tokens,
    claims: Claims,
    platform: TabPlatform | null,
    transport: Transport = openTransport(options.baseUrl, authorize(tokens), options.fetch),
  ) {
    this.userId = claims.userId;
    const calls = new Calls(services(transport));
    this.#context = {
      userId: claims.userId,
      owner: `confab:${claims.tenantId}:${claims.userId}`,
      calls,
      storage: options.storage ?? null,
      problem: (what) => options.onProblem?.(what),
      wantsChanged: () => this.#wantsChanged(),
    };
    this.#live = new Live((conversationId) => {
      this.#list.store.changed();
      this.#opened.get(conversationId)?.view.changed();
    });
    this.#list = new List(this.#context, {
      typing: (conversationId) => this.#live.typing(conversationId),
      moved: (conversationId) => this.#opened.get(conversationId)?.view.store.changed(),
      headRead: (head) => this.#opened.get(head.conversationId)?.view.takeFrame({ kind: "head", head }),
    });
    this.#people = new People(this.#context);
    this.#inbox = new Inbox(this.#context, (event) => this.#takeInbox(event));
    this.#delivered = new Delivered(this.#context);
    this.#watching = new Watching(this.#list, this.userId);
    this.directory = new Directory(this.#context, this.#list);
    this.conversations = this.#list.store;
    this.presence = this.#live.presence;
    this.people = this.#people.store;
    const name = `confab:${options.baseUrl}:${claims.tenantId}:${claims.userId}`;
    this.#tabs = new Tabs(this.#tabHost(tokens), platform, name);
    tokens.failed = (error) => this.#signedOut(error);
  }

  #tabHost(tokens: Tokens): ConstructorParameters<typeof Tabs>[0] {
    const { realtime } = this.#context.calls.services;
    return {
      openStream: (ears) =>
        new Stream({
          ...ears,
          tokens,
          subscribe: (hello, signal) => realtime.subscribe({ hello }, { signal }),
          acknowledge: async (sessionId, cursors, inboxSeq) => {
            const acked = cursors.map(([conversationId, seq]) => ({ conversationId, seq: BigInt(seq) }));
            const request = { sessionId, cursors: acked, ...(inboxSeq !== null && { inboxSeq: BigInt(inboxSeq) }) };
            await realtime.acknowledge(request, { timeoutMs: 5_000 });
          },
          // It would end by itself, only later.
          endSession: async (sessionId) => {
            await realtime.endSession({ sessionId }, { timeoutMs: 5_000 }).catch(() => undefined);
          },
          problem: (what) => this.#context.problem(what),
        }),
      frame: (frame) => this.#takeFrame(frame),
      status: (status, leader) => this.#takeStatus(status, leader),
    };
  }

  start(): void {
    this.#tabs.start();
    for (const conversationId of storedOutboxes(this.#context)) this.#get(conversationId);
    globalThis.addEventListener?.("online", this.#comeBack);
    globalThis.document?.addEventListener("visibilitychange", this.#comeBack);
  }

  /** The network is there again, or somebody looks. */
  #comeBack = (): void => {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.#connection.status === "offline") this.retryNow();
  };

  #takeStatus(status: StreamStatus, leader: boolean): void {
    const before = this.#connection.status;
    if (before === "ended") return;
    this.#connection = connectionOf(status, leader);
    this.connection.changed();
    if (status.status !== "online") return;
    this.#inbox.reached(status.inboxSeq);
    // Another stream: heads that the one before still had to tell are told by nobody.
    void this.#list.refresh().then(() => this.#listed());
    if (before === "online") return;
    this.#context.calls.wake();
    for (const { view } of this.#opened.values()) view.resume();
    if (leader && this.#ownPresence !== null) void this.#sayPresence();
  }

  /** There is no token any more. Another tab may have one. */
  #signedOut(error: SessionError): void {
    if (this.#connection.status === "ended") return;
    this.#connection = { status: "ended", why: "sign-in", error };
    this.connection.changed();
    this.#tabs.leave();
  }

  #listed(): void {
    if (!this.#tabs.isLeader) return;
    for (const row of this.#list.rows().slice(0, ARRIVED_AT_START)) {
      const { lastMessage, unread, conversation } = row;
      if (unread > 0 && lastMessage !== null && lastMessage.senderId !== this.userId) {
        this.#delivered.arrived(conversation.conversationId, lastMessage.seq);
      }
    }
  }

  #takeFrame(frame: Frame): void {
    if (frame.kind === "inbox") {
      this.#inbox.take(frame.event);
      return;
    }
    if ((frame.kind === "gap" || frame.kind === "synced") && frame.conversationId === INBOX) {
      this.#inbox.reached(frame.kind === "gap" ? frame.toSeq : frame.seq);
      return;
    }
    const conversationId = topicOf(frame);
    const seq = seqOf(frame);
    if (seq > 0) this.#context.calls.heads.note(conversationId, seq);
    this.#live.takeFrame(frame);
    this.#list.takeFrame(frame);
    this.#opened.get(conversationId)?.view.takeFrame(frame);
    if (this.#tabs.isLeader) this.#delivered.takeFrame(frame);
  }

  #takeInbox(event: InboxEvent): void {
    const { conversationId, body } = event;
    this.#list.takeInbox(event);
    const view = this.#opened.get(conversationId)?.view;
    if (body.kind === "joined") view?.rejoined();
    if (body.kind === "read") this.#delivered.read(conversationId, body.readSeq);
    view?.changed();
  }

  #get(conversationId: string): Opened {
    let opened = this.#opened.get(conversationId);
    if (opened === undefined) {
      const view = new View(conversationId, {
        context: this.#context,
        list: this.#list,
        typing: (id) => this.#live.typing(id),
        wrote: (id, seq) => this.#wrote(id, seq),
      });
      const mark = new ReadMark(this.#context, conversationId);
      opened = { view, moves: new Moves(view), mark, typing: new OwnTyping(this.#context, conversationId) };
      this.#opened.set(conversationId, opened);
    }
    return opened;
  }

  open(conversationId: string): ConversationHandle {
    const opened = this.#get(conversationId);
    // The last one used is the last one to go.
    this.#opened.delete(conversationId);
    this.#opened.set(conversationId, opened);
    opened.view.handles += 1;
    this.#watching.use(conversationId);
    void (opened.view.handles === 1 ? opened.view.reopen() : opened.view.open());
    return new Handle(opened, () => {
      opened.view.handles -= 1;
      this.#forgetViews();
    });
  }

  #forgetViews(): void {
    const closed = [...this.#opened.values()].filter(({ view }) => view.handles === 0 && view.outbox.isEmpty);
    for (const { view } of closed.slice(0, Math.max(0, closed.length - KEPT_VIEWS))) {
      this.#opened.delete(view.conversationId);
    }
  }

  /** Who has read everything and then writes has read what they write. */
  #wrote(conversationId: string, seq: number): void {
    this.#list.read(conversationId, seq, 0);
    this.#get(conversationId).mark.move(seq);
  }

  #wantsChanged(): void {
    this.#wantsTimer ??= setTimeout(() => {
      this.#wantsTimer = undefined;
      const views = new Map([...this.#opened].map(([id, { view }]) => [id, view]));
      const watch = this.#watching.watch(views);
      this.#tabs.want({ watch, presence: this.#watching.presence(views), inboxSeq: this.#inbox.cursor });
    }, WANTS_DELAY);
  }

  person = (userId: string): Person => this.#people.get(userId);
  searchPeople = (query: string) => this.#people.search(query);
  setDisplayName = (name: string) => this.#people.rename(name);
  openDirect = (userId: string) => this.directory.openDirect(userId);
  createGroup: Session["createGroup"] = (group) => this.directory.createGroup(group);
  createChannel: Session["createChannel"] = (channel) => this.directory.createChannel(channel);
  listChannels: Session["listChannels"] = (titleQuery = "") => this.directory.listChannels(titleQuery);
  joinChannel = (conversationId: string) => this.directory.joinChannel(conversationId);
  blockPerson = (userId: string, on: boolean) => this.directory.block(userId, on);
  listBlocked = () => this.directory.listBlocked();
  setSettings = (conversationId: string, changes: Partial<Settings>) =>
    this.directory.setSettings(conversationId, changes);

  async setPresence(status: "online" | "away", text = ""): Promise<void> {
    this.#ownPresence = { status, text };
    await this.#sayPresence();
  }

  async #sayPresence(): Promise<void> {
    if (this.#ownPresence === null || this.#connection.status !== "online") return;
    await this.directory.setPresence(this.#ownPresence.status, this.#ownPresence.text);
  }

  retryNow(): void {
    this.#context.calls.wake();
    this.#tabs.retryNow();
    if (this.#list.store.getSnapshot().status === "failed") void this.#list.refresh();
    for (const { view } of this.#opened.values()) if (view.handles > 0) view.resume();
  }

  async close({ revoke = false } = {}): Promise<void> {
    clearTimeout(this.#wantsTimer);
    globalThis.removeEventListener?.("online", this.#comeBack);
    globalThis.document?.removeEventListener("visibilitychange", this.#comeBack);
    this.#list.stop();
    this.#people.stop();
    this.#delivered.stop();
    this.#live.stop();
    try {
      if (revoke) await this.directory.revoke();
      await this.#tabs.close();
    } finally {
      this.#context.calls.close();
      this.#connection = { status: "ended", why: "closed", error: null };
      this.connection.changed();
    }
  }
}

function connectionOf(status: StreamStatus, leader: boolean): Connection {
  if (status.status === "online") return { status: "online", leader };
  if (status.status !== "ended") return status;
  const { error } = status;
  return { status: "ended", why: whyEnded(error), error };
}

function whyEnded(error: SessionError): "sign-in" | "ended-elsewhere" | "closed" | "refused" {
  if (error.kind === "closed") return "closed";
  if (error.kind === "token" || error.isUnauthenticated) return "sign-in";
  return error.reason.startsWith("SESSION_") ? "ended-elsewhere" : "refused";
}

function topicOf(frame: Exclude<Frame, { kind: "inbox" }>): string {
  if (frame.kind === "event") return frame.event.conversationId;
  if (frame.kind === "head") return frame.head.conversationId;
  return frame.kind === "presence" ? "" : frame.conversationId;
}

function seqOf(frame: Frame): number {
  if (frame.kind === "event") return frame.event.seq;
  if (frame.kind === "gap") return frame.toSeq;
  return frame.kind === "synced" ? frame.seq : 0;
}

export function tabPlatform(options: SessionOptions): TabPlatform | null {
  return options.shareTabs === false ? null : browserTabs();
}
