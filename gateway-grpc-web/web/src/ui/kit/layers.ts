/**
 * What is open above the page, in the order it was opened: Escape closes the last one, and focus
 * goes back to where it was before. One place, so that two open things never both close.
 */
import { useLayoutEffect, useRef } from "preact/hooks";

type Close = () => void;

const open: Close[] = [];

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  const close = open.at(-1);
  if (close === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  close();
});

/** Whether a dialog, menu, panel or find bar is open that Escape would close. */
export function isLayerOpen(): boolean {
  return open.length > 0;
}

/** Registers what this component is as the last thing opened, while it is shown and `active`. */
export function useLayer(close: Close, active = true): void {
  const latest = useRef(close);
  latest.current = close;
  // With the screen, not after it: the next Escape is for what is seen then.
  useLayoutEffect(() => {
    if (!active) return undefined;
    const entry = (): void => latest.current();
    open.push(entry);
    return () => {
      const index = open.indexOf(entry);
      if (index >= 0) open.splice(index, 1);
    };
  }, [active]);
}

/** The element that has the focus, if it is one that can have it again. */
export function focusedElement(): HTMLElement | undefined {
  const active = document.activeElement;
  return active instanceof HTMLElement && active !== document.body ? active : undefined;
}

/**
 * Gives the focus back to where it was when this component appeared. Call it before whatever moves the
 * focus into the component.
 */
export function useFocusReturn(): void {
  const before = useRef<HTMLElement | undefined>(undefined);
  useLayoutEffect(() => {
    before.current = focusedElement();
    return () => {
      const target = before.current?.isConnected === true ? before.current : undefined;
      const fallback = document.querySelector<HTMLElement>("[data-focus-home]");
      (target ?? fallback)?.focus({ preventScroll: true });
    };
  }, []);
}
