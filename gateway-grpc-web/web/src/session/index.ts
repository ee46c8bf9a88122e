// The session library: a Confab client for browsers, without a framework. See README.md beside src/.

import { SessionError } from "./errors";
import type { Session, SessionOptions } from "./types";

export { type ErrorKind, SessionError, type Violation } from "./errors";
export type * from "./model";
export type * from "./types";

/**
 * Starts a session: connects, loads the list of conversations and keeps all of it up to date. Rejects
 * only when there is no token to begin with.
 */
export async function createSession(options: SessionOptions): Promise<Session> {
  await options.getToken();
  throw new SessionError("closed", "being built: webui can compile against this");
}
