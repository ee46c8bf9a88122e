// What a stream sends, as plain values. Frames of a kind that is not known are passed over.

import type { SubscribeResponse } from "../../gen/confab/realtime/v1/realtime_pb";
import { head, inboxEvent, presence, receipt } from "../convert";
import { logEvent } from "../convert-event";
import { milliseconds, SessionError } from "../errors";
import type { Frame } from "../events";

/** Frames about the stream itself. */
export type Control =
  | {
      readonly kind: "welcome";
      readonly sessionId: string;
      readonly headInboxSeq: number;
      readonly heartbeat: number;
      readonly watching: ReadonlyMap<string, number>;
    }
  | { readonly kind: "heartbeat" }
  | { readonly kind: "token-expiring" }
  | { readonly kind: "goodbye"; readonly error: SessionError; readonly retryAfter: number | null };

/** Of a server that does not tell: milliseconds. */
const HEARTBEAT = 30_000;

export function readFrame(response: SubscribeResponse): Frame | Control | null {
  const { frame } = response;
  switch (frame.case) {
    case "welcome": {
      const { sessionId, headInboxSeq, heartbeatInterval, watching } = frame.value;
      return {
        kind: "welcome",
        sessionId,
        headInboxSeq: Number(headInboxSeq),
        heartbeat: (heartbeatInterval && milliseconds(heartbeatInterval)) || HEARTBEAT,
        watching: new Map(watching.map((cursor) => [cursor.conversationId, Number(cursor.seq)])),
      };
    }
    case "heartbeat":
      return { kind: "heartbeat" };
    case "tokenExpiring":
      return { kind: "token-expiring" };
    case "goodbye": {
      const { failure, retryAfter } = frame.value;
      const error = SessionError.fromFailure(failure);
      return { kind: "goodbye", error, retryAfter: retryAfter ? milliseconds(retryAfter) : null };
    }
    case "event":
      return { kind: "event", event: logEvent(frame.value) };
    case "inbox":
      return { kind: "inbox", event: inboxEvent(frame.value) };
    case "gap": {
      const { conversationId, fromSeq, toSeq } = frame.value;
      return { kind: "gap", conversationId, fromSeq: Number(fromSeq), toSeq: Number(toSeq) };
    }
    case "synced": {
      const { conversationId, seq } = frame.value;
      return { kind: "synced", conversationId, seq: Number(seq) };
    }
    case "head":
      return { kind: "head", head: head(frame.value) };
    default:
      return passingFrame(frame);
  }
}

function passingFrame(frame: SubscribeResponse["frame"]): Frame | null {
  switch (frame.case) {
    case "receipt": {
      const { conversationId, receipt: moved } = frame.value;
      if (moved === undefined) return null;
      return { kind: "receipt", conversationId, userId: moved.userId, receipt: receipt(moved) };
    }
    case "typing": {
      const { conversationId, userId, lasts } = frame.value;
      return { kind: "typing", conversationId, userId, lasts: lasts ? milliseconds(lasts) : 0 };
    }
    case "presence":
      return { kind: "presence", userId: frame.value.userId, presence: presence(frame.value) };
    case "watchEnded": {
      const { conversationId, failure } = frame.value;
      const { reason, message } = SessionError.fromFailure(failure);
      return { kind: "watch-ended", conversationId, ending: { reason, message } };
    }
    default:
      return null;
  }
}
