// A conversation's log as a small server keeps it, in the contract's own types: enough rules for the
// tests of this library, and no more.

import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import { ConversationSchema } from "../../src/gen/confab/conversations/v1/conversations_pb";
import { type Event, EventSchema, type Message, MessageSchema } from "../../src/gen/confab/messages/v1/events_pb";
import { ConversationType, Role } from "../../src/gen/confab/types/v1/types_pb";

type Kind = NonNullable<MessageInitShape<typeof EventSchema>["kind"]>;

export class Log {
  readonly events: Event[] = [];
  readonly messages = new Map<number, Message>();
  readonly own = new Map<string, Set<string>>();
  readonly read = new Map<string, number>();
  readonly delivered = new Map<string, number>();
  #newest = 0;
  /** Events that nobody is shown: history before a join. */
  hidden: readonly [from: number, to: number] = [0, 0];

  constructor(
    readonly id: string,
    readonly users: readonly string[],
    private readonly appended: (log: Log, event: Event) => void,
  ) {
    const participants = users.map((userId, at) => ({ userId, role: at === 0 ? Role.OWNER : Role.MEMBER }));
    const creation = { type: ConversationType.GROUP, title: id, participants };
    this.append(users[0] ?? "", "create", { case: "conversationCreated", value: creation });
  }

  get head(): number {
    return this.events.length;
  }

  isHidden(seq: number): boolean {
    return seq >= this.hidden[0] && seq <= this.hidden[1];
  }

  /** The event of a request, when it was made before. */
  find(actorId: string, requestId: string): Event | undefined {
    return this.events.find((event) => event.actorId === actorId && event.requestId === requestId);
  }

  append(actorId: string, requestId: string, kind: Kind): Event {
    const seq = BigInt(this.head + 1);
    const createTime = timestampFromMs(1_700_000_000_000 + this.head * 1000);
    const base = { conversationId: this.id, seq, createTime, actorId, requestId };
    const event = create(EventSchema, { ...base, kind, ordinal: BigInt(this.messages.size) });
    if (event.kind.case === "messageCreated") {
      const ordinal = BigInt(this.messages.size + 1);
      Object.assign(event.kind.value, { ...base, senderId: actorId, ordinal, appliedSeq: seq });
      event.ordinal = ordinal;
      this.#newest = Number(seq);
      this.messages.set(Number(seq), clone(MessageSchema, event.kind.value));
    }
    this.#apply(event);
    this.events.push(event);
    this.appended(this, event);
    return event;
  }

  send(actorId: string, text: string, requestId: string = crypto.randomUUID()): Event {
    return this.append(actorId, requestId, { case: "messageCreated", value: { content: { text } } });
  }

  /** Many messages at once, made from one: they are written before anybody looks. */
  fill(count: number): void {
    const event = this.send(this.users[0] ?? "", "0");
    if (event.kind.case !== "messageCreated") return;
    const { value } = event.kind;
    for (let index = 1; index < count; index += 1) {
      const seq = BigInt(this.head + 1);
      const senderId = this.users[index % this.users.length] ?? "";
      const ordinal = BigInt(this.messages.size + 1);
      const message = { ...value, seq, ordinal, senderId, appliedSeq: seq, requestId: `fill-${index}` };
      const kind = { case: "messageCreated" as const, value: message };
      this.events.push({ ...event, seq, ordinal, actorId: senderId, requestId: message.requestId, kind });
      this.messages.set(Number(seq), message);
      this.#newest = Number(seq);
    }
  }

  #apply(event: Event): void {
    const { kind } = event;
    if (kind.case === "messageEdited") {
      this.#change(event, kind.value.messageSeq, (message) => {
        if (kind.value.content) message.content = kind.value.content;
        if (event.createTime) message.editTime = event.createTime;
      });
    } else if (kind.case === "messageDeleted") {
      this.#change(event, kind.value.messageSeq, (message) => {
        delete message.content;
        message.reactions = [];
        if (event.createTime) message.deleteTime = event.createTime;
      });
      for (const key of this.own.keys()) if (key.startsWith(`${kind.value.messageSeq} `)) this.own.delete(key);
    } else if (kind.case === "reactionAdded") {
      const { emoji, messageSeq } = kind.value;
      const own = this.own.get(`${messageSeq} ${event.actorId}`) ?? new Set<string>();
      this.own.set(`${messageSeq} ${event.actorId}`, own.add(emoji));
      this.#change(event, messageSeq, (message) => {
        const known = message.reactions.find((one) => one.emoji === emoji);
        if (known) known.count += 1;
        else message.reactions.push(create(MessageSchema, { reactions: [{ emoji, count: 1 }] }).reactions[0]!);
      });
    }
  }

  #change(event: Event, messageSeq: bigint, change: (message: Message) => void): void {
    const message = this.messages.get(Number(messageSeq));
    if (message === undefined) return;
    change(message);
    message.appliedSeq = event.seq;
  }

  /** The seqs of the messages that are shown, rising. */
  seqs(): number[] {
    return [...this.messages.keys()].filter((seq) => !this.isHidden(seq));
  }

  /** A message as a reader sees it. */
  messageFor(reader: string, seq: number): Message | undefined {
    const stored = this.isHidden(seq) ? undefined : this.messages.get(seq);
    if (stored === undefined) return undefined;
    const message = clone(MessageSchema, stored);
    const own = this.own.get(`${message.seq} ${reader}`);
    for (const reaction of message.reactions) reaction.reacted = own?.has(reaction.emoji) ?? false;
    return message;
  }

  /** Rows of messages are given as they are now, as a server's log has them. */
  eventsAfter(seq: number, count: number): Event[] {
    const events = this.events.slice(seq, seq + count).filter((event) => !this.isHidden(Number(event.seq)));
    return events.map((stored) => {
      const event = clone(EventSchema, stored);
      const now = this.messages.get(Number(event.seq));
      if (event.kind.case === "messageCreated" && now) event.kind.value = clone(MessageSchema, now);
      return event;
    });
  }

  conversation() {
    const [first] = this.events;
    return create(ConversationSchema, {
      conversationId: this.id,
      type: ConversationType.GROUP,
      title: this.id,
      creatorId: this.users[0] ?? "",
      ownerId: this.users[0] ?? "",
      participantCount: this.users.length,
      ...(first?.createTime && { createTime: first.createTime, updateTime: first.createTime }),
      etag: "1",
      appliedSeq: 1n,
    });
  }

  headFor(reader: string) {
    const readSeq = this.read.get(reader) ?? 0;
    const last = this.messages.get(this.#newest);
    const ordinalAt = (seq: number) => Number(this.events[seq - 1]?.ordinal ?? 0n);
    const activityTime = this.events.at(-1)?.createTime;
    return {
      conversationId: this.id,
      seq: BigInt(this.head),
      readSeq: BigInt(readSeq),
      unreadCount: BigInt(this.messages.size - ordinalAt(readSeq)),
      ...(last && { lastMessage: last }),
      ...(activityTime && { activityTime }),
    };
  }
}
