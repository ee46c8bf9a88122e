// A server in this process whose faults a test decides: lost answers, cut streams, gaps, sessions that
// are forgotten. It serves the contract's own services, so what is tested is all of the library.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createRouterTransport, type HandlerContext, type Transport } from "@connectrpc/connect";

import { ConversationsService } from "../../src/gen/confab/conversations/v1/conversations_pb";
import { Reason } from "../../src/gen/confab/errors/v1/errors_pb";
import { type Event, MessageSchema } from "../../src/gen/confab/messages/v1/events_pb";
import { ListOrder, MessagesService } from "../../src/gen/confab/messages/v1/messages_pb";
import { type InboxEvent, InboxEventSchema } from "../../src/gen/confab/participants/v1/inbox_pb";
import { ParticipantsService } from "../../src/gen/confab/participants/v1/participants_pb";
import { UsersService } from "../../src/gen/confab/participants/v1/users_pb";
import { type Hello, RealtimeService, type SubscribeResponseSchema } from "../../src/gen/confab/realtime/v1/realtime_pb";
import { Role } from "../../src/gen/confab/types/v1/types_pb";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import { authorize } from "../../src/session/calls";
import { readClaims, type Tokens } from "../../src/session/tokens";
import { Log } from "./log";

type FrameInit = NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["frame"]>;

interface Session {
  readonly id: string;
  readonly cursors: Map<string, number>;
  inbox: number;
}

export class FakeStream {
  #frames: FrameInit[] = [];
  #wake: (() => void) | null = null;
  #error: ConnectError | null = null;
  isOpen = true;

  constructor(
    readonly user: string,
    readonly session: Session,
    readonly token: string,
    readonly watching: ReadonlySet<string>,
  ) {}

  push(frame: FrameInit): void {
    this.#frames.push(frame);
    this.#wake?.();
  }

  end(error: ConnectError): void {
    this.#error = error;
    this.#wake?.();
  }

  async *frames(signal: AbortSignal) {
    const aborted = () => this.end(new ConnectError("the client went away", Code.Canceled));
    signal.addEventListener("abort", aborted);
    try {
      for (;;) {
        for (let frame; (frame = this.#frames.shift()); ) yield { frame };
        if (this.#error !== null) throw this.#error;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.isOpen = false;
    }
  }
}

export function token(user: string, lifeMs = 3_600_000): string {
  const now = Date.now() / 1000;
  const claims = { sub: user, tenant: "t", device_id: "d", iat: now, exp: now + lifeMs / 1000, jti: crypto.randomUUID() };
  const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
  return `head.${payload}.signature`;
}

export function refused(code: Code, reason: string): ConnectError {
  const info = create(ErrorInfoSchema, { domain: "confab", reason });
  return new ConnectError(reason, code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
}

export class FakeServer {
  readonly logs = new Map<string, Log>();
  readonly streams: FakeStream[] = [];
  readonly sessions = new Map<string, Session>();
  readonly inboxes = new Map<string, InboxEvent[]>();
  /** Replays above so many events are gaps. */
  gapAbove = 1_000;
  heartbeatMs = 15_000;
  /** The server cannot be reached. */
  down = false;
  readonly refusedTokens = new Set<string>();
  /** Asked before each unary call takes effect, and after it did; what it throws is the answer. */
  before: (method: string) => void | Promise<void> = () => undefined;
  after: (method: string) => void | Promise<void> = () => undefined;
  /** Whether a live event is pushed. */
  pushes: (event: Event) => boolean = () => true;
  calls: string[] = [];
  /** Whether new streams wait before they say that they are synced, and how those go on. */
  holdsSynced = false;
  held: (() => void)[] = [];

  get open(): FakeStream[] {
    return this.streams.filter((stream) => stream.isOpen);
  }

  room(id: string, users: readonly string[]): Log {
    const log = new Log(id, users, (appended, event) => this.#publish(appended, event));
    this.logs.set(id, log);
    return log;
  }

  cut(): void {
    for (const stream of this.open) stream.end(new ConnectError("cut", Code.Unavailable));
  }

  #publish(log: Log, event: Event): void {
    for (const stream of this.open) {
      if (!log.users.includes(stream.user)) continue;
      if (stream.watching.has(log.id)) {
        if (this.pushes(event)) stream.push({ case: "event", value: event });
      } else {
        stream.push({ case: "head", value: log.headFor(stream.user) });
      }
    }
  }

  transport(tokens: Tokens): Transport {
    const inner = createRouterTransport(
      (router) => {
        const unary = <Request, Answer>(name: string, answer: (request: Request, user: string) => Answer) =>
          async (request: Request, context: HandlerContext) => {
            const user = this.#authenticate(context);
            this.calls.push(name);
            await this.before(name);
            const answered = answer(request, user);
            await this.after(name);
            return answered;
          };
        router.service(ConversationsService, {
          listConversations: unary("listConversations", (_, user) => ({
            conversations: this.#logsOf(user).map((log) => ({ conversation: log.conversation(), head: log.headFor(user) })),
          })),
          getConversation: unary("getConversation", ({ conversationId }, user) => {
            const log = this.#log(conversationId, user);
            return { conversation: log.conversation(), asOfSeq: BigInt(log.head) };
          }),
          compareHeads: unary("compareHeads", ({ cursors }, user) => ({
            moved: cursors.flatMap(({ conversationId, seq }) => {
              const log = this.logs.get(conversationId);
              return log && BigInt(log.head) > seq ? [log.headFor(user)] : [];
            }),
          })),
        });
        router.service(MessagesService, {
          sendMessage: unary("sendMessage", (request, user) => {
            const log = this.#log(request.conversationId, user);
            const kind = { case: "messageCreated" as const, value: create(MessageSchema, {
              ...(request.content && { content: request.content }),
              replyToSeq: request.replyToSeq,
            }) };
            if (request.afterSeq > BigInt(log.head)) throw refused(Code.InvalidArgument, "AFTER_SEQ_ABOVE_HEAD");
            const event = log.find(user, request.requestId) ?? log.append(user, request.requestId, kind);
            return { message: log.messages.get(Number(event.seq))! };
          }),
          getMessage: unary("getMessage", (request, user) => {
            const log = this.#log(request.conversationId, user);
            const message = log.messageFor(user, Number(request.messageSeq));
            if (message === undefined) throw refused(Code.NotFound, "MESSAGE_NOT_FOUND");
            return { message, asOfSeq: BigInt(log.head) };
          }),
          listMessages: unary("listMessages", (request, user) => {
            const log = this.#log(request.conversationId, user);
            const isOldest = request.order === ListOrder.OLDEST_FIRST;
            const from = Number(request.fromSeq);
            const side = log.seqs().filter((seq) => from === 0 || (isOldest ? seq > from : seq < from));
            if (!isOldest) side.reverse();
            const nextPageToken = side.length > request.pageSize ? "more" : "";
            const messages = side.slice(0, request.pageSize).flatMap((seq) => log.messageFor(user, seq) ?? []);
            return { messages, nextPageToken, asOfSeq: BigInt(log.head) };
          }),
          listEvents: unary("listEvents", (request, user) => {
            const log = this.#log(request.conversationId, user);
            let after = Number(request.afterSeq);
            let events = log.eventsAfter(after, request.pageSize);
            // A page of hidden events only is no page.
            while (events.length === 0 && after < log.head) events = log.eventsAfter((after += request.pageSize), request.pageSize);
            return { events, headSeq: BigInt(log.head) };
          }),
          listReceipts: unary("listReceipts", ({ conversationId }, user) => {
            const log = this.#log(conversationId, user);
            const receipts = log.users.map((userId) => ({
              userId,
              readSeq: BigInt(log.read.get(userId) ?? 0),
              deliveredSeq: BigInt(log.delivered.get(userId) ?? 0),
            }));
            return { receipts };
          }),
          markRead: unary("markRead", ({ conversationId, readSeq }, user) => {
            this.#log(conversationId, user).read.set(user, Number(readSeq));
            this.#tellInbox(user, conversationId, readSeq);
            return {};
          }),
          markDelivered: unary("markDelivered", ({ conversationId, deliveredSeq }, user) => {
            this.#log(conversationId, user).delivered.set(user, Number(deliveredSeq));
            return {};
          }),
        });
        router.service(ParticipantsService, {
          listParticipants: unary("listParticipants", ({ conversationId }, user) => {
            const log = this.#log(conversationId, user);
            const participants = log.users.map((userId, at) => ({
              userId,
              role: at === 0 ? Role.OWNER : Role.MEMBER,
              joinSeq: 1n,
              appliedSeq: 1n,
              ...(log.events[0]?.createTime && { joinTime: log.events[0].createTime }),
            }));
            return { participants, asOfSeq: BigInt(log.head) };
          }),
          listInboxEvents: unary("listInboxEvents", ({ afterInboxSeq }, user) => {
            const events = this.#inbox(user);
            return { events: events.slice(Number(afterInboxSeq)), headInboxSeq: BigInt(events.length) };
          }),
        });
        router.service(UsersService, { batchGetUsers: unary("batchGetUsers", () => ({ users: [] })) });
        router.service(RealtimeService, {
          subscribe: ({ hello }, context) => this.#subscribe(hello, context),
          acknowledge: unary("acknowledge", ({ sessionId, cursors, inboxSeq }) => {
            const session = this.sessions.get(sessionId);
            if (session && inboxSeq !== undefined) session.inbox = Number(inboxSeq);
            for (const { conversationId, seq } of cursors) session?.cursors.set(conversationId, Number(seq));
            return {};
          }),
          endSession: unary("endSession", ({ sessionId }) => {
            this.sessions.delete(sessionId);
            return {};
          }),
        });
      },
      { transport: { interceptors: [authorize(tokens)] } },
    );
    return inner;
  }

  #inbox(user: string): InboxEvent[] {
    const inbox = this.inboxes.get(user) ?? [];
    this.inboxes.set(user, inbox);
    return inbox;
  }

  #tellInbox(user: string, conversationId: string, readSeq: bigint): void {
    const inbox = this.#inbox(user);
    const kind = { case: "readCursorMoved" as const, value: { readSeq } };
    const event = create(InboxEventSchema, { inboxSeq: BigInt(inbox.length + 1), conversationId, kind });
    inbox.push(event);
    for (const stream of this.open) if (stream.user === user) stream.push({ case: "inbox", value: event });
  }

  #authenticate(context: HandlerContext): string {
    if (this.down) throw new ConnectError("nobody is there", Code.Unavailable);
    const token = (context.requestHeader.get("authorization") ?? "").slice("Bearer ".length);
    const { userId, expireTime } = readClaims(token);
    if (this.refusedTokens.has(token)) throw refused(Code.Unauthenticated, "INVALID_TOKEN");
    if (expireTime !== null && expireTime < Date.now()) throw refused(Code.Unauthenticated, "TOKEN_EXPIRED");
    return userId;
  }

  #logsOf(user: string): Log[] {
    return [...this.logs.values()].filter((log) => log.users.includes(user));
  }

  #log(id: string, user: string): Log {
    const log = this.logs.get(id);
    if (!log?.users.includes(user)) throw refused(Code.NotFound, "CONVERSATION_NOT_FOUND");
    return log;
  }

  async *#subscribe(hello: Hello | undefined, context: HandlerContext) {
    const user = this.#authenticate(context);
    const bearer = context.requestHeader.get("authorization") ?? "";
    const sessionId = hello?.sessionId ?? "";
    let session = this.sessions.get(sessionId);
    if (sessionId !== "" && session === undefined) throw refused(Code.NotFound, "SESSION_LOST");
    for (const stream of this.open) {
      if (stream.session === session) stream.end(refused(Code.Aborted, "SESSION_FENCED"));
    }
    if (session === undefined) {
      const watch = hello?.watch ?? [];
      const cursors = new Map(watch.map(({ conversationId, seq }) => [conversationId, Number(seq)]));
      const inbox = Number(hello?.inboxSeq ?? this.#inbox(user).length);
      session = { id: crypto.randomUUID(), cursors, inbox };
      this.sessions.set(session.id, session);
    }
    const stream = new FakeStream(user, session, bearer, new Set(session.cursors.keys()));
    this.streams.push(stream);
    this.#replay(stream, sessionId === "" ? (hello?.inboxSeq ?? null) : BigInt(session.inbox));
    yield* stream.frames(context.signal);
  }

  #replay(stream: FakeStream, inboxSeq: bigint | null): void {
    const { session } = stream;
    const watching = [...session.cursors].map(([conversationId, seq]) => ({ conversationId, seq: BigInt(seq) }));
    const inbox = this.#inbox(stream.user);
    const heartbeatInterval = durationFromMs(this.heartbeatMs);
    const welcome = {
      sessionId: session.id,
      headInboxSeq: BigInt(inbox.length),
      userId: stream.user,
      heartbeatInterval,
      watching,
    };
    stream.push({ case: "welcome", value: welcome });
    stream.push({ case: "tokenExpiring", value: {} });
    for (const [conversationId, cursor] of session.cursors) {
      const log = this.logs.get(conversationId);
      if (log === undefined) continue;
      const seqs = { fromSeq: BigInt(cursor + 1), toSeq: BigInt(log.head) };
      const isHidden = log.hidden[1] > cursor;
      if (log.head - cursor > this.gapAbove || isHidden) stream.push({ case: "gap", value: { conversationId, ...seqs } });
      else for (const event of log.eventsAfter(cursor, this.gapAbove)) stream.push({ case: "event", value: event });
      stream.push({ case: "synced", value: { conversationId, seq: BigInt(log.head) } });
    }
    for (const event of inbox.slice(Number(inboxSeq ?? inbox.length))) stream.push({ case: "inbox", value: event });
    const end = () => stream.push({ case: "synced", value: { conversationId: "", seq: BigInt(inbox.length) } });
    if (this.holdsSynced) this.held.push(end);
    else end();
  }

  /** As a draining server takes leave. */
  goodbye(retryAfterMs: number): void {
    const failure = { code: Code.Unavailable, message: "draining", reason: Reason.DRAINING };
    for (const stream of this.open) {
      stream.push({ case: "goodbye", value: { failure, retryAfter: durationFromMs(retryAfterMs) } });
      stream.end(new ConnectError("draining", Code.Unavailable));
    }
  }
}

