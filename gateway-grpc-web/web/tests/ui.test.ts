// The parts of the chat that need no browser: where a list stays, what stands together in it, and how
// a text is cut.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ListLayout } from "../src/ui/chat/layout";
import { isEmojiOnly, emojiGroups, findEmoji } from "../src/ui/text/emoji";
import { cutText, safeHref } from "../src/ui/text/pieces";
import { below, seeded } from "./support/random";

const WINDOW = 700;

/** Where a row ends, from the beginning of the list. */
function endOf(layout: ListLayout, key: string): number {
  const index = layout.indexOf(key);
  assert.ok(index !== undefined, `row ${key} is gone`);
  return layout.offsetOf(index + 1);
}

test("what is on the screen stays there while rows come, go and turn out higher than thought", () => {
  const random = seeded(20_261_127);
  const layout = new ListLayout();
  const heightOf = (key: string): number => 20 + ((Number(key) * 7919) % 180);
  let [first, last] = [100_000, 100_300];
  const keys = (): string[] => Array.from({ length: last - first }, (_, index) => String(first + index));
  layout.setKeys(keys());
  let scrollTop = 9_000;
  for (let step = 0; step < 500; step += 1) {
    const slice = layout.sliceAt(scrollTop, WINDOW);
    layout.measure(keys().slice(slice.start, slice.end).map((key) => [key, heightOf(key)] as const));
    const anchors = layout.anchorsAt(scrollTop, WINDOW);
    const [held] = anchors;
    assert.ok(held !== undefined, "nothing is on the screen");
    const before = endOf(layout, held.key) - scrollTop;

    // Older rows are asked for near the beginning only, and push out those at the end.
    const grown = scrollTop < 3_000 ? 1 + below(random, 60) : 0;
    first -= grown;
    last = Math.min(last, first + 400);
    layout.setKeys(keys());
    layout.measure(keys().slice(0, grown).map((key) => [key, heightOf(key)] as const));

    const wanted = layout.scrollTopFor(anchors);
    assert.ok(wanted !== undefined, "all anchors are gone");
    assert.ok(Math.abs(endOf(layout, held.key) - wanted - before) < 0.001, "a row has moved");
    scrollTop = Math.max(0, wanted - below(random, 400));
  }
});

test("few rows are drawn of many", () => {
  const layout = new ListLayout();
  layout.setKeys(Array.from({ length: 100_000 }, (_, index) => String(index)));
  const slice = layout.sliceAt(layout.total() / 2, WINDOW);
  assert.ok(slice.end - slice.start < 60, `${slice.end - slice.start} rows`);
  assert.ok(Math.abs(slice.before + slice.after + 56 * (slice.end - slice.start) - layout.total()) < 0.001);
});

test("a text is cut at its parts, and into all of it", () => {
  const text = "hi @bob, see 🎉 https://example.org now";
  const link = text.indexOf("https");
  const pieces = cutText(text, [
    { start: link, end: link + 19, kind: "link", value: "https://example.org" },
    { start: 3, end: 7, kind: "mention", value: "bob" },
    { start: 4, end: 6, kind: "hashtag", value: "overlaps" },
    { start: 30, end: 9_000, kind: "hashtag", value: "too long" },
  ]);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  assert.deepEqual(
    pieces.filter(({ kind }) => kind !== "text").map((piece) => [piece.kind, piece.text]),
    [
      ["mention", "@bob"],
      ["link", "https://example.org"],
    ],
  );
});

test("only web addresses become links", () => {
  assert.equal(safeHref("https://example.org/a"), "https://example.org/a");
  for (const address of ["javascript:alert(1)", " https://example.org", "data:text/html,x", "//example.org"]) {
    assert.equal(safeHref(address), undefined, address);
  }
});

test("messages of emoji alone are known", () => {
  for (const text of ["🎉", "👍🏽 ❤️", "👩‍👩‍👧‍👦", "🇨🇭", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]) assert.ok(isEmojiOnly(text), text);
  for (const text of ["", "1", "#", "ok 👍", "🎉".repeat(7), "123456"]) assert.ok(!isEmojiOnly(text), text);
});

test("each emoji of the list can be a reaction and is found by its name", () => {
  const all = emojiGroups().flatMap((group) => group.emoji);
  assert.ok(all.length > 1_800, `${all.length} emoji`);
  for (const { emoji, name } of all) {
    const bytes = new TextEncoder().encode(emoji).length;
    assert.ok(bytes >= 1 && bytes <= 32 && !/\s/u.test(emoji) && name !== "", `${emoji} (${name}), ${bytes} bytes`);
  }
  assert.equal(findEmoji("party popper", 1)[0]?.emoji, "🎉");
  assert.equal(findEmoji("flag switzerland", 5)[0]?.emoji, "🇨🇭");
});
