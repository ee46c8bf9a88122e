// Growing delays with jitter, and waiting that can be cut short.

/** Delays that double from the first to the longest, each anywhere between half of it and all of it. */
export class Backoff {
  #next: number;

  constructor(
    private readonly first: number,
    private readonly longest: number,
  ) {
    this.#next = first;
  }

  /** Milliseconds before the next try. */
  advance(): number {
    const delay = this.#next;
    this.#next = Math.min(delay * 2, this.longest);
    return delay / 2 + (Math.random() * delay) / 2;
  }

  reset(): void {
    this.#next = this.first;
  }
}

/** Waits; whoever calls `wake` ends all waits that are under way. */
export class Waits {
  #wakers = new Set<() => void>();

  sleep(delay: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wakers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, delay);
      this.#wakers.add(done);
    });
  }

  wake(): void {
    for (const done of [...this.#wakers]) done();
  }
}
