/**
 * A message's text cut at what the server found in it: mentions, links, hashtags. The session
 * library has turned the contract's bytes into UTF-16 units.
 */
import type { Entity } from "../../session/index";

/** A part of a text to show. */
export interface Piece {
  readonly text: string;
  readonly kind: "text" | Entity["kind"];
  readonly value: string;
}

/** Cuts a text. A part that overlaps the one before it, or is empty, is shown as plain text. */
export function cutText(text: string, entities: readonly Entity[]): readonly Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (const { start, end, kind, value } of [...entities].sort((one, other) => one.start - other.start)) {
    if (start < done || end <= start || end > text.length) continue;
    if (start > done) pieces.push({ text: text.slice(done, start), kind: "text", value: "" });
    pieces.push({ text: text.slice(start, end), kind, value });
    done = end;
  }
  if (done < text.length) pieces.push({ text: text.slice(done), kind: "text", value: "" });
  return pieces;
}

/** Only what is safe to open: any other address is shown as text. */
export function safeHref(address: string): string | undefined {
  return /^https?:\/\//i.test(address) ? address : undefined;
}
