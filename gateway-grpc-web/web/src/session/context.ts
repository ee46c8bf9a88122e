// What the parts of a session have in common.

import type { Calls } from "./calls";
import type { KeyValueStorage } from "./types";

export interface Context {
  readonly userId: string;
  /** Before the names of all that is stored: users of two tenants may have one id. */
  readonly owner: string;
  readonly calls: Calls;
  readonly storage: KeyValueStorage | null;
  problem(what: string): void;
  /** What this tab follows has changed. */
  wantsChanged(): void;
}

/** Runs tasks a few at a time, each key once until it has begun. */
export class Queue {
  #waiting = new Map<string, () => Promise<void>>();
  #running = 0;

  constructor(
    private readonly width: number,
    private readonly failed: (error: unknown) => void,
  ) {}

  add(key: string, task: () => Promise<void>): void {
    this.#waiting.set(key, task);
    // Not at once: what is asked for together with it may make it needless.
    queueMicrotask(() => this.#next());
  }

  #next(): void {
    const first = this.#waiting.entries().next();
    if (this.#running >= this.width || first.done) return;
    const [key, task] = first.value;
    this.#waiting.delete(key);
    this.#running += 1;
    void task()
      .catch(this.failed)
      .finally(() => {
        this.#running -= 1;
        this.#next();
      });
    this.#next();
  }
}

/** Collects keys for a while, then does something with all of them. */
export class Batch {
  #keys = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly delay: number,
    private readonly run: (keys: string[]) => void,
  ) {}

  add(key: string): void {
    this.#keys.add(key);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const keys = [...this.#keys];
      this.#keys.clear();
      this.run(keys);
    }, this.delay);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#keys.clear();
  }
}
