// The token in use, shared by all calls and streams of a session. It is never stored or shown.

import { SessionError } from "./errors";

/** A token is replaced when so much of its life is left, or a tenth if that is less: milliseconds. */
const MARGIN = 60_000;

/** What a token says about itself. The server verifies it; here it only tells who and how long. */
export interface Claims {
  readonly userId: string;
  readonly tenantId: string;
  readonly deviceId: string;
  /** `null` when it does not say. */
  readonly expireTime: number | null;
  readonly issueTime: number | null;
}

export function readClaims(token: string): Claims {
  const claims = decode(token);
  const text = (name: string) => {
    const value = claims[name];
    return typeof value === "string" ? value : "";
  };
  const seconds = (name: string) => {
    const value = claims[name];
    return typeof value === "number" ? value * 1000 : null;
  };
  return {
    userId: text("sub"),
    tenantId: text("tenant"),
    deviceId: text("device_id"),
    expireTime: seconds("exp"),
    issueTime: seconds("iat"),
  };
}

function decode(token: string): Record<string, unknown> {
  try {
    const payload = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims === "object" && claims !== null) return { ...claims };
  } catch {
    // Not a token; the server would say so, too.
  }
  throw new SessionError("token", "this is not a token");
}

export class Tokens {
  #current: { token: string; replaceAt: number } | null = null;
  #asking: Promise<string> | null = null;
  /** Told when the source says that there is none. */
  failed: (error: SessionError) => void = () => undefined;

  /** Whose the first one was: a token that speaks for somebody else is not taken. */
  #owner: string | null = null;

  constructor(private readonly source: () => Promise<string>) {}

  /** The token to use now. Many who ask at once make one request. */
  async get(): Promise<string> {
    if (this.#current !== null && Date.now() < this.#current.replaceAt) return this.#current.token;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** Forgets a token that was refused or ends soon, unless another one took its place. */
  forget(token: string): void {
    if (this.#current?.token === token) this.#current = null;
  }

  async #ask(): Promise<string> {
    try {
      const token = (await this.source()).trim();
      const claims = readClaims(token);
      const owner = `${claims.tenantId}/${claims.userId}`;
      if (owner !== (this.#owner ?? owner)) throw new SessionError("token", "the new token is somebody else's");
      this.#owner = owner;
      this.#current = { token, replaceAt: replaceAt(claims) };
      return token;
    } catch (thrown) {
      const error = asTokenError(thrown);
      if (error.kind === "token") this.failed(error);
      throw error;
    }
  }
}

function asTokenError(thrown: unknown): SessionError {
  if (thrown instanceof SessionError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  // What fetch throws when it reaches nobody: the same source may do better later.
  return new SessionError(thrown instanceof TypeError ? "unreachable" : "token", `no token: ${text}`);
}

/** When a token is to be replaced by another one: before it ends. */
export function replaceAt({ expireTime, issueTime }: Claims): number {
  if (expireTime === null) return Number.POSITIVE_INFINITY;
  const life = issueTime === null ? MARGIN * 10 : expireTime - issueTime;
  return expireTime - Math.min(MARGIN, life / 10);
}
