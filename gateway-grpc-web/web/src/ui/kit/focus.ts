/**
 * Moving the focus with the keyboard: within a dialog by Tab, within a list by arrows.
 */
import type { RefObject } from "preact";

const FOCUSABLE =
  'a[href], button:not(:disabled), input:not(:disabled), textarea:not(:disabled), select:not(:disabled), [tabindex]:not([tabindex="-1"])';

/** What Tab reaches inside of an element, in order. */
export function focusableIn(container: HTMLElement): HTMLElement[] {
  return [...container.querySelectorAll<HTMLElement>(FOCUSABLE)].filter(
    (element) => element.tabIndex >= 0 && element.getClientRects().length > 0,
  );
}

/** Keeps Tab and Shift+Tab inside of a container. */
export function trapTab(event: KeyboardEvent, container: HTMLElement): void {
  if (event.key !== "Tab") return;
  const all = focusableIn(container);
  const first = all[0];
  const last = all.at(-1);
  if (first === undefined || last === undefined) {
    event.preventDefault();
    return;
  }
  const active = document.activeElement;
  if (event.shiftKey && (active === first || active === container)) {
    event.preventDefault();
    last.focus();
  } else if (!event.shiftKey && active === last) {
    event.preventDefault();
    first.focus();
  }
}

/** The key's step in a list: -1, 1, or the ends. */
function stepOf(key: string, sideways: boolean): "first" | "last" | -1 | 1 | undefined {
  if (sideways && key === "ArrowLeft") return -1;
  if (sideways && key === "ArrowRight") return 1;
  switch (key) {
    case "ArrowUp":
      return -1;
    case "ArrowDown":
      return 1;
    case "Home":
      return "first";
    case "End":
      return "last";
    default:
      return undefined;
  }
}

/**
 * Moves the focus among the elements of a list that match `selector`, by arrows, Home and End;
 * with `sideways` by those to the left and right, too. Says whether it did.
 */
export function roveVertically(
  event: KeyboardEvent,
  container: HTMLElement | null,
  selector: string,
  sideways = false,
): boolean {
  const step = stepOf(event.key, sideways);
  if (step === undefined || container === null || event.altKey || event.ctrlKey || event.metaKey) {
    return false;
  }
  const all = [...container.querySelectorAll<HTMLElement>(selector)];
  if (all.length === 0) return false;
  const at = all.findIndex((element) => element.contains(document.activeElement));
  const to = step === "first" ? 0 : step === "last" ? all.length - 1 : at + step;
  const target = all[Math.min(Math.max(to, 0), all.length - 1)];
  if (target === undefined) return false;
  event.preventDefault();
  target.focus();
  return true;
}

/** Moves the focus in a grid whose rows have as many cells as fit. */
export function roveInGrid(event: KeyboardEvent, ref: RefObject<HTMLElement | null>, selector: string): void {
  const container = ref.current;
  if (container === null) return;
  const all = [...container.querySelectorAll<HTMLElement>(selector)];
  const at = all.findIndex((element) => element === document.activeElement);
  const first = all[0];
  if (at < 0 || first === undefined) return;
  const perRow = Math.max(all.filter((cell) => cell.offsetTop === first.offsetTop).length, 1);
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -perRow,
    ArrowDown: perRow,
    Home: -at,
    End: all.length - 1 - at,
  };
  const step = steps[event.key];
  const target = step === undefined ? undefined : all[at + step];
  if (target === undefined) return;
  event.preventDefault();
  target.focus();
}
