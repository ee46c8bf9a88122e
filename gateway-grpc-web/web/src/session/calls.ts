// Unary calls: the token, a deadline for each try, and the one loop that tries again. Every unary RPC of
// Confab may be repeated; a command carries the same ids at every try, so it happens once.

import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { ConversationsService } from "../gen/confab/conversations/v1/conversations_pb";
import { MessagesService } from "../gen/confab/messages/v1/messages_pb";
import { ParticipantsService } from "../gen/confab/participants/v1/participants_pb";
import { UsersService } from "../gen/confab/participants/v1/users_pb";
import { RealtimeService } from "../gen/confab/realtime/v1/realtime_pb";
import { Backoff, Waits } from "./backoff";
import { SessionError } from "./errors";
import { Heads } from "./heads";
import type { Tokens } from "./tokens";

/** Milliseconds: one try, and all tries of a call that nobody gave a limit. */
const ATTEMPT = 10_000;
const BUDGET = 30_000;
const [FIRST_DELAY, LONGEST_DELAY] = [200, 3_000];

/** What makes a command idempotent. */
export interface Ids {
  readonly requestId: string;
  readonly afterSeq: bigint;
}

/** The services, with the token on every call. */
export interface Services {
  readonly conversations: Client<typeof ConversationsService>;
  readonly messages: Client<typeof MessagesService>;
  readonly participants: Client<typeof ParticipantsService>;
  readonly users: Client<typeof UsersService>;
  readonly realtime: Client<typeof RealtimeService>;
}

/** Puts the token on every call, and forgets one that was refused. */
export function authorize(tokens: Tokens): Interceptor {
  return (next) => async (request) => {
    const token = await tokens.get();
    request.header.set("authorization", `Bearer ${token}`);
    try {
      return await next(request);
    } catch (thrown) {
      if (SessionError.from(thrown).isUnauthenticated) tokens.forget(token);
      throw thrown;
    }
  };
}

export function openTransport(
  baseUrl: string,
  interceptor: Interceptor,
  fetch: typeof globalThis.fetch | undefined,
): Transport {
  return createGrpcWebTransport({ baseUrl, interceptors: [interceptor], ...(fetch && { fetch }) });
}

export function services(transport: Transport): Services {
  return {
    conversations: createClient(ConversationsService, transport),
    messages: createClient(MessagesService, transport),
    participants: createClient(ParticipantsService, transport),
    users: createClient(UsersService, transport),
    realtime: createClient(RealtimeService, transport),
  };
}

export class Calls {
  readonly heads = new Heads();
  #waits = new Waits();
  #closed = new AbortController();

  constructor(readonly services: Services) {}

  /** Whoever waits before another try does so now. */
  wake(): void {
    this.#waits.wake();
  }

  close(): void {
    this.#closed.abort();
    this.#waits.wake();
  }

  /**
   * Calls, and again while nobody can be reached, for `budget` milliseconds. The error says in
   * `outcomeOpen` whether some try may have taken effect.
   */
  async call<T>(
    attempt: (options: { timeoutMs: number; signal: AbortSignal }) => Promise<T>,
    budget = BUDGET,
  ): Promise<T> {
    const deadline = Date.now() + budget;
    const backoff = new Backoff(FIRST_DELAY, LONGEST_DELAY);
    let [outcomeOpen, renewed] = [false, false];
    for (;;) {
      if (this.#closed.signal.aborted) throw new SessionError("closed", "the session is closed");
      let error: SessionError;
      try {
        return await attempt({ timeoutMs: ATTEMPT, signal: this.#closed.signal });
      } catch (thrown) {
        error = SessionError.from(thrown);
      }
      // The interceptor has forgotten the token; the next try asks for another.
      const renew = error.isUnauthenticated && !renewed;
      renewed ||= renew;
      // A refusal comes after a look at the log: no earlier try took effect.
      if (!renew && !error.isRetryable) throw error;
      outcomeOpen ||= error.leavesOutcomeOpen;
      const delay = renew ? 0 : (error.retryAfter ?? backoff.advance());
      if (Date.now() + delay >= deadline) {
        throw new SessionError(error.kind, error.message, { ...error.details, outcomeOpen });
      }
      if (delay > 0) await this.#waits.sleep(delay);
    }
  }

  /** The ids of a new command: chosen once, before its first try. */
  async ids(conversationId: string): Promise<Ids> {
    let head = this.heads.get(conversationId);
    if (head === 0) {
      try {
        const answer = await this.call((options) =>
          this.services.conversations.getConversation({ conversationId }, options),
        );
        head = Number(answer.asOfSeq);
        this.heads.note(conversationId, head);
      } catch (thrown) {
        // The command's own answer says best what is wrong.
        if (SessionError.from(thrown).kind !== "refused") throw thrown;
      }
    }
    return { requestId: newRequestId(), afterSeq: BigInt(head) };
  }

  /** A command on a conversation: ids once, tries under the same ids, and its seq is remembered. */
  async command(
    conversationId: string,
    attempt: (
      ids: Ids & { readonly conversationId: string },
      options: { timeoutMs: number; signal: AbortSignal },
    ) => Promise<{ readonly seq: bigint }>,
  ): Promise<number> {
    const ids = { conversationId, ...(await this.ids(conversationId)) };
    try {
      const { seq } = await this.call((options) => attempt(ids, options));
      this.heads.note(conversationId, Number(seq));
      return Number(seq);
    } catch (thrown) {
      const error = SessionError.from(thrown);
      if (error.reason === "AFTER_SEQ_ABOVE_HEAD") this.heads.forget(conversationId);
      throw error;
    }
  }
}

/** Random enough to be one's own for ever. Also on pages that are not in a secure context. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
