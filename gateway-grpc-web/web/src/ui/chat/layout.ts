/**
 * The arithmetic of a virtual list: which rows to draw, and where to scroll so that what is on the
 * screen stays where it is. No DOM in here.
 *
 * Heights are measured once a row was drawn and estimated before. The position is never kept as a
 * number of pixels but as an *anchor*: a row and how far it is from the top of the window. Whatever
 * changes above it, the anchor stays. It is held by the lower edge, because what a row gains or loses
 * as its neighbours change (a day above it, a name) is at its upper one.
 */

/** A row, and the distance of one of its edges from the top of the window, in pixels. */
export interface Anchor {
  readonly key: string;
  readonly edge: "top" | "bottom";
  readonly at: number;
}

/** Rows `start` to `end` (exclusive) are drawn, with so many pixels of space before and after. */
export interface Slice {
  readonly start: number;
  readonly end: number;
  readonly before: number;
  readonly after: number;
}

/** Drawn beyond the window on either side, in pixels, so that scrolling shows no holes. */
const OVERSCAN = 700;
/** Until a row was measured. */
const FIRST_ESTIMATE = 56;
/** Heights of rows that are gone are forgotten beyond this many. */
const REMEMBERED = 4_000;

/** Knows the heights of rows by their keys. */
export class ListLayout {
  private readonly heights = new Map<string, number>();
  private measuredSum = 0;
  private keys: readonly string[] = [];
  private offsets: number[] = [0];
  private indexes = new Map<string, number>();

  /** Takes the rows as they are now. */
  setKeys(keys: readonly string[]): void {
    this.keys = keys;
    this.indexes = new Map(keys.map((key, index) => [key, index]));
    if (this.heights.size > REMEMBERED) this.forgetGone();
    this.rebuild();
  }

  /** Remembers how high rows are; says whether anything is different from before. */
  measure(measured: Iterable<readonly [key: string, height: number]>): boolean {
    let changed = false;
    for (const [key, height] of measured) {
      const known = this.heights.get(key);
      if (known !== undefined && Math.abs(known - height) < 0.05) continue;
      this.heights.set(key, height);
      this.measuredSum += height - (known ?? 0);
      changed = true;
    }
    if (changed) this.rebuild();
    return changed;
  }

  /** The height of all rows. */
  total(): number {
    return this.offsets[this.keys.length] ?? 0;
  }

  /** Where a row begins. */
  offsetOf(index: number): number {
    return this.offsets[Math.max(0, Math.min(index, this.keys.length))] ?? 0;
  }

  /** Where a row stands; undefined when it is not there. */
  indexOf(key: string): number | undefined {
    return this.indexes.get(key);
  }

  /** The row at this many pixels from the beginning. */
  indexAt(pixels: number): number {
    let low = 0;
    let high = this.keys.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offsetOf(middle) <= pixels) low = middle;
      else high = middle - 1;
    }
    return Math.max(low, 0);
  }

  /** What to draw when the window is at `scrollTop`. */
  sliceAt(scrollTop: number, windowHeight: number): Slice {
    const start = this.indexAt(Math.max(0, scrollTop - OVERSCAN));
    const end = Math.min(this.indexAt(scrollTop + windowHeight + OVERSCAN) + 1, this.keys.length);
    return {
      start,
      end,
      before: this.offsetOf(start),
      after: this.total() - this.offsetOf(end),
    };
  }

  /** The anchors of all rows in the window, topmost first. */
  anchorsAt(scrollTop: number, windowHeight: number): readonly Anchor[] {
    const anchors: Anchor[] = [];
    for (let index = this.indexAt(scrollTop); index < this.keys.length; index += 1) {
      const key = this.keys[index];
      if (this.offsetOf(index) - scrollTop > windowHeight || key === undefined) break;
      anchors.push({ key, edge: "bottom", at: this.offsetOf(index + 1) - scrollTop });
    }
    return anchors;
  }

  /** Where to scroll so that the first of the anchors that is still there is in its place. */
  scrollTopFor(anchors: readonly Anchor[]): number | undefined {
    for (const anchor of anchors) {
      const index = this.indexOf(anchor.key);
      if (index !== undefined) return this.offsetOf(anchor.edge === "top" ? index : index + 1) - anchor.at;
    }
    return undefined;
  }

  private estimate(): number {
    return this.heights.size === 0 ? FIRST_ESTIMATE : this.measuredSum / this.heights.size;
  }

  private rebuild(): void {
    const estimate = this.estimate();
    const offsets = new Array<number>(this.keys.length + 1);
    let sum = 0;
    this.keys.forEach((key, index) => {
      offsets[index] = sum;
      sum += this.heights.get(key) ?? estimate;
    });
    offsets[this.keys.length] = sum;
    this.offsets = offsets;
  }

  private forgetGone(): void {
    for (const [key, height] of this.heights) {
      if (this.indexes.has(key)) continue;
      this.heights.delete(key);
      this.measuredSum -= height;
    }
  }
}
