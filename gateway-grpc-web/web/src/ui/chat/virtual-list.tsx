/**
 * A list that draws only what can be seen, keeps what is seen in its place while rows come and go
 * around it, and sticks to the bottom only while it is there. It knows nothing of messages.
 */
import type { ComponentChildren, JSX, RefObject } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Anchor, ListLayout } from "./layout";

/** What a list can be told to do. */
export interface ListControl {
  /** Goes to the end and sticks to it. */
  toBottom(): void;
  /** Brings a row into the upper half of the window. Says whether the row is there. */
  toRow(key: string): boolean;
}

/** What a virtual list needs to know. */
export interface VirtualListProps {
  /** The keys of all rows, in order, each once. */
  readonly keys: readonly string[];
  readonly renderRow: (index: number) => ComponentChildren;
  /** The row to begin at; undefined begins at the bottom. Read once. */
  readonly startAt?: string | undefined;
  readonly label: string;
  readonly busy: boolean;
  /** Whether the last row is the newest there is: only then the bottom is stuck to. */
  readonly sticky: boolean;
  readonly control: RefObject<ListControl | null>;
  /** The window came near one of the ends of the rows. */
  readonly onNearTop: () => void;
  readonly onNearBottom: () => void;
  /** What the window shows: whether it is at the bottom, and its first and last row. */
  readonly onWindow: (seen: { readonly atBottom: boolean; readonly first: number; readonly last: number }) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

/** Closer than this to an end, more is asked for, in pixels. */
const NEAR = 900;
/** Closer than this to the bottom is at the bottom, in pixels. */
const AT_BOTTOM = 24;

/** Where the row to begin at is shown, in pixels from the top. */
const START_AT = 120;

/** Where the list is: at the bottom, or at these anchors. */
interface Position {
  stick: boolean;
  anchors: readonly Anchor[];
}

/** A scroller with rows of any height. */
export function VirtualList(props: VirtualListProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useRef<HTMLDivElement>(null);
  const [, redraw] = useState(0);
  const layout = useMemo(() => new ListLayout(), []);
  const position = useRef<Position>({
    stick: props.startAt === undefined,
    anchors: props.startAt === undefined ? [] : [{ key: props.startAt, edge: "top", at: START_AT }],
  });
  const hadFocus = useRef(false);
  const latest = useRef(props);
  latest.current = props;

  useMemo(() => layout.setKeys(props.keys), [props.keys]);
  const windowHeight = scroller.current?.clientHeight ?? window.innerHeight;
  const slice = layout.sliceAt(wantedTop(layout, position.current, windowHeight), windowHeight);

  const settle = useCallback(() => {
    const element = scroller.current;
    if (element === null || rows.current === null) return;
    layout.measure(measuredRows(rows.current));
    const height = element.clientHeight;
    const wanted = wantedTop(layout, position.current, height);
    const next = layout.sliceAt(wanted, height);
    setSpace(rows.current, next.before, next.after, rows.current.dataset["slice"] === sliceName(next));
    if (Math.abs(element.scrollTop - wanted) >= 0.5) element.scrollTop = wanted;
    if (rows.current.dataset["slice"] !== sliceName(next)) redraw((count) => count + 1);
    if (hadFocus.current && document.activeElement === document.body) element.focus({ preventScroll: true });
    tell(latest.current, layout, position.current, element);
  }, []);

  useLayoutEffect(settle);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(settle);
    if (scroller.current !== null) observer.observe(scroller.current);
    if (rows.current !== null) observer.observe(rows.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const go = (next: Position): void => {
      position.current = next;
      redraw((count) => count + 1);
    };
    props.control.current = {
      toBottom: () => go({ stick: true, anchors: [] }),
      toRow: (key) => {
        if (layout.indexOf(key) === undefined) return false;
        const at = Math.round((scroller.current?.clientHeight ?? 0) * 0.3);
        go({ stick: false, anchors: [{ key, edge: "top", at }] });
        return true;
      },
    };
    return () => {
      props.control.current = null;
    };
  }, []);

  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (element === null) return;
    const { scrollTop, clientHeight, scrollHeight } = element;
    position.current = {
      stick: latest.current.sticky && scrollHeight - scrollTop - clientHeight <= AT_BOTTOM,
      anchors: layout.anchorsAt(scrollTop, clientHeight),
    };
    if (rows.current?.dataset["slice"] !== sliceName(layout.sliceAt(scrollTop, clientHeight))) {
      redraw((count) => count + 1);
    }
    tell(latest.current, layout, position.current, element);
  }, []);

  const drawn: ComponentChildren[] = [];
  for (let index = slice.start; index < slice.end; index += 1) drawn.push(props.renderRow(index));
  return (
    <div
      ref={scroller}
      class="messages scroll"
      role="feed"
      aria-label={props.label}
      aria-busy={props.busy}
      tabIndex={-1}
      onScroll={onScroll}
      onKeyDown={props.onKeyDown}
      onFocusIn={() => {
        hadFocus.current = true;
      }}
      onFocusOut={(event) => {
        hadFocus.current = event.relatedTarget === null && !document.hasFocus();
      }}
    >
      <div ref={rows} class="rows" data-slice={sliceName(slice)} role="presentation">
        {drawn}
      </div>
    </div>
  );
}

function sliceName(slice: { readonly start: number; readonly end: number }): string {
  return `${slice.start}-${slice.end}`;
}

function wantedTop(layout: ListLayout, position: Position, windowHeight: number): number {
  const bottom = Math.max(0, layout.total() - windowHeight);
  if (position.stick) return bottom;
  return Math.max(0, Math.min(layout.scrollTopFor(position.anchors) ?? bottom, bottom));
}

/** The space of the rows that are not drawn; only while those that are belong to it. */
function setSpace(rows: HTMLElement, before: number, after: number, current: boolean): void {
  if (!current) return;
  rows.style.paddingTop = `${before}px`;
  rows.style.paddingBottom = `${after}px`;
}

function* measuredRows(rows: HTMLElement): Generator<readonly [string, number]> {
  for (const child of rows.children) {
    const key = child instanceof HTMLElement ? child.dataset["key"] : undefined;
    if (key !== undefined) yield [key, child.getBoundingClientRect().height];
  }
}

function tell(props: VirtualListProps, layout: ListLayout, position: Position, element: HTMLElement): void {
  const { scrollTop, clientHeight } = element;
  if (scrollTop < NEAR) props.onNearTop();
  if (layout.total() - scrollTop - clientHeight < NEAR) props.onNearBottom();
  props.onWindow({
    atBottom: position.stick,
    first: layout.indexAt(scrollTop),
    last: layout.indexAt(scrollTop + clientHeight - 1),
  });
}
