// What the end of a stream means. Pure.

import { Code } from "@connectrpc/connect";

import type { SessionError } from "../errors";

/** Connect again; with another token; without the session, by cursors; or never. */
export type Verdict = "reconnect" | "renew-token" | "by-cursors" | "stop";

const PASSES: readonly (Code | undefined)[] = [
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
];

export function judge(error: SessionError, retryAfter: number | null): Verdict {
  if (error.kind === "token" || error.kind === "closed") return "stop";
  if (error.kind !== "refused") return "reconnect";
  switch (error.reason) {
    case "SESSION_LOST":
    case "SESSION_NOT_FOUND":
      return "by-cursors";
    case "SESSION_ENDED":
    case "SESSION_FENCED":
    // The server was set back to before what is shown here: all is to be read anew.
    case "CURSOR_ABOVE_HEAD":
      return "stop";
    case "NOT_WATCHED":
      return "reconnect";
    default:
  }
  if (error.isUnauthenticated) return "renew-token";
  if (retryAfter !== null || PASSES.includes(error.details.code)) return "reconnect";
  return "stop";
}
