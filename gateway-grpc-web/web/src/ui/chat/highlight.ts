/**
 * Marks what was found inside of a message, by the browser's highlights: ranges beside the text,
 * which leave the elements as they are.
 */

const NAME = "found";

/** Marks each place of the text in this message; `null` takes all marks away. */
export function markFound(seq: number | null, wanted: string): void {
  // Old browsers have no highlights; the message itself is marked for a moment anyway.
  if (!("highlights" in CSS)) return;
  CSS.highlights.delete(NAME);
  if (seq === null || wanted === "") return;
  window.requestAnimationFrame(() => {
    const body = document.querySelector(`.messages [data-seq="${seq}"] .body`);
    if (body !== null) CSS.highlights.set(NAME, new Highlight(...rangesOf(body, wanted)));
  });
}

function rangesOf(body: Element, wanted: string): Range[] {
  const ranges: Range[] = [];
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const text = (node.nodeValue ?? "").toLowerCase();
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, Math.min(at + wanted.length, node.nodeValue?.length ?? 0));
      ranges.push(range);
    }
  }
  return ranges;
}
