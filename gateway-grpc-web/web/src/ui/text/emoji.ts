/**
 * What we know of emoji: which texts consist of them alone, the few that are offered first, and
 * the full list, which is parsed when somebody opens it.
 */
import { EMOJI_GROUPS, FLAG_REGIONS } from "./emoji-data";

/** Offered beside every message. */
export const QUICK_REACTIONS = ["👍", "❤️", "😂", "😮", "😢", "🎉"] as const;

const ONE = /(?:\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3|\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F|[\u{E0020}-\u{E007F}])*(?:\u200D\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F)*)*)/u;
const FEW = new RegExp(`^\\s*(?:${ONE.source}\\s*){1,6}$`, "u");

/** Whether a text is one to six emoji and nothing else: such messages are shown bigger. */
export function isEmojiOnly(text: string): boolean {
  return text.length <= 120 && FEW.test(text);
}

/** One emoji of the list. */
export interface Emoji {
  readonly emoji: string;
  readonly name: string;
}

/** One tab of the list. */
export interface EmojiGroup {
  readonly id: string;
  readonly emoji: readonly Emoji[];
}

function flagOf(region: string): string {
  return [...region].map((letter) => String.fromCodePoint(0x1f1a5 + letter.charCodeAt(0))).join("");
}

function parseGroups(): readonly EmojiGroup[] {
  const names = new Intl.DisplayNames(["en"], { type: "region" });
  return EMOJI_GROUPS.map(([id, packed]) => {
    const emoji = packed.split("|").map((entry) => {
      const space = entry.indexOf(" ");
      return { emoji: entry.slice(0, space), name: entry.slice(space + 1) };
    });
    if (id === "flags") {
      for (const region of FLAG_REGIONS.split(" ")) {
        emoji.push({ emoji: flagOf(region), name: `flag of ${names.of(region) ?? region}` });
      }
    }
    return { id, emoji };
  });
}

let groups: readonly EmojiGroup[] | undefined;

/** The whole list, by group. */
export function emojiGroups(): readonly EmojiGroup[] {
  groups ??= parseGroups();
  return groups;
}

/** Emoji whose name has all words of the query, at most `limit`. */
export function findEmoji(query: string, limit: number): readonly Emoji[] {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const found: Emoji[] = [];
  for (const group of emojiGroups()) {
    for (const entry of group.emoji) {
      const name = entry.name.toLowerCase();
      if (words.every((word) => name.includes(word))) found.push(entry);
      if (found.length >= limit) return found;
    }
  }
  return found;
}
