// The stream of a device, over as many connections as it takes. What comes out is each event once, in
// order, or a gap. It resumes by its session, and by cursors where that cannot be: when something new
// is to be watched, or the session is lost. Such a change opens a second connection, waits until
// everything is replayed there, and closes the first: nothing is silent in between.

import { Backoff } from "../backoff";
import { SessionError } from "../errors";
import type { Frame } from "../events";
import { readClaims, replaceAt, type Tokens } from "../tokens";
import type { Control } from "./frames";
import { type End, Link, type Plan, type Subscribe } from "./link";
import { judge } from "./verdict";
import { INBOX, Wire } from "./wire";

/** Milliseconds between two tries, growing; from a wish to the connection that fulfils it; between acks. */
const [FIRST_RETRY, LONGEST_RETRY] = [500, 30_000];
const PRESENCE_DELAY = 1_500;
const ACK_INTERVAL = 4_000;
/** Milliseconds before a watch that was refused is asked for again. */
const REFUSED_FOR = 5_000;

/** What is to be followed: conversations from cursors, the inbox, people. */
export interface Wants {
  readonly watch: ReadonlyMap<string, number>;
  /** `null` on a new device: the inbox from now on. */
  readonly inboxSeq: number | null;
  readonly presence: readonly string[];
}

/** How the stream is. */
export type StreamStatus =
  | { readonly status: "connecting" }
  | { readonly status: "online"; readonly inboxSeq: number }
  | { readonly status: "offline"; readonly retryAt: number; readonly error: SessionError }
  | { readonly status: "ended"; readonly error: SessionError };

/** What the stream needs of the session. */
export interface StreamHost {
  readonly tokens: Tokens;
  readonly subscribe: Subscribe;
  acknowledge(sessionId: string, cursors: readonly [string, number][], inboxSeq: number | null): Promise<void>;
  endSession(sessionId: string): Promise<void>;
  frame(frame: Frame): void;
  status(status: StreamStatus): void;
  problem(what: string): void;
}

export class Stream {
  #wire = new Wire();
  #active: Link | null = null;
  #candidate: Link | null = null;
  #session = "";
  #byCursors = true;
  #wants: Wants = { watch: new Map(), inboxSeq: null, presence: [] };
  #backoff = new Backoff(FIRST_RETRY, LONGEST_RETRY);
  #tokenRefused = false;
  #tokenDue = false;
  readonly #refused = new Set<string>();
  readonly #acked = new Map<string, number>();
  #ackTimer: ReturnType<typeof setTimeout> | undefined;
  #tokenTimer: ReturnType<typeof setTimeout> | undefined;
  #openTimer: ReturnType<typeof setTimeout> | undefined;
  #openAt = Number.POSITIVE_INFINITY;
  #opening = false;
  #ended = false;

  constructor(private readonly host: StreamHost) {}

  /** Begins with what is wanted by now. */
  start(): void {
    this.host.status({ status: "connecting" });
    this.#openIn(0);
  }

  /** Says what is to be followed from now on. */
  want(wants: Wants): void {
    this.#wants = wants;
    if (wants.inboxSeq !== null) this.#wire.follow(INBOX, wants.inboxSeq);
    this.#reconsider();
  }

  /** Tries again now, if it waits. */
  retryNow(): void {
    if (this.#active === null && this.#candidate === null && !this.#ended) this.#openIn(0);
  }

  /** Ends it, and the session on the server with it. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#end(new SessionError("closed", "the session is closed"));
    if (session !== "") await this.host.endSession(session);
  }

  /** Ends the connections only: another tab goes on. */
  abandon(): void {
    this.#end(new SessionError("closed", "another tab goes on"));
  }

  /** Opens another connection when the one that there is does not bring what is wanted. */
  #reconsider(): void {
    const link = this.#active;
    if (link === null || this.#candidate !== null || this.#ended) return;
    // A watch that ended here may live on, or again, in what a connection resumed.
    const isFollowed = (topic: string) => link.watching.has(topic) && this.#wire.get(topic) !== undefined;
    const isNew = (topic: string) => !isFollowed(topic) && !this.#refused.has(topic);
    if ([...this.#wants.watch.keys()].some(isNew)) {
      this.#byCursors = true;
      this.#openIn(0);
    } else if (this.#tokenDue) {
      this.#openIn(0);
    } else if (this.#wants.presence.some((user) => !link.plan.presence.includes(user))) {
      this.#openIn(PRESENCE_DELAY);
    }
  }

  /** Without a timer where nothing is to be waited for: those of a hidden tab may take a minute. */
  #openIn(delay: number): void {
    const at = Date.now() + delay;
    if (at >= this.#openAt) return;
    clearTimeout(this.#openTimer);
    this.#openAt = at;
    const open = () => {
      if (this.#openAt !== at) return;
      this.#openAt = Number.POSITIVE_INFINITY;
      void this.#open();
    };
    if (delay === 0) queueMicrotask(open);
    else this.#openTimer = setTimeout(open, delay);
  }

  async #open(): Promise<void> {
    if (this.#ended || this.#opening || this.#candidate !== null) return;
    if (this.#active === null) this.host.status({ status: "connecting" });
    this.#opening = true;
    let token: string;
    try {
      token = await this.host.tokens.get();
    } catch (thrown) {
      this.#opening = false;
      const error = SessionError.from(thrown);
      this.#notOpened(error, error.retryAfter);
      return;
    }
    this.#opening = false;
    if (this.#ended) return;
    const isRenewal = this.#tokenDue && !this.#byCursors;
    this.#tokenDue = false;
    // A source with one token only: it serves until it is refused.
    if (isRenewal && token === this.#active?.plan.token) return;
    const link = new Link({ ...this.#plan(), token });
    this.#candidate = link;
    const end = await link.run(this.host.subscribe, (frame) => this.#take(link, frame));
    this.#lost(link, end);
  }

  #plan(): Omit<Plan, "token"> {
    const { presence } = this.#wants;
    if (!this.#byCursors && this.#session !== "") {
      const watch = new Map(this.#wire.conversations());
      return { sessionId: this.#session, watch, inboxSeq: null, presence };
    }
    for (const [topic] of this.#wire.conversations()) {
      if (!this.#wants.watch.has(topic)) this.#wire.drop(topic);
    }
    for (const [topic, cursor] of this.#wants.watch) this.#wire.follow(topic, cursor);
    const watch = new Map(this.#wire.conversations());
    return { sessionId: "", watch, inboxSeq: this.#wire.get(INBOX) ?? null, presence };
  }

  #take(link: Link, frame: Frame | Control): void {
    if (this.#ended) return;
    switch (frame.kind) {
      case "welcome":
        this.#welcome(link, frame.headInboxSeq);
        return;
      case "heartbeat":
        return;
      case "token-expiring":
        // Tokens that do not live long are all about to end, in the server's eyes.
        this.#renewToken(link.plan.token);
        return;
      case "goodbye":
        return;
      default:
    }
    for (const news of this.#wire.accept(frame)) {
      if (news !== frame) this.host.problem("events were left out without a gap: they are read from the log");
      this.host.frame(news);
    }
    if (frame.kind === "watch-ended") this.#refuse(frame.conversationId);
    if (link === this.#candidate && link.isSynced) this.#promote(link);
    this.#ackLater();
  }

  #refuse(topic: string): void {
    this.#refused.add(topic);
    setTimeout(() => {
      this.#refused.delete(topic);
      this.#reconsider();
    }, REFUSED_FOR);
  }

  #welcome(link: Link, headInboxSeq: number): void {
    this.#backoff.reset();
    this.#tokenRefused = false;
    if (link.plan.sessionId === "") this.#wire.follow(INBOX, headInboxSeq);
    // Nothing else is heard: what it brings is as live as can be.
    if (this.#active === null) this.#promote(link);
  }

  /** Makes a connection the one that counts, and closes the one before. */
  #promote(link: Link): void {
    const [before, session] = [this.#active, this.#session];
    this.#active = link;
    this.#candidate = null;
    this.#session = link.sessionId;
    this.#byCursors = false;
    this.#acked.clear();
    before?.close();
    if (session !== "" && session !== link.sessionId) void this.host.endSession(session);
    this.#watchToken(link.plan.token);
    this.host.status({ status: "online", inboxSeq: this.#wire.get(INBOX) ?? 0 });
    this.#reconsider();
  }

  #lost(link: Link, { error, retryAfter }: End): void {
    if (this.#ended || (link !== this.#active && link !== this.#candidate)) return;
    if (link === this.#active) this.#active = null;
    else this.#candidate = null;
    if (this.#active === null && this.#candidate !== null) {
      if (this.#candidate.sessionId !== "") this.#promote(this.#candidate);
      return;
    }
    if (error.isUnauthenticated) this.host.tokens.forget(link.plan.token);
    this.#notOpened(error, retryAfter);
  }

  /** No connection came of it, or the only one is lost. */
  #notOpened(error: SessionError, retryAfter: number | null): void {
    if (this.#ended) return;
    if (this.#active === null) {
      this.#comeBack(error, retryAfter);
      return;
    }
    // Another one lives; whatever was wanted of this one is wanted still.
    if (error.reason.startsWith("SESSION_")) this.#byCursors = true;
    setTimeout(() => this.#reconsider(), retryAfter ?? this.#backoff.advance());
  }

  #comeBack(error: SessionError, retryAfter: number | null): void {
    const verdict = judge(error, retryAfter);
    const again = verdict === "renew-token" && this.#tokenRefused;
    if (verdict === "stop" || again) {
      this.#end(error);
      return;
    }
    let delay = retryAfter ?? this.#backoff.advance();
    if (verdict === "renew-token") {
      this.#tokenRefused = true;
      delay = 0;
    } else if (verdict === "by-cursors") {
      if (!this.#byCursors) delay = 0;
      this.#byCursors = true;
      this.#session = "";
    }
    if (delay > 0) this.host.status({ status: "offline", retryAt: Date.now() + delay, error });
    this.#openIn(delay);
  }

  #end(error: SessionError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of [this.#ackTimer, this.#tokenTimer, this.#openTimer]) clearTimeout(timer);
    this.#active?.close();
    this.#candidate?.close();
    this.#active = null;
    this.#candidate = null;
    this.host.status({ status: "ended", error });
  }

  /** A stream ends with its token: another one is opened before that. */
  #watchToken(token: string): void {
    clearTimeout(this.#tokenTimer);
    const at = replaceAt(readClaims(token));
    if (!Number.isFinite(at)) return;
    const delay = Math.min(Math.max(Math.ceil(at - Date.now()), 1_000), 0x7fff_ffff);
    this.#tokenTimer = setTimeout(() => this.#renewToken(token), delay);
  }

  #renewToken(token: string): void {
    if (token !== this.#active?.plan.token) return;
    // Timers may be early.
    if (Date.now() < replaceAt(readClaims(token))) return this.#watchToken(token);
    this.#tokenDue = true;
    this.#reconsider();
  }

  #ackLater(): void {
    this.#ackTimer ??= setTimeout(() => {
      this.#ackTimer = undefined;
      void this.#acknowledge();
    }, ACK_INTERVAL);
  }

  /** Says how far this device is, as far as the connection has brought it. */
  async #acknowledge(): Promise<void> {
    const link = this.#active;
    if (link === null) return;
    const news = [...link.delivered].flatMap(([topic, seq]): [string, number][] => {
      const reached = Math.min(seq, this.#wire.get(topic) ?? 0);
      const isWatched = topic === INBOX || link.watching.has(topic);
      return isWatched && reached > (this.#acked.get(topic) ?? 0) ? [[topic, reached]] : [];
    });
    if (news.length === 0) return;
    const inbox = news.find(([topic]) => topic === INBOX)?.[1] ?? null;
    try {
      await this.host.acknowledge(link.sessionId, news.filter(([topic]) => topic !== INBOX).slice(0, 200), inbox);
      for (const [topic, seq] of news) this.#acked.set(topic, seq);
    } catch {
      // The next one says it again; a session that is behind only replays more.
    }
  }
}
