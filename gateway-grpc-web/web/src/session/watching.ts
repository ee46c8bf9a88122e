// What a tab follows. The most recently active conversations are watched from the start, so that opening
// one of them needs no new connection; what is opened stays watched for a while. The set hardly changes,
// because every change of it opens another stream.

import type { List } from "./list/list";
import type { View } from "./view/view";

/** Conversations that are watched though nobody opened them, and in all. */
const [WATCHED_UNOPENED, MOST_WATCHED] = [30, 100];
/** Larger ones are followed by their heads until somebody opens them. */
const LARGE = 500;
const [PEERS, PEOPLE_OF_A_VIEW, MOST_PRESENCES] = [50, 50, 200];

export class Watching {
  /** In the order of their last use, the last one last. */
  #watched = new Set<string>();
  #presence = new Set<string>();
  #isFilled = false;

  constructor(
    private readonly list: List,
    private readonly userId: string,
  ) {}

  /** Somebody has it open. */
  use(conversationId: string): void {
    this.#watched.delete(conversationId);
    this.#watched.add(conversationId);
  }

  /** Which conversations to watch from where. */
  watch(views: ReadonlyMap<string, View>): Map<string, number> {
    this.#fill();
    const watch = new Map<string, number>();
    for (const conversationId of [...this.#watched].reverse()) {
      if (watch.size >= MOST_WATCHED) this.#watched.delete(conversationId);
      const view = views.get(conversationId);
      const row = this.list.row(conversationId);
      const cursor = view?.appliedSeq ?? row?.headSeq;
      if (cursor !== undefined && !view?.isGone && (row !== undefined || view !== undefined)) {
        watch.set(conversationId, cursor);
      }
    }
    return watch;
  }

  #fill(): void {
    if (this.#isFilled || this.list.store.getSnapshot().status !== "ready") return;
    this.#isFilled = true;
    const small = this.list.rows().filter((row) => row.conversation.participantCount <= LARGE);
    const unopened = small.slice(0, WATCHED_UNOPENED).map((row) => row.conversation.conversationId);
    this.#watched = new Set([...unopened.reverse(), ...this.#watched]);
  }

  /** Whose presence to watch. */
  presence(views: ReadonlyMap<string, View>): string[] {
    const people = new Set<string>();
    for (const view of views.values()) {
      if (view.handles === 0) continue;
      for (const { userId } of view.state?.participants.slice(0, PEOPLE_OF_A_VIEW) ?? []) people.add(userId);
    }
    for (const item of this.list.store.getSnapshot().items.slice(0, PEERS)) {
      if (item.peerId !== null) people.add(item.peerId);
    }
    people.delete(this.userId);
    // Those of before go on to be watched as long as there is room: each addition costs a connection.
    this.#presence = new Set([...people, ...this.#presence].slice(0, MOST_PRESENCES));
    return [...this.#presence];
  }
}
