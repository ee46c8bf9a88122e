// The session library: a Confab client for browsers, without a framework. See README.md beside src/.

import { ConfabSession, tabPlatform } from "./session";
import { readClaims, Tokens } from "./tokens";
import type { Session, SessionOptions } from "./types";

export { type ErrorKind, SessionError, type Violation } from "./errors";
export type * from "./model";
export type * from "./types";

/**
 * Starts a session: connects, loads the list of conversations and keeps all of it up to date. Rejects
 * only when there is no token to begin with.
 */
export async function createSession(options: SessionOptions): Promise<Session> {
  const tokens = new Tokens(() => options.getToken());
  const claims = readClaims(await tokens.get());
  const session = new ConfabSession(options, tokens, claims, tabPlatform(options));
  session.start();
  return session;
}
