/**
 * Who is signed in, and how their tokens come: from the server itself in dev mode, else from a text
 * field. A token is kept in sessionStorage only, so it ends with the tab.
 */
import { signal } from "@preact/signals";
import { strings } from "../strings";

/** Which sign-in this server offers. */
export type SignInMode = "checking" | "dev" | "token" | "unreachable";

/** How the tokens of the signed-in user come. */
export type Credentials =
  | { readonly kind: "dev"; readonly user: string }
  | { readonly kind: "token"; readonly token: string };

/** The sign-in that is offered. */
export const signInMode = signal<SignInMode>("checking");
/** Who is signed in; `null` shows the sign-in. */
export const credentials = signal<Credentials | null>(null);
/** Why the last session ended, for the sign-in to say. */
export const signInNote = signal("");

const KEY = "confab.credentials";
const DEVICE_KEY = "confab.device";

/** Asks the server what it offers, and takes up a sign-in that is kept, or named in the address. */
export async function checkSignIn(): Promise<void> {
  signInMode.value = "checking";
  try {
    const response = await fetch("/dev", { headers: { accept: "application/json" } });
    if (response.status >= 500) throw new Error(`status ${response.status}`);
    signInMode.value = response.ok && isDevAnswer(await response.json()) ? "dev" : "token";
  } catch {
    signInMode.value = "unreachable";
    return;
  }
  const named = takeNameFromAddress();
  if (signInMode.value === "dev" && named !== null) signIn({ kind: "dev", user: named });
  else credentials.value = readKept();
}

function isDevAnswer(answer: unknown): boolean {
  return typeof answer === "object" && answer !== null && "dev" in answer && answer.dev === true;
}

/** `?as=bob` opens a window as Bob; the address forgets it at once, so that a reload does not repeat it. */
function takeNameFromAddress(): string | null {
  const address = new URL(window.location.href);
  const name = address.searchParams.get("as");
  if (name === null) return null;
  address.searchParams.delete("as");
  window.history.replaceState(null, "", address);
  return isUserId(name) ? name : null;
}

/** Whether a text can be a user's id. */
export function isUserId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(text);
}

function readKept(): Credentials | null {
  const kept: unknown = JSON.parse(window.sessionStorage.getItem(KEY) ?? "null");
  if (typeof kept !== "object" || kept === null || !("kind" in kept)) return null;
  if (kept.kind === "dev" && "user" in kept && typeof kept.user === "string") {
    return signInMode.value === "dev" ? { kind: "dev", user: kept.user } : null;
  }
  if (kept.kind === "token" && "token" in kept && typeof kept.token === "string") {
    return { kind: "token", token: kept.token };
  }
  return null;
}

/** Signs in, until the tab ends. */
export function signIn(next: Credentials): void {
  window.sessionStorage.setItem(KEY, JSON.stringify(next));
  signInNote.value = "";
  credentials.value = next;
}

/** Shows the sign-in again. */
export function signOut(note = ""): void {
  window.sessionStorage.removeItem(KEY);
  signInNote.value = note;
  credentials.value = null;
}

/** This browser as a device: one id for as long as its storage lives. */
function deviceId(): string {
  const kept = window.localStorage.getItem(DEVICE_KEY);
  if (kept !== null) return kept;
  const made = `web-${crypto.randomUUID()}`;
  window.localStorage.setItem(DEVICE_KEY, made);
  return made;
}

/** A token that is good now. A TypeError means that nobody could be reached. */
export async function getToken(from: Credentials): Promise<string> {
  if (from.kind === "token") return from.token;
  const response = await fetch("/dev/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user: from.user, device_id: deviceId() }),
  });
  if (response.status >= 500) throw new TypeError(`the server answers with status ${response.status}`);
  if (!response.ok) throw new Error(strings.devTokenRefused(from.user));
  const answer: unknown = await response.json();
  if (typeof answer === "object" && answer !== null && "token" in answer && typeof answer.token === "string") {
    return answer.token;
  }
  throw new Error(strings.devTokenRefused(from.user));
}
