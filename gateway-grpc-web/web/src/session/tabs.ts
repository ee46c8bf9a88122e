// Tabs of one user share one stream: a host gets six connections over HTTP/1.1, and each stream keeps
// one. The tab that holds the lock has the stream and posts what it brings to the others; when it is
// gone, the browser gives the lock to the next one, which goes on. Nothing depends on a post arriving:
// every tab has cursors of its own and reads from the log what it misses.

import { SessionError } from "./errors";
import type { Frame } from "./events";
import type { Stream, StreamStatus, Wants } from "./stream/stream";

/** Watched conversations and people of all tabs together: the server's limits. */
const [MOST_WATCHED, MOST_PRESENCES] = [200, 200];
/** Milliseconds between two announcements of a tab, and after which a silent one counts as gone. */
const [ANNOUNCE, GONE] = [20_000, 180_000];
/** Milliseconds after the time of the next try at which a tab reminds the leader of it. */
const REMIND = 500;
/** Milliseconds that a new leader gives the others to say where they are. */
const GATHER = 100;

/** What a tab hears. */
export interface TabHost {
  openStream(ears: { frame(frame: Frame): void; status(status: StreamStatus): void }): Stream;
  frame(frame: Frame): void;
  status(status: StreamStatus, leader: boolean): void;
}

/** The browser's parts, or a test's. Absent: every tab has its own stream. */
export interface TabPlatform {
  readonly locks: Pick<LockManager, "request">;
  openChannel(name: string): Pick<BroadcastChannel, "postMessage" | "close" | "onmessage">;
}

type Post =
  | { readonly kind: "wants"; readonly tab: string; readonly wants: Wants }
  | { readonly kind: "bye"; readonly tab: string }
  | { readonly kind: "who" }
  | { readonly kind: "retry" }
  | { readonly kind: "frame"; readonly frame: Frame }
  | { readonly kind: "status"; readonly status: PostedStatus };

/** An error loses its own fields on the way to another tab, so they are posted beside it. */
type PostedStatus =
  | Exclude<StreamStatus, { error: SessionError }>
  | { readonly status: "offline"; readonly retryAt: number; readonly error: PlainError };

interface PlainError {
  readonly kind: SessionError["kind"];
  readonly message: string;
  readonly details: SessionError["details"];
}

export class Tabs {
  readonly #id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  #channel: ReturnType<TabPlatform["openChannel"]> | null = null;
  #stream: Stream | null = null;
  #status: StreamStatus = { status: "connecting" };
  #wants: Wants = { watch: new Map(), inboxSeq: null, presence: [] };
  #others = new Map<string, { wants: Wants; heard: number }>();
  #announcing: ReturnType<typeof setInterval> | undefined;
  #reminder: ReturnType<typeof setTimeout> | undefined;
  #release: (() => void) | null = null;
  #leave = new AbortController();

  constructor(
    private readonly host: TabHost,
    private readonly platform: TabPlatform | null,
    private readonly name: string,
  ) {}

  get isLeader(): boolean {
    return this.#stream !== null;
  }

  start(): void {
    if (this.platform === null) {
      this.#lead();
      return;
    }
    this.#channel = this.platform.openChannel(this.name);
    this.#channel.onmessage = (message: MessageEvent<Post>) => this.#hear(message.data);
    this.#announcing = setInterval(() => this.#announce(), ANNOUNCE);
    this.#announce();
    void this.#queue(this.platform.locks);
  }

  /** Says what this tab follows, and from where it would go on. */
  want(wants: Wants): void {
    this.#wants = wants;
    if (this.#stream !== null) this.#stream.want(this.#allWants());
    else this.#announce();
  }

  retryNow(): void {
    if (this.#stream !== null) this.#stream.retryNow();
    else this.#post({ kind: "retry" });
  }

  /** Leaves the stream to another tab, or ends it where there is none. */
  async close(): Promise<void> {
    if (this.#others.size === 0) await this.#stream?.close();
    this.leave();
  }

  /** Leaves the stream to whoever is there. */
  leave(): void {
    clearInterval(this.#announcing);
    clearTimeout(this.#reminder);
    this.#post({ kind: "bye", tab: this.#id });
    this.#stream?.abandon();
    this.#stream = null;
    this.#release?.();
    this.#leave.abort();
    this.#channel?.close();
    this.#channel = null;
  }

  /** Waits for its turn to lead, and leads until it ends. */
  async #queue(locks: TabPlatform["locks"]): Promise<void> {
    const { signal } = this.#leave;
    try {
      await locks.request(this.name, { signal }, async () => {
        if (signal.aborted) return;
        const ended = new Promise<void>((resolve) => {
          this.#release = resolve;
        });
        this.#post({ kind: "who" });
        setTimeout(() => !signal.aborted && this.#lead(), GATHER);
        await ended;
      });
    } catch {
      // Left before its turn came.
    }
  }

  #lead(): void {
    this.#stream = this.host.openStream({
      frame: (frame) => {
        this.#post({ kind: "frame", frame });
        this.host.frame(frame);
      },
      status: (status) => this.#told(status),
    });
    this.#stream.want(this.#allWants());
    this.#stream.start();
  }

  #told(status: StreamStatus): void {
    this.#status = status;
    if (status.status === "ended") {
      // Of this tab's token or session: the next tab may have a better one.
      this.#stream = null;
      this.leave();
    } else {
      this.#postStatus();
    }
    this.host.status(status, true);
  }

  #hear(post: Post): void {
    switch (post.kind) {
      case "wants":
        if (this.#stream !== null && !this.#others.has(post.tab)) this.#postStatus();
        this.#others.set(post.tab, { wants: post.wants, heard: Date.now() });
        this.#stream?.want(this.#allWants());
        break;
      case "bye":
        this.#others.delete(post.tab);
        break;
      case "who":
        this.#announce();
        break;
      case "retry":
        this.#stream?.retryNow();
        break;
      case "frame":
        if (this.#stream === null) this.host.frame(post.frame);
        break;
      case "status":
        if (this.#stream === null && this.#status.status !== "ended") this.#follow(revived(post.status));
        break;
      default:
    }
  }

  /** The leader's timers may be slow, when nobody looks at it: this tab's remind it. */
  #follow(status: StreamStatus): void {
    clearTimeout(this.#reminder);
    if (status.status === "offline") {
      const delay = Math.max(0, status.retryAt - Date.now()) + REMIND;
      this.#reminder = setTimeout(() => this.#post({ kind: "retry" }), delay);
    }
    this.host.status(status, false);
  }

  #announce(): void {
    this.#post({ kind: "wants", tab: this.#id, wants: this.#wants });
  }

  #postStatus(): void {
    const status = this.#status;
    if (status.status === "ended") return;
    if (status.status === "offline") {
      const { kind, message, details } = status.error;
      this.#post({ kind: "status", status: { ...status, error: { kind, message, details } } });
    } else {
      this.#post({ kind: "status", status });
    }
  }

  #post(post: Post): void {
    this.#channel?.postMessage(post);
  }

  /** What all tabs follow, this one's wishes first. */
  #allWants(): Wants {
    const watch = new Map(this.#wants.watch);
    const presence = new Set(this.#wants.presence);
    let { inboxSeq } = this.#wants;
    for (const [tab, { wants, heard }] of this.#others) {
      if (Date.now() - heard > GONE) {
        this.#others.delete(tab);
        continue;
      }
      for (const [topic, cursor] of wants.watch) {
        const known = watch.get(topic);
        if (known !== undefined || watch.size < MOST_WATCHED) watch.set(topic, Math.min(cursor, known ?? cursor));
      }
      for (const user of wants.presence) if (presence.size < MOST_PRESENCES) presence.add(user);
      if (wants.inboxSeq !== null) inboxSeq = Math.min(wants.inboxSeq, inboxSeq ?? wants.inboxSeq);
    }
    return { watch, presence: [...presence], inboxSeq };
  }
}

function revived(status: PostedStatus): StreamStatus {
  if (status.status !== "offline") return status;
  const { kind, message, details } = status.error;
  return { ...status, error: new SessionError(kind, message, details) };
}

/** What this browser has for it; `null` where it is not all there. */
export function browserTabs(): TabPlatform | null {
  if (typeof BroadcastChannel === "undefined") return null;
  const { navigator } = globalThis;
  if (typeof navigator === "undefined" || !("locks" in navigator)) return null;
  return { locks: navigator.locks, openChannel: (name) => new BroadcastChannel(name) };
}
