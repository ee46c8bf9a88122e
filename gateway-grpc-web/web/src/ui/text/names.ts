/**
 * What people are called and how they are marked when there is no picture of them.
 */

const HUES = 8;

/** A colour for an id: the same everywhere and for ever. */
export function hueOf(id: string): number {
  let hash = 2166136261;
  for (let index = 0; index < id.length; index += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 16777619) >>> 0;
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}

/** The first letters of the first and the last word. */
export function initialsOf(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter((word) => word !== "");
  const first = [...(words[0] ?? "?")][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}

/** A user id as a name, for who has none: "alice" is shown as "Alice". */
export function nameOfId(id: string): string {
  const [first = "", ...rest] = [...id];
  return first.toUpperCase() + rest.join("");
}
