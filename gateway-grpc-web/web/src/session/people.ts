// Profiles of people, read in batches when somebody asks for a name.

import { Cell } from "./cell";
import { Batch, type Context } from "./context";
import { person } from "./convert";
import { SessionError } from "./errors";
import type { Person } from "./model";

/** Profiles that one call may name. */
const MOST_IN_A_CALL = 100;
/** Milliseconds after which a profile is read again when somebody asks. */
const FRESH = 300_000;

export class People {
  readonly store = new Cell<ReadonlyMap<string, Person>>(() => new Map(this.#known));
  #known = new Map<string, Person>();
  #readAt = new Map<string, number>();
  readonly #batch = new Batch(20, (ids) => void this.#read(ids));

  constructor(private readonly context: Context) {}

  get(userId: string): Person {
    if (Date.now() - (this.#readAt.get(userId) ?? 0) > FRESH) {
      this.#readAt.set(userId, Date.now());
      this.#batch.add(userId);
    }
    let known = this.#known.get(userId);
    if (known === undefined) {
      known = stranger(userId);
      // Kept, so that whoever compares sees the same one.
      this.#known.set(userId, known);
    }
    return known;
  }

  put(people: readonly Person[]): void {
    for (const one of people) {
      this.#known.set(one.userId, one);
      this.#readAt.set(one.userId, Date.now());
    }
    this.store.changed();
  }

  async search(query: string): Promise<readonly Person[]> {
    const { users } = this.context.calls.services;
    const found: Person[] = [];
    let pageToken = "";
    do {
      const request = { query: query.slice(0, 100), pageSize: 50, pageToken };
      const page = await this.context.calls.call((options) => users.listUsers(request, options));
      found.push(...page.users.map(person));
      pageToken = page.nextPageToken;
      // A page may be empty before the last.
    } while (pageToken !== "" && found.length < 20);
    this.put(found);
    return found;
  }

  async rename(displayName: string): Promise<void> {
    const request = { user: { displayName }, updateMask: { paths: ["display_name"] } };
    const { users } = this.context.calls.services;
    const { user } = await this.context.calls.call((options) => users.updateUser(request, options));
    if (user !== undefined) this.put([person(user)]);
  }

  stop(): void {
    this.#batch.stop();
  }

  async #read(ids: readonly string[]): Promise<void> {
    const { users } = this.context.calls.services;
    try {
      for (let at = 0; at < ids.length; at += MOST_IN_A_CALL) {
        const userIds = ids.slice(at, at + MOST_IN_A_CALL);
        const answer = await this.context.calls.call((options) => users.batchGetUsers({ userIds }, options));
        this.put(answer.users.map(person));
      }
    } catch (thrown) {
      for (const id of ids) this.#readAt.delete(id);
      this.context.problem(`names are not known: ${SessionError.from(thrown).message}`);
    }
  }
}

function stranger(userId: string): Person {
  return { userId, displayName: userId, avatarUrl: "", hasProfile: false };
}
