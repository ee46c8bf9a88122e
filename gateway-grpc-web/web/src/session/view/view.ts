// One open conversation: a snapshot that was read, the events after it, and a window of messages that
// stays small however long the conversation is. The next event is the last one applied plus one; what is
// missing is paged from the log, and where a part of the log is hidden, the snapshot is read anew.

import { Cell } from "../cell";
import type { Context } from "../context";
import { SessionError } from "../errors";
import type { Ending, Frame, LogEvent } from "../events";
import { ConversationState } from "../fold/state";
import type { Message, Receipt } from "../model";
import type { ConversationView, Notice } from "../types";
import type { List } from "../list/list";
import { Extras } from "./extras";
import { KEPT_MESSAGES, MOST_HELD, MOST_MESSAGES, MOST_NOTICES, MOST_PAGED } from "./limits";
import { noticeOf } from "./notices";
import { Outbox } from "./outbox";
import { isNoMember, Reads } from "./reads";
import { NOTHING, rightsOf } from "./rights";
import { Threads } from "./threads";

/** What a view needs of the session. */
export interface ViewHost {
  readonly context: Context;
  readonly list: List;
  typing(conversationId: string): readonly string[];
  /** A message of this tab has reached the log; everything was read when it was written. */
  wrote(conversationId: string, seq: number): void;
}

export class View {
  readonly store = new Cell<ConversationView>(() => this.#build());
  readonly reads: Reads;
  readonly outbox: Outbox;
  readonly threads: Threads;
  /** How many have it open. */
  handles = 0;
  /** Whether the user looks at the end. */
  following = true;
  state: ConversationState | null = null;
  loading: ConversationView["loading"] = null;
  readSeqAtOpen = 0;
  #status: ConversationView["status"] = "loading";
  #error: SessionError | null = null;
  #opening: Promise<void> | null = null;
  #receipts = new Map<string, Receipt>();
  #notices: Notice[] = [];
  #held: LogEvent[] = [];
  #target = 0;
  #catching = false;
  readonly #extras: Extras;

  constructor(
    readonly conversationId: string,
    readonly host: ViewHost,
  ) {
    const { context } = host;
    this.reads = new Reads(context, conversationId);
    this.#extras = new Extras(this, context);
    this.threads = new Threads(this);
    this.outbox = new Outbox(
      context,
      conversationId,
      () => (this.handles > 0 && this.#status !== "gone" ? this.appliedSeq : null),
      () => this.changed(),
      () => host.list.row(conversationId)?.unread === 0,
      (seq, hadRead) => {
        this.#seen(seq);
        if (hadRead) host.wrote(conversationId, seq);
      },
    );
  }

  /** The cursor to watch from; `null` before there is one. */
  get appliedSeq(): number | null {
    return this.state?.appliedSeq ?? null;
  }

  get isGone(): boolean {
    return this.#status === "gone";
  }

  changed(): void {
    this.threads.changed();
    this.store.changed();
  }

  /** Somebody comes who does not know what was shown before. */
  async reopen(): Promise<void> {
    if (this.state !== null) {
      this.readSeqAtOpen = this.host.list.row(this.conversationId)?.readSeq ?? this.readSeqAtOpen;
      this.following = true;
      // Whoever was here has read far from the end.
      if (!this.state.reachesEnd()) this.state = null;
    }
    await this.open();
  }

  /** Reads the snapshot, or what was missed since. */
  async open(): Promise<void> {
    if (this.state !== null && this.#status === "ready") {
      this.#seen(this.host.context.calls.heads.get(this.conversationId));
      return;
    }
    this.#opening ??= this.#load().finally(() => {
      this.#opening = null;
    });
    await this.#opening;
  }

  async #load(): Promise<void> {
    if (this.#status !== "gone") this.#status = "loading";
    this.changed();
    try {
      await this.#readSnapshot();
    } catch (thrown) {
      const error = SessionError.from(thrown);
      this.#error = error;
      this.#status = isNoMember(error) ? "gone" : "failed";
      this.changed();
    }
  }

  async #readSnapshot(): Promise<void> {
    const { context, list } = this.host;
    const isFirst = this.state === null;
    if (isFirst) this.readSeqAtOpen = list.row(this.conversationId)?.readSeq ?? 0;
    const { snapshot, isGone } = await this.reads.snapshot();
    this.state = new ConversationState(this.conversationId, context.userId, snapshot);
    this.#status = isGone ? "gone" : "ready";
    this.#error = null;
    this.following = true;
    if (snapshot.conversation !== null && snapshot.conversation.deleteTime === null) {
      list.takeConversation(snapshot.conversation, snapshot.conversationAsOf);
    }
    this.#settle();
    this.changed();
    context.wantsChanged();
    this.threads.reload();
    await this.#readReceipts(isFirst);
    this.#drain();
    void this.outbox.run();
  }

  async #readReceipts(isFirst: boolean): Promise<void> {
    if (this.#status !== "ready") return;
    try {
      for (const [userId, receipt] of await this.reads.receipts()) this.#moveReceipt(userId, receipt);
      const own = this.#receipts.get(this.host.context.userId);
      if (isFirst && this.readSeqAtOpen === 0) this.readSeqAtOpen = own?.readSeq ?? 0;
      this.changed();
    } catch (thrown) {
      this.host.context.problem(`receipts are not known: ${SessionError.from(thrown).message}`);
    }
  }

  /** The stream is online again: what passed by may be lost. */
  resume(): void {
    if (this.#status === "failed" || (this.state === null && this.#status !== "gone")) void this.open();
    else if (this.handles > 0) void this.#readReceipts(false);
    this.#drain();
    this.outbox.retryAll();
  }

  takeFrame(frame: Frame): void {
    switch (frame.kind) {
      case "event":
        // Too many: all of them are read from the log instead.
        if (this.#held.length >= MOST_HELD) this.#held = [];
        this.#held.push(frame.event);
        this.#seen(frame.event.seq);
        break;
      case "gap":
        this.#seen(frame.toSeq);
        break;
      case "synced":
        this.#seen(frame.seq);
        // Receipts that moved before it was watched were told to nobody.
        if (this.handles > 0) void this.#readReceipts(false);
        break;
      case "head":
        // It is not watched yet, or again.
        this.#seen(frame.head.seq);
        break;
      case "receipt":
        this.#moveReceipt(frame.userId, frame.receipt);
        this.changed();
        break;
      case "watch-ended":
        this.#watchEnded(frame.ending);
        break;
      default:
    }
  }

  /** The user is a participant again. */
  rejoined(): void {
    if (this.#status !== "gone") return;
    this.#status = "loading";
    this.state = null;
    void this.open();
  }

  /** The log has an event `seq` that this user may see. */
  #seen(seq: number): void {
    this.#target = Math.max(this.#target, seq);
    this.#drain();
  }

  /** Applies what is held, as far as it goes on without a hole. */
  #drain(): void {
    const { state } = this;
    if (state === null || this.#catching) return;
    let changed = false;
    let event: LogEvent | undefined;
    while ((event = this.#held[0]) !== undefined && state.expects(event.seq) !== "hole") {
      this.#held.shift();
      if (state.expects(event.seq) === "next") {
        this.apply(event);
        changed = true;
      }
    }
    if (changed) this.#applied();
    if (state.appliedSeq < this.#target && this.#status === "ready") void this.#catchUp(state);
  }

  /** Applies the next event. */
  apply(event: LogEvent): void {
    const { state } = this;
    if (state === null) return;
    const isFull = state.main.seqs.length >= MOST_MESSAGES;
    state.apply(event, (window) => window !== state.main || this.following || !isFull);
    if (this.following && state.main.seqs.length > MOST_MESSAGES) {
      this.trimmed(() => state.main.dropOldest(KEPT_MESSAGES));
    }
    this.outbox.confirm(event);
    const notice = noticeOf(event);
    if (notice !== null) this.#notices = [...this.#notices, notice].slice(-MOST_NOTICES);
    const isOwnEnd =
      (event.body.kind === "participant-left" || event.body.kind === "participant-banned") &&
      event.body.userId === this.host.context.userId;
    if (isOwnEnd) this.#status = "gone";
  }

  /** Lets go of what a smaller window no longer shows. */
  trimmed(trim: () => void): void {
    trim();
    this.state?.forget(this.#extras.needed());
  }

  #applied(): void {
    this.#extras.look();
    this.changed();
  }

  /** Pages what the stream did not bring. */
  async #catchUp(state: ConversationState): Promise<void> {
    if (this.#catching) return;
    this.#catching = true;
    try {
      if (this.#target - state.appliedSeq > MOST_PAGED) await this.#readSnapshot();
      else await this.#page(state);
    } catch (thrown) {
      // The next frame, or the next time online, tries again.
      this.host.context.problem(`the conversation is behind: ${SessionError.from(thrown).message}`);
      return;
    } finally {
      this.#catching = false;
    }
    this.#drain();
  }

  async #page(state: ConversationState): Promise<void> {
    while (state === this.state && state.appliedSeq < this.#target) {
      const before = state.appliedSeq;
      const { events, headSeq } = await this.reads.events(before);
      if (state !== this.state) return;
      for (const event of events) {
        if (state.expects(event.seq) === "hole") break;
        this.apply(event);
      }
      if (state.appliedSeq > before) {
        this.#applied();
      } else if (headSeq > before) {
        // A part of the log is hidden: what it did is in a new snapshot only.
        await this.#readSnapshot();
        if ((this.appliedSeq ?? 0) <= before) this.#target = before;
        return;
      } else {
        // Nothing more is for this user to see.
        this.#target = before;
      }
    }
  }

  #watchEnded({ reason, message }: Ending): void {
    const error = new SessionError("refused", message, { reason });
    if (isNoMember(error)) this.#status = "gone";
    else this.host.context.problem(`a watch ended: ${message}`);
    this.#error = error;
    this.changed();
  }

  #moveReceipt(userId: string, receipt: Receipt): void {
    const known = this.#receipts.get(userId);
    const readSeq = Math.max(receipt.readSeq, known?.readSeq ?? 0);
    const deliveredSeq = Math.max(receipt.deliveredSeq, known?.deliveredSeq ?? 0, readSeq);
    this.#receipts = new Map(this.#receipts).set(userId, { readSeq, deliveredSeq });
  }

  /** What is pending and shown already is not pending any more. */
  #settle(): void {
    const { state } = this;
    if (state === null) return;
    const own = state.messagesOf().filter((message) => message.senderId === this.host.context.userId);
    this.outbox.settle(state.appliedSeq, new Set(own.map((message) => message.requestId)));
  }

  /** Messages above a read cursor, where the window tells. */
  unreadAbove(readSeq: number): number | null {
    const { state } = this;
    if (state === null) return null;
    const read = state.messagesOf().findLast((message: Message) => message.seq <= readSeq);
    return read === undefined ? null : state.ordinal - read.ordinal;
  }

  #build(): ConversationView {
    const { state, conversationId, host } = this;
    const row = host.list.row(conversationId);
    const messages = state?.messagesOf() ?? [];
    const me = state?.participant(host.context.userId) ?? null;
    const conversation = state?.conversation ?? row?.conversation ?? null;
    const hasNewer = state !== null && !state.reachesEnd();
    return {
      conversationId,
      status: this.#status,
      error: this.#error,
      conversation,
      participants: state?.participants ?? [],
      me,
      rights: this.#status === "ready" ? rightsOf(conversation, me, Date.now()) : NOTHING,
      messages,
      pending: this.outbox.pending,
      hasOlder: state !== null && !state.main.startReached,
      hasNewer,
      loading: this.loading,
      newerCount: hasNewer ? Math.max(0, state.ordinal - (messages.at(-1)?.ordinal ?? 0)) : 0,
      appliedSeq: state?.appliedSeq ?? 0,
      readSeq: row?.readSeq ?? this.#receipts.get(host.context.userId)?.readSeq ?? 0,
      readSeqAtOpen: this.readSeqAtOpen,
      unread: row?.unread ?? 0,
      typing: host.typing(conversationId),
      receipts: this.#receipts,
      notices: this.#notices,
      ...this.#extras.shown(messages),
    };
  }
}
