// Messages and reactions under events. Pure.
//
// An event is the same for every reader, so it cannot say which reactions are the reader's own. They
// are an object of their own with a guard of its own: read from a page's `reacted`, then moved by the
// reader's own reaction events, all of which follow the message in the log.

import type { LogEvent } from "../events";
import type { Content, Message, Reaction } from "../model";

interface Entry {
  message: Message;
  own: ReadonlySet<string>;
  /** The last event that `own` reflects. */
  ownAppliedSeq: number;
}

/** Messages that are known, in any order and with holes: windows say what is shown of them. */
export class MessagePool {
  #entries = new Map<number, Entry>();

  constructor(private readonly readerId: string) {}

  get size(): number {
    return this.#entries.size;
  }

  get(seq: number): Message | undefined {
    return this.#entries.get(seq)?.message;
  }

  seqs(): IterableIterator<number> {
    return this.#entries.keys();
  }

  /** Forgets what nobody needs. */
  retain(needed: (seq: number) => boolean): void {
    for (const seq of [...this.#entries.keys()]) if (!needed(seq)) this.#entries.delete(seq);
  }

  /** A message as a read gave it to this reader. One that is known to be newer is kept. */
  addRead(message: Message): void {
    const known = this.#entries.get(message.seq);
    if (known !== undefined && known.message.appliedSeq > message.appliedSeq) return;
    const own = new Set(message.reactions.filter((one) => one.reacted).map((one) => one.emoji));
    if (known !== undefined && known.ownAppliedSeq > message.appliedSeq) {
      // Events that changed only what is this reader's own cannot be: each changes the message, too.
      this.#entries.set(message.seq, { ...known, message: marked(message, known.own) });
      return;
    }
    this.#entries.set(message.seq, { message, own, ownAppliedSeq: message.appliedSeq });
  }

  /** Applies an event. `shown`: whether a message that it creates is to be kept. */
  apply(event: LogEvent, shown: (message: Message) => boolean): void {
    const { body } = event;
    switch (body.kind) {
      case "message-created":
        this.#addToThread(event, body.message);
        if (shown(body.message)) this.#add(event, body.message);
        break;
      case "message-edited":
        this.#edit(event, body.messageSeq, body.content);
        break;
      case "message-deleted":
        this.#erase(event, body.messageSeq);
        break;
      case "messages-expired":
        for (const [seq, { message }] of this.#entries) {
          const inRange = seq >= body.fromSeq && seq <= body.toSeq;
          // What was deleted before stays as it was.
          if (inRange && message.deleteTime === null) this.#erase(event, seq);
        }
        break;
      case "reaction-added":
        this.#react(event, body.messageSeq, body.emoji, true);
        break;
      case "reaction-removed":
        this.#react(event, body.messageSeq, body.emoji, false);
        break;
      default:
    }
  }

  #addToThread(event: LogEvent, message: Message): void {
    if (message.threadSeq === 0) return;
    this.#change(event, message.threadSeq, ({ thread }) => ({
      thread: { replyCount: (thread?.replyCount ?? 0) + 1, lastReplySeq: event.seq },
    }));
  }

  /** A message that has changed since is given as it is now; events up to then are in it. */
  #add(event: LogEvent, message: Message): void {
    const entry = this.#entries.get(event.seq);
    if (entry === undefined) {
      const own: ReadonlySet<string> = new Set();
      this.#entries.set(event.seq, { message: marked(message, own), own, ownAppliedSeq: event.seq });
    } else if (message.appliedSeq > entry.message.appliedSeq) {
      entry.message = marked(message, entry.own);
    }
  }

  #change(event: LogEvent, seq: number, change: (message: Message) => Partial<Message>): void {
    const entry = this.#entries.get(seq);
    if (entry === undefined) return;
    let { message } = entry;
    if (event.seq > message.appliedSeq) message = { ...message, ...change(message), appliedSeq: event.seq };
    entry.message = marked(message, entry.own);
  }

  #edit(event: LogEvent, seq: number, content: Content | null): void {
    this.#change(event, seq, () => ({ content, editTime: event.createTime }));
  }

  #erase(event: LogEvent, seq: number): void {
    const entry = this.#entries.get(seq);
    if (entry !== undefined && event.seq > entry.ownAppliedSeq) {
      entry.own = new Set();
      entry.ownAppliedSeq = event.seq;
    }
    this.#change(event, seq, () => ({ content: null, reactions: [], deleteTime: event.createTime }));
  }

  #react(event: LogEvent, seq: number, emoji: string, added: boolean): void {
    const entry = this.#entries.get(seq);
    if (entry !== undefined && event.actorId === this.readerId && event.seq > entry.ownAppliedSeq) {
      const own = new Set(entry.own);
      if (added) own.add(emoji);
      else own.delete(emoji);
      entry.own = own;
      entry.ownAppliedSeq = event.seq;
    }
    this.#change(event, seq, ({ reactions }) => ({ reactions: counted(reactions, emoji, added) }));
  }
}

/** In the order of the first of each; an emoji that nobody uses any more is gone. */
function counted(reactions: readonly Reaction[], emoji: string, added: boolean): Reaction[] {
  const known = reactions.some((one) => one.emoji === emoji);
  if (!known) return added ? [...reactions, { emoji, count: 1, reacted: false }] : [...reactions];
  return reactions
    .map((one) => (one.emoji === emoji ? { ...one, count: one.count + (added ? 1 : -1) } : one))
    .filter((one) => one.count > 0);
}

/** The same object where every mark is right already. */
function marked(message: Message, own: ReadonlySet<string>): Message {
  if (message.reactions.every((one) => one.reacted === own.has(one.emoji))) return message;
  const reactions = message.reactions.map((one) => ({ ...one, reacted: own.has(one.emoji) }));
  return { ...message, reactions };
}
