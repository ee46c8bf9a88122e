// Sessions on the fake server, and what they show.

import assert from "node:assert/strict";

import { ConfabSession } from "../../src/session/session";
import type { TabPlatform } from "../../src/session/tabs";
import { readClaims, Tokens } from "../../src/session/tokens";
import type { ConversationHandle, KeyValueStorage } from "../../src/session/types";
import { type FakeServer, token } from "./fake";
import { until } from "./until";

export interface Options {
  readonly storage?: KeyValueStorage;
  readonly platform?: TabPlatform;
  readonly getToken?: () => string;
  readonly problems?: string[];
}

const open: ConfabSession[] = [];

export async function signIn(server: FakeServer, user: string, options: Options = {}): Promise<ConfabSession> {
  const source = options.getToken ?? (() => token(user));
  const tokens = new Tokens(async () => source());
  const claims = readClaims(await tokens.get());
  const session = new ConfabSession(
    {
      baseUrl: "http://fake",
      getToken: async () => source(),
      ...(options.storage && { storage: options.storage }),
      onProblem: (what) => options.problems?.push(what),
    },
    tokens,
    claims,
    options.platform ?? null,
    server.transport(tokens),
  );
  session.start();
  open.push(session);
  return session;
}

export async function signOutAll(): Promise<void> {
  await Promise.all(open.splice(0).map((session) => session.close()));
}

export async function ready(handle: ConversationHandle): Promise<void> {
  await until("the conversation is read", () => handle.getSnapshot().status === "ready");
}

export function texts(handle: ConversationHandle): string[] {
  return handle.getSnapshot().messages.map((message) => message.content?.text ?? "(deleted)");
}

/** Everything of the log is shown, once, in order, and as a fresh read shows it. */
export async function showsAll(server: FakeServer, handle: ConversationHandle, user: string): Promise<void> {
  const log = server.logs.get(handle.conversationId);
  assert.ok(log);
  await until("everything is applied", () => handle.getSnapshot().appliedSeq === log.head);
  await until("nothing is pending", () => handle.getSnapshot().pending.length === 0);
  const fresh = await signIn(server, user);
  const again = fresh.open(handle.conversationId);
  await ready(again);
  const read = again.getSnapshot().messages;
  const shown = handle.getSnapshot().messages;
  assert.deepEqual(shown.slice(-read.length), read);
  await until("as much is unread", () => handle.getSnapshot().unread === again.getSnapshot().unread);
  await fresh.close();
}

/** A storage that outlives sessions. */
export function memoryStorage(): KeyValueStorage & { readonly values: Map<string, string> } {
  const values = new Map<string, string>();
  return {
    values,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}
