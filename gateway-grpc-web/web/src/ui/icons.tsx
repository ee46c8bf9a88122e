/**
 * The icons, drawn as strokes on a grid of 24. They carry no meaning of their own: whatever shows
 * one names itself in words.
 */
import type { ComponentChildren, JSX } from "preact";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  chevronDown: "M6 9l6 6 6-6",
  chevronRight: "M9 6l6 6-6 6",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
  send: "M5 12h13M12 5l7 7-7 7",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.5c.9 1.2 2.1 1.8 3.5 1.8s2.6-.6 3.5-1.8M9 9.5v.5M15 9.5v.5",
  reply: "M9 7L4 12l5 5M4 12h9c4 0 7 2 7 6",
  thread: "M5 5h14a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-7l-5 4v-4H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zM8 9h8M8 12h5",
  edit: "M4 20l1-4L16 5l3 3L8 19l-4 1zM14 7l3 3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  pin: "M9 4h6l-1 6 3 3v2H7v-2l3-3-1-6zM12 15v6",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  check: "M5 12.5l4.5 4.5L19 7.5",
  checks: "M2.5 12.5L7 17l8.5-9.5M11 16l1 1 8.5-9.5",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
  warning: "M12 4l9 16H3l9-16zM12 10v4M12 17v.01",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.4-3.6 3-6 6.5-6s6.1 2.4 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.3M18 14.5c2 .8 3.2 2.8 3.5 5.5",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c.5-3.6 3.5-6 7.5-6s7 2.4 7.5 6",
  bellOff: "M4 4l16 16M9 5.2A5.5 5.5 0 0 1 17.5 10c0 2 .4 3.6 1 4.8M6.7 8.5c-.4 4.5-.7 6-2.2 8.5H16M10 20h4",
  bell: "M6.5 10a5.5 5.5 0 0 1 11 0c0 4 1 5.5 2 7h-15c1-1.5 2-3 2-7zM10 20h4",
  star: "M12 4l2.4 5.2 5.6.7-4.2 3.9 1.1 5.7L12 16.7 7.1 19.5l1.1-5.7L4 9.9l5.6-.7L12 4z",
  archive: "M4 5h16v4H4zM5.5 9v10h13V9M10 13h4",
  leave: "M14 5H5v14h9M10 12h11M17 8l4 4-4 4",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  contrast: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 3v18M12 8h6M12 12h8.5M12 16h6",
  hash: "M9 4L7 20M17 4l-2 16M4.5 9H20M4 15h15.5",
  window: "M4 5h16v14H4zM4 9h16",
  signOut: "M14 5H5v14h9M10 12h11M17 8l4 4-4 4",
  retry: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  at: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM16 8v5.5c0 1.5 1 2.5 2.3 2.5S21 14.7 21 12a9 9 0 1 0-3.5 7.1",
  crown: "M4 8l4 4 4-7 4 7 4-4-1.5 10h-13L4 8z",
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** One icon, as big as the text around it unless a class says otherwise. */
export function Icon(props: { readonly name: IconName; readonly class?: string }): JSX.Element {
  return (
    <Drawing class={`icon ${props.name === "more" ? "icon-dots" : ""} ${props.class ?? ""}`}>
      <path d={PATHS[props.name]} />
    </Drawing>
  );
}

/** The mark of Confab: two speech bubbles that share a corner. */
export function Mark(props: { readonly class?: string }): JSX.Element {
  return (
    <svg class={`mark ${props.class ?? ""}`} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="mark-back" d="M13 4h9a7 7 0 0 1 7 7v0a7 7 0 0 1-7 7h-1v4l-5-4h-3a7 7 0 0 1 0-14z" />
      <path class="mark-front" d="M10 11h8a6.5 6.5 0 0 1 0 13h-5l-5 5v-5.2A6.5 6.5 0 0 1 10 11z" />
    </svg>
  );
}

function Drawing(props: { readonly class: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <svg class={props.class} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {props.children}
    </svg>
  );
}
