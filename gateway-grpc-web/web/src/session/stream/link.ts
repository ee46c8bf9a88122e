// One connection of a stream: a Subscribe call from its hello to its end. It notices silence; what its
// end means is for the stream to say.

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { HelloSchema, type SubscribeResponse } from "../../gen/confab/realtime/v1/realtime_pb";
import { SessionError } from "../errors";
import type { Frame } from "../events";
import { type Control, readFrame } from "./frames";
import { INBOX } from "./wire";

/** Milliseconds that the welcome may take. */
const WELCOME = 15_000;

/** What a connection asks for. */
export interface Plan {
  /** Empty: by cursors. */
  readonly sessionId: string;
  readonly watch: ReadonlyMap<string, number>;
  readonly inboxSeq: number | null;
  readonly presence: readonly string[];
  /** The token that it is opened with. */
  readonly token: string;
}

/** Opens the call. */
export type Subscribe = (
  hello: MessageInitShape<typeof HelloSchema>,
  signal: AbortSignal,
) => AsyncIterable<SubscribeResponse>;

/** How it ended. */
export interface End {
  readonly error: SessionError;
  /** From a goodbye: milliseconds. */
  readonly retryAfter: number | null;
}

type Welcome = Extract<Control, { kind: "welcome" }>;

export class Link {
  /** Empty until the welcome. */
  sessionId = "";
  /** What the server has brought on this connection: all that may be acknowledged on it. */
  readonly delivered = new Map<string, number>();
  /** Logs whose replay has not ended. */
  readonly unsynced = new Set<string>();
  readonly watching: Set<string>;
  #abort = new AbortController();
  #silence: ReturnType<typeof setTimeout> | undefined;
  #limit = WELCOME;

  constructor(readonly plan: Plan) {
    this.watching = new Set(plan.watch.keys());
  }

  get isSynced(): boolean {
    return this.sessionId !== "" && this.unsynced.size === 0;
  }

  close(): void {
    this.#abort.abort();
  }

  /** Runs until the connection ends. Frames are told as they come. */
  async run(subscribe: Subscribe, tell: (frame: Frame | Control) => void): Promise<End> {
    let end: End | null = null;
    try {
      this.#listen();
      for await (const response of subscribe(this.#hello(), this.#abort.signal)) {
        this.#listen();
        const frame = readFrame(response);
        if (frame === null) continue;
        if (frame.kind === "goodbye") {
          end ??= frame;
          break;
        }
        this.#note(frame);
        tell(frame);
      }
      end ??= { error: new SessionError("unreachable", "the stream ended"), retryAfter: null };
    } catch (thrown) {
      const error = this.#abort.signal.aborted ? abortion(this.#abort.signal) : SessionError.from(thrown);
      end = { error, retryAfter: error.retryAfter };
    } finally {
      clearTimeout(this.#silence);
      this.#abort.abort();
    }
    return end;
  }

  #hello(): MessageInitShape<typeof HelloSchema> {
    const { sessionId, watch, inboxSeq, presence } = this.plan;
    if (sessionId !== "") return { sessionId, presence: [...presence] };
    return create(HelloSchema, {
      watch: [...watch].map(([conversationId, seq]) => ({ conversationId, seq: BigInt(seq) })),
      presence: [...presence],
      ...(inboxSeq !== null && { inboxSeq: BigInt(inboxSeq) }),
    });
  }

  /** Something was heard; the next sound is due within two heartbeats. */
  #listen(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#abort.abort(new SessionError("timed-out", `nothing was heard for ${this.#limit} ms`));
    }, this.#limit);
  }

  #note(frame: Frame | Control): void {
    switch (frame.kind) {
      case "welcome":
        this.#welcome(frame);
        break;
      case "event":
        this.delivered.set(frame.event.conversationId, frame.event.seq);
        break;
      case "inbox":
        this.delivered.set(INBOX, frame.event.inboxSeq);
        break;
      case "synced":
        this.unsynced.delete(frame.conversationId);
        this.delivered.set(frame.conversationId, frame.seq);
        break;
      case "gap":
        this.delivered.set(frame.conversationId, frame.toSeq);
        break;
      case "watch-ended":
        this.unsynced.delete(frame.conversationId);
        this.watching.delete(frame.conversationId);
        this.delivered.delete(frame.conversationId);
        break;
      default:
    }
  }

  #welcome(welcome: Welcome): void {
    this.sessionId = welcome.sessionId;
    this.#limit = welcome.heartbeat * 2;
    const watching = this.plan.sessionId === "" ? this.plan.watch : welcome.watching;
    this.watching.clear();
    for (const [topic, seq] of watching) {
      this.watching.add(topic);
      this.unsynced.add(topic);
      this.delivered.set(topic, seq);
    }
    this.unsynced.add(INBOX);
    if (this.plan.sessionId === "") this.delivered.set(INBOX, this.plan.inboxSeq ?? welcome.headInboxSeq);
  }
}

function abortion(signal: AbortSignal): SessionError {
  const { reason } = signal;
  return reason instanceof SessionError ? reason : new SessionError("closed", "the connection was closed");
}
