/**
 * A menu of actions beside what it belongs to, kept inside of the window.
 */
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon, type IconName } from "../icons";
import { roveVertically } from "./focus";
import { useFocusReturn, useLayer } from "./layers";

/** One action, or a line between actions. */
export type MenuEntry =
  | "line"
  | {
      readonly label: string;
      readonly icon: IconName;
      readonly danger?: boolean;
      readonly onSelect: () => void;
    };

/** A choice of one sign, in a row above the actions. */
export interface QuickEntry {
  readonly sign: string;
  readonly label: string;
  readonly onSelect: () => void;
}

/** Where a menu opens: below and at the right edge of this box. */
export interface MenuPlace {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const MARGIN = 8;

/** Puts the menu where it fits: below, else above; aligned to the right edge, else to the left. */
function place(menu: HTMLElement, at: MenuPlace): void {
  const { width, height } = menu.getBoundingClientRect();
  const below = at.bottom + 4;
  const top = below + height + MARGIN <= window.innerHeight ? below : at.top - height - 4;
  const left = at.right - width >= MARGIN ? at.right - width : at.left;
  menu.style.top = `${Math.max(MARGIN, Math.min(top, window.innerHeight - height - MARGIN))}px`;
  menu.style.left = `${Math.max(MARGIN, Math.min(left, window.innerWidth - width - MARGIN))}px`;
}

/** The menu. It takes the focus and closes after a choice, by Escape, Tab, or a press elsewhere. */
export function Menu(props: {
  readonly label: string;
  readonly at: MenuPlace;
  readonly entries: readonly MenuEntry[];
  readonly quick?: readonly QuickEntry[];
  readonly onClose: () => void;
}): JSX.Element {
  const menu = useRef<HTMLDivElement>(null);
  const onClose = useRef(props.onClose);
  onClose.current = props.onClose;
  useLayer(props.onClose);
  useFocusReturn();
  useLayoutEffect(() => {
    const element = menu.current;
    if (element === null) return undefined;
    place(element, props.at);
    element.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const outside = (event: PointerEvent): void => {
      if (event.target instanceof Node && !element.contains(event.target)) onClose.current();
    };
    document.addEventListener("pointerdown", outside, true);
    return () => document.removeEventListener("pointerdown", outside, true);
  }, []);
  return (
    <div
      ref={menu}
      class="menu scroll"
      role="menu"
      aria-label={props.label}
      onKeyDown={(event) => {
        if (event.key === "Tab") {
          event.preventDefault();
          props.onClose();
        } else {
          roveVertically(event, menu.current, "[role=menuitem]", true);
        }
      }}
    >
      {props.quick !== undefined && props.quick.length > 0 && (
        <div class="menu-quick" role="presentation">
          {props.quick.map(({ sign, label, onSelect }) => (
            <button
              key={sign}
              type="button"
              role="menuitem"
              tabIndex={-1}
              class="menu-sign"
              aria-label={label}
              onClick={() => {
                props.onClose();
                onSelect();
              }}
            >
              {sign}
            </button>
          ))}
        </div>
      )}
      {props.entries.map((entry, index) =>
        entry === "line" ? (
          <div key={index} class="menu-line" role="separator" />
        ) : (
          <button
            key={entry.label}
            type="button"
            role="menuitem"
            tabIndex={-1}
            class={`menu-item ${entry.danger === true ? "menu-item-danger" : ""}`}
            onClick={() => {
              props.onClose();
              entry.onSelect();
            }}
          >
            <Icon name={entry.icon} />
            <span class="line">{entry.label}</span>
          </button>
        ),
      )}
    </div>
  );
}
