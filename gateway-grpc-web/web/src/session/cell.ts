// A value that can be watched. Listeners run once after any number of changes, in a microtask, so that
// a burst of events costs one rendering.

import type { Store } from "./model";

/** A store whose snapshot is built when somebody asks for it. */
export class Cell<T> implements Store<T> {
  #listeners = new Set<() => void>();
  #snapshot: { value: T } | null = null;
  #scheduled = false;

  constructor(private readonly build: () => T) {}

  getSnapshot = (): T => {
    this.#snapshot ??= { value: this.build() };
    return this.#snapshot.value;
  };

  subscribe = (listener: () => void): (() => void) => {
    // Each subscription is one of its own, even of the same function.
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  };

  /** What it is built from has changed. */
  changed(): void {
    this.#snapshot = null;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}
