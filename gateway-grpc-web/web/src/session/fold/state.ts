// A conversation as its events made it, seen by one user. Applying events to what was read gives what a
// fresh read returns (promise P5). Pure: no clock, no network.
//
// Every object says with `appliedSeq` which event changed it last. An event at or below that is in the
// object already and is skipped for that object; others that it touches still take it. So pages that
// were read at different times come out the same. A page may also be older than what is applied here:
// then the newest events, which are kept for this, are applied to its messages again.

import type { LogEvent } from "../events";
import type { Conversation, Message, Participant } from "../model";
import { created, describe, type Described } from "./conversation";
import { MessagePool } from "./messages";
import { Participants } from "./participants";
import { MessageWindow } from "./window";

/** Events that are kept for pages that come late. */
const RECENT = 1000;

/** What folding starts from: answers of reads, the conversation read last. */
export interface Snapshot {
  readonly conversation: Conversation | null;
  readonly conversationAsOf: number;
  readonly participants: readonly Participant[];
  /** Rising, the newest ones there are. */
  readonly messages: readonly Message[];
  readonly startReached: boolean;
  /** What the page of messages is exact at. */
  readonly messagesAsOf: number;
  /** The oldest of the reads: events above it are to be applied next. */
  readonly asOfSeq: number;
}

export class ConversationState {
  readonly messages: MessagePool;
  readonly main: MessageWindow;
  readonly threads = new Map<number, MessageWindow>();
  #participants: Participants;
  #described: Described | null;
  #appliedSeq: number;
  #ordinal: number;
  #recent: LogEvent[] = [];

  constructor(
    readonly conversationId: string,
    readerId: string,
    snapshot: Snapshot | null = null,
  ) {
    this.messages = new MessagePool(readerId);
    this.main = new MessageWindow(0);
    this.#appliedSeq = snapshot?.asOfSeq ?? 0;
    this.#participants = new Participants(snapshot?.participants ?? []);
    this.#described = snapshot?.conversation
      ? { conversation: snapshot.conversation, asOf: snapshot.conversationAsOf }
      : null;
    this.#ordinal = snapshot?.messages.at(-1)?.ordinal ?? 0;
    if (snapshot === null) {
      this.main.startReached = true;
      return;
    }
    for (const message of snapshot.messages) this.messages.addRead(message);
    const first = snapshot.messages[0]?.seq ?? 1;
    this.main.reset(snapshot.messages, first, snapshot.messagesAsOf, snapshot.startReached);
  }

  /** The last event applied: the cursor to watch from. */
  get appliedSeq(): number {
    return this.#appliedSeq;
  }

  /** How many messages the log holds, as far as it is known here. */
  get ordinal(): number {
    return this.#ordinal;
  }

  get conversation(): Conversation | null {
    return this.#described?.conversation ?? null;
  }

  get participants(): Participant[] {
    return this.#participants.active();
  }

  /** Anybody who is or was a participant, or is banned. */
  participant(userId: string): Participant | null {
    return this.#participants.get(userId) ?? null;
  }

  /** Whether all messages up to what is applied are in the window, at its end. */
  reachesEnd(window: MessageWindow = this.main): boolean {
    return window.coveredTo >= this.#appliedSeq;
  }

  messagesOf(window: MessageWindow = this.main): Message[] {
    return window.seqs.flatMap((seq) => this.messages.get(seq) ?? []);
  }

  /** Whether the event is the next one; `hole` when events before it are missing. */
  expects(seq: number): "applied" | "next" | "hole" {
    if (seq <= this.#appliedSeq) return "applied";
    return seq === this.#appliedSeq + 1 ? "next" : "hole";
  }

  /**
   * Applies the next event. What was applied before is passed over. `append`: whether a new message is
   * taken into a window that reaches the end.
   */
  apply(event: LogEvent, append: (window: MessageWindow) => boolean = () => true): boolean {
    const place = this.expects(event.seq);
    if (place === "applied" || event.conversationId !== this.conversationId) return false;
    if (place === "hole") throw new Error(`event ${event.seq} cannot follow ${this.#appliedSeq}`);
    const growing = this.#windows().filter((window) => this.reachesEnd(window) && append(window));
    this.#appliedSeq = event.seq;
    this.#ordinal = Math.max(this.#ordinal, event.ordinal);
    this.#recent.push(event);
    if (this.#recent.length > RECENT) this.#recent = this.#recent.slice(-RECENT / 2);
    this.#fold(event, growing);
    return true;
  }

  #windows(): MessageWindow[] {
    return [this.main, ...this.threads.values()];
  }

  #fold(event: LogEvent, growing: readonly MessageWindow[]): void {
    const { body } = event;
    if (body.kind === "conversation-created" && this.#described === null) {
      this.#described = created(event, body.creation);
    } else if (this.#described !== null) {
      this.#described = describe(this.#described, event, (id) => this.#participants.isActive(id));
    }
    this.#participants.apply(event);
    this.#foldMessages(event, growing);
  }

  #foldMessages(event: LogEvent, growing: readonly MessageWindow[]): void {
    const message = event.body.kind === "message-created" ? event.body.message : null;
    this.messages.apply(event, (created) => {
      const isShown = (window: MessageWindow) => window.belongs(created) && created.seq > window.last;
      return this.messages.get(created.seq) !== undefined || growing.some(isShown);
    });
    for (const window of growing) window.extend(event.seq, message);
  }

  /**
   * Takes a page of messages that is exact at `asOfSeq`, then lets `place` put it into a window, and
   * brings both up to what is applied here. `false`: it is too old for that; read it again.
   */
  addPage(page: readonly Message[], asOfSeq: number, place: () => MessageWindow | null): boolean {
    const missed = this.#recent.filter((event) => event.seq > asOfSeq);
    if (this.#appliedSeq > asOfSeq && missed.length < this.#appliedSeq - asOfSeq) return false;
    for (const message of page) this.messages.addRead(message);
    const window = place();
    for (const event of missed) {
      const grows = window !== null && window.coveredTo === event.seq - 1;
      this.#foldMessages(event, grows ? [window] : []);
    }
    return true;
  }

  /** Forgets messages that no window shows and nobody else needs. */
  forget(needed: ReadonlySet<number>): void {
    const shown = new Set(this.#windows().flatMap((window) => window.seqs));
    this.messages.retain((seq) => shown.has(seq) || needed.has(seq));
  }
}
