/**
 * Between the session library and the screen: a component that reads a store is drawn anew when the
 * store changes.
 */
import { useLayoutEffect, useState } from "preact/hooks";
import type { Store } from "../../session/index";

/** The store's value of now. */
export function useStore<T>(store: Store<T>): T {
  const snapshot = store.getSnapshot();
  const [, redraw] = useState<object>();
  useLayoutEffect(() => {
    const changed = (): void => redraw({});
    // It may have changed between the drawing and now.
    if (store.getSnapshot() !== snapshot) changed();
    return store.subscribe(changed);
  }, [store]);
  return snapshot;
}
