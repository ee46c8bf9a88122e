// How a call can fail, in one error. It decides by code and reason, never by text.

import { Code, ConnectError } from "@connectrpc/connect";

import { type Failure, FailureSchema, Reason, ReasonSchema } from "../gen/confab/errors/v1/errors_pb";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";

/** What went wrong: refused by the server, no answer, no token, or closed by us. */
export type ErrorKind = "refused" | "unreachable" | "timed-out" | "token" | "closed";

/** One wrong field of a request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** Every error of this library. */
export class SessionError extends Error {
  override readonly name = "SessionError";

  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly details: {
      readonly code?: Code;
      /** Without its prefix: `MUTED`. Empty when the server gave none. */
      readonly reason?: string;
      readonly metadata?: Readonly<Record<string, string>>;
      readonly violations?: readonly Violation[];
      /** Milliseconds. */
      readonly retryAfter?: number;
      /** A command may have taken effect all the same. */
      readonly outcomeOpen?: boolean;
    } = {},
  ) {
    super(message);
  }

  /** Why the server said no, as in docs/errors.md: `CONVERSATION_ARCHIVED`. Empty when it did not. */
  get reason(): string {
    return this.details.reason ?? "";
  }

  get retryAfter(): number | null {
    return this.details.retryAfter ?? null;
  }

  /** Whether the same request, with the same ids, can succeed later without anybody changing anything. */
  get isRetryable(): boolean {
    if (this.kind === "unreachable" || this.kind === "timed-out") return true;
    if (this.kind !== "refused") return false;
    const { code, retryAfter } = this.details;
    if (code === Code.Unavailable || code === Code.DeadlineExceeded) return true;
    return code === Code.ResourceExhausted && retryAfter !== undefined;
  }

  /** Whether the token was not accepted. */
  get isUnauthenticated(): boolean {
    return this.kind === "refused" && this.details.code === Code.Unauthenticated;
  }

  /** Whether a command that ended so may have taken effect. */
  get leavesOutcomeOpen(): boolean {
    if (this.kind === "unreachable" || this.kind === "timed-out") return true;
    return this.reason === "OUTCOME_UNKNOWN" || this.details.code === Code.DeadlineExceeded;
  }

  /** Whatever was thrown, as one of these. */
  static from(thrown: unknown): SessionError {
    if (thrown instanceof SessionError) return thrown;
    const error = ConnectError.from(thrown);
    // Ours, on its way through the transport: there was no token.
    return error.cause instanceof SessionError ? error.cause : fromConnect(error);
  }

  /** A failure that came inside a stream. */
  static fromFailure(failure: Failure | undefined): SessionError {
    const { code, message, reason, details } = failure ?? create(FailureSchema);
    const unpacked = details.map((any) => ({
      info: anyUnpack(any, ErrorInfoSchema),
      retry: anyUnpack(any, RetryInfoSchema),
    }));
    const info = unpacked.find((one) => one.info)?.info;
    const retry = unpacked.find((one) => one.retry)?.retry;
    return new SessionError("refused", message, {
      code,
      reason: nameOf(reason),
      ...(info && { metadata: info.metadata }),
      ...(retry?.retryDelay && { retryAfter: milliseconds(retry.retryDelay) }),
    });
  }
}

/** A Protobuf duration in milliseconds. */
export function milliseconds(duration: { seconds: bigint; nanos: number }): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function nameOf(reason: Reason): string {
  if (reason === Reason.UNSPECIFIED) return "";
  return (ReasonSchema.value[reason]?.name ?? "").replace(/^REASON_/, "");
}

function fromConnect(error: ConnectError): SessionError {
  const info = error.findDetails(ErrorInfoSchema).find((one) => one.domain === "confab");
  if (info === undefined) {
    // Made by the browser, or by something on the way.
    const { code } = error;
    if (code === Code.DeadlineExceeded) return new SessionError("timed-out", error.rawMessage);
    const passing = [Code.Unavailable, Code.Unknown, Code.Canceled, Code.Aborted, Code.Internal];
    if (passing.includes(code)) return new SessionError("unreachable", error.rawMessage);
  }
  const retry = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const violations = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  return new SessionError("refused", error.rawMessage, {
    code: error.code,
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    violations: violations.map(({ field, description }) => ({ field, description })),
    ...(retry && { retryAfter: milliseconds(retry) }),
  });
}
