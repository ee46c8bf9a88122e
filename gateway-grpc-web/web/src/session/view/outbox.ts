// Messages of one conversation that are on their way, in the order they were written. Each has its
// request id and `after_seq` from the start, and every try repeats them, also after a reload of the
// page: it arrives once. It is gone from here when its event is applied, so it is shown exactly once.

import type { Context } from "../context";
import { newRequestId } from "../calls";
import { byteOffset } from "../convert";
import { SessionError } from "../errors";
import type { LogEvent } from "../events";
import type { Draft, PendingMessage } from "../types";

/** Milliseconds of trying after which a message counts as failed for now. */
const BUDGET = 20_000;

interface Entry {
  pending: PendingMessage;
  readonly draft: Draft;
  /** `null`: no head was known; it is asked for before the first try. */
  afterSeq: number | null;
  /** Everything was read when it was written. */
  readonly hadRead: boolean;
  /** Its place in the log, once the server has said it. */
  seq: number | null;
  /** The server will not have it: it waits for its writer, and nobody waits for it. */
  refused: boolean;
}

/** What is kept of an entry. */
interface Stored {
  readonly requestId: string;
  readonly afterSeq: number | null;
  readonly createTime: number;
  readonly draft: Draft;
  readonly refused?: boolean;
}

export class Outbox {
  #entries: Entry[] = [];
  #sending = false;

  /** `appliedSeq`: how far the view is; `null` when nobody looks. */
  constructor(
    private readonly context: Context,
    readonly conversationId: string,
    private readonly appliedSeq: () => number | null,
    private readonly changed: () => void,
    private readonly hasRead: () => boolean,
    /** A message is in the log; `hadRead`: its writer had read everything before it. */
    private readonly arrived: (seq: number, hadRead: boolean) => void,
  ) {
    for (const stored of this.#load()) this.#entries.push(revive(conversationId, stored));
  }

  get pending(): PendingMessage[] {
    return this.#entries.map((entry) => entry.pending);
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  send(draft: Draft): PendingMessage {
    const head = this.context.calls.heads.get(this.conversationId);
    const stored = { requestId: newRequestId(), afterSeq: head || null, createTime: Date.now(), draft };
    // What is on its way counts as unread at the server, until it is marked.
    const hadRead = this.hasRead() || this.#entries.some((one) => one.hadRead);
    const entry = { ...revive(this.conversationId, stored), hadRead };
    this.#entries.push(entry);
    this.#save();
    this.changed();
    this.retryAll();
    return entry.pending;
  }

  retry(requestId: string): void {
    const entry = this.#find(requestId);
    if (entry?.pending.state !== "failed") return;
    entry.refused = false;
    this.#save();
    this.retryAll();
  }

  discard(requestId: string): void {
    this.#remove((entry) => entry.pending.requestId === requestId);
  }

  /** Tries again what failed only because nobody could be reached. */
  retryAll(): void {
    for (const entry of this.#entries) {
      if (entry.pending.state === "failed" && !entry.refused) this.#show(entry, { state: "sending", error: null });
    }
    void this.run();
  }

  /** An event was applied: the message that it brings is shown by it from now on. */
  confirm(event: LogEvent): boolean {
    if (event.body.kind !== "message-created" || event.actorId !== this.context.userId) return false;
    return this.#remove((entry) => entry.pending.requestId === event.requestId);
  }

  /** Everything up to here is shown, and these are the request ids of one's own messages in it. */
  settle(appliedSeq: number, shown: ReadonlySet<string>): void {
    this.#remove(({ pending, seq }) => (seq !== null && seq <= appliedSeq) || shown.has(pending.requestId));
  }

  /** Sends one after the other. */
  async run(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (;;) {
        const next = this.#entries.find(({ pending, refused }) => pending.state !== "sent" && !refused);
        // What could not be sent for now is not overtaken.
        if (next?.pending.state !== "sending") return;
        await this.#sendOne(next);
      }
    } finally {
      this.#sending = false;
    }
  }

  async #sendOne(entry: Entry): Promise<void> {
    const { calls } = this.context;
    const { conversationId } = this;
    const { requestId } = entry.pending;
    try {
      if (entry.afterSeq === null) {
        entry.afterSeq = Number((await calls.ids(conversationId)).afterSeq);
        this.#save();
      }
      const request = {
        conversationId,
        requestId,
        afterSeq: BigInt(entry.afterSeq),
        content: contentOf(entry.draft),
        replyToSeq: BigInt(entry.draft.replyToSeq ?? 0),
        threadSeq: BigInt(entry.draft.threadSeq ?? 0),
      };
      const answer = await calls.call((options) => calls.services.messages.sendMessage(request, options), BUDGET);
      this.#sent(entry, Number(answer.message?.seq ?? 0n));
    } catch (thrown) {
      const error = SessionError.from(thrown);
      if (error.reason === "AFTER_SEQ_ABOVE_HEAD") {
        // The log was restored to before this was written, so no earlier try stands in it.
        calls.heads.forget(conversationId);
        entry.afterSeq = null;
      }
      // Its event may have come before the answer was lost.
      if (this.#find(requestId) === undefined) return;
      entry.refused = error.kind === "refused" && !error.isRetryable;
      this.#save();
      this.#show(entry, { state: "failed", error });
    }
  }

  #sent(entry: Entry, seq: number): void {
    this.context.calls.heads.note(this.conversationId, seq);
    entry.seq = seq;
    this.#show(entry, { state: "sent", error: null });
    this.arrived(seq, entry.hadRead);
    const applied = this.appliedSeq();
    if (applied === null || applied >= seq) this.discard(entry.pending.requestId);
  }

  #find(requestId: string): Entry | undefined {
    return this.#entries.find((entry) => entry.pending.requestId === requestId);
  }

  #show(entry: Entry, changes: Partial<PendingMessage>): void {
    entry.pending = { ...entry.pending, ...changes };
    this.changed();
  }

  #remove(isGone: (entry: Entry) => boolean): boolean {
    const left = this.#entries.filter((entry) => !isGone(entry));
    if (left.length === this.#entries.length) return false;
    this.#entries = left;
    this.#save();
    this.changed();
    return true;
  }

  /** Among the outboxes that are not empty, or no longer. */
  #list(isThere: boolean): void {
    const { storage, owner } = this.context;
    const others = storedOutboxes(this.context).filter((id) => id !== this.conversationId);
    const all = isThere ? [...others, this.conversationId] : others;
    if (all.length === 0) storage?.removeItem(indexKey(owner));
    else storage?.setItem(indexKey(owner), all.join(" "));
  }

  #load(): Stored[] {
    const text = this.context.storage?.getItem(storageKey(this.context.owner, this.conversationId)) ?? null;
    return text === null ? [] : readStored(text);
  }

  #save(): void {
    const { storage, owner } = this.context;
    const key = storageKey(owner, this.conversationId);
    const stored = this.#entries.map(({ pending, draft, afterSeq, refused }): Stored => {
      const { requestId, createTime } = pending;
      return { requestId, afterSeq, createTime, draft, refused };
    });
    try {
      if (stored.length === 0) storage?.removeItem(key);
      else storage?.setItem(key, JSON.stringify(stored));
      this.#list(stored.length > 0);
    } catch {
      this.context.problem("the storage is full: unsent messages will not outlive this page");
    }
  }
}

/** The conversations in which a page before this one has left unsent messages. */
export function storedOutboxes({ storage, owner }: Context): string[] {
  const text = storage?.getItem(indexKey(owner)) ?? "";
  return text === "" ? [] : text.split(" ");
}

function indexKey(owner: string): string {
  return `${owner}:outboxes`;
}

function storageKey(owner: string, conversationId: string): string {
  return `${owner}:outbox:${conversationId}`;
}

/** What this page, or one before it, has stored. Anything else is passed over. */
function readStored(text: string): Stored[] {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.filter(isStored) : [];
  } catch {
    return [];
  }
}

function isStored(value: unknown): value is Stored {
  if (typeof value !== "object" || value === null) return false;
  const { requestId, draft } = value as Partial<Stored>;
  return typeof requestId === "string" && typeof draft?.text === "string";
}

function revive(conversationId: string, stored: Stored): Entry {
  const { requestId, createTime, draft, afterSeq, refused = false } = stored;
  const { text, replyToSeq = 0, threadSeq = 0 } = draft;
  const message = { requestId, conversationId, text, replyToSeq, threadSeq, createTime };
  const state = refused ? "failed" : "sending";
  return { pending: { ...message, state, error: null }, draft, afterSeq, hadRead: false, seq: null, refused };
}

function contentOf({ text, mentions = [] }: Draft) {
  return {
    text,
    entities: mentions.map(({ start, end, userId }) => ({
      start: byteOffset(text, start),
      end: byteOffset(text, end),
      kind: { case: "mention" as const, value: userId },
    })),
  };
}
