// The code broken on purpose, one way at a time: `npm run mutants` builds the tests with each, and the
// test that is named must fail. A place that is not found any more is an error of the build.

export interface Mutant {
  readonly name: string;
  /** Below src/session. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** The file of tests that must fail, and a pattern of the test's name. */
  readonly test: string;
  readonly pattern: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "fold-ignores-applied-seq",
    file: "fold/messages.ts",
    from: "if (event.seq > message.appliedSeq) message =",
    to: "message =",
    test: "fold",
    pattern: "the fold is|reads of different",
  },
  {
    name: "own-reactions-without-a-guard",
    file: "fold/messages.ts",
    from: "event.actorId === this.readerId && event.seq > entry.ownAppliedSeq",
    to: "event.actorId === this.readerId",
    test: "fold",
    pattern: "taken back",
  },
  {
    name: "late-pages-as-they-are",
    file: "fold/state.ts",
    from: "const missed = this.#recent.filter((event) => event.seq > asOfSeq);",
    to: "const missed = this.#recent.filter((event) => event.seq > asOfSeq).slice(0, 0);",
    test: "fold",
    pattern: "pages that come",
  },
  {
    name: "holes-are-applied",
    file: "fold/state.ts",
    from: 'return seq === this.#appliedSeq + 1 ? "next" : "hole";',
    to: 'return "next";',
    test: "fold",
    pattern: "a missing event",
  },
  {
    name: "jumps-pass-in-silence",
    file: "stream/wire.ts",
    from: "if (through <= cursor) return [];",
    to: "if (through >= 0) return [];",
    test: "stream",
    pattern: "leaves? out",
  },
  {
    name: "duplicates-pass",
    file: "stream/wire.ts",
    from: "if (cursor === undefined || last <= cursor) return [];",
    to: "if (cursor === undefined) return [];",
    test: "wire",
    pattern: "once",
  },
  {
    name: "the-first-stream-is-closed-too-early",
    file: "stream/stream.ts",
    from: "if (this.#active === null) this.#promote(link);",
    to: "this.#promote(link);",
    test: "wire",
    pattern: "beside",
  },
  {
    name: "gaps-are-forgotten",
    file: "view/view.ts",
    from: "if (state.appliedSeq < this.#target && this.#status",
    to: "if (state.appliedSeq < 0 && this.#status",
    test: "stream",
    pattern: "gaps are paged",
  },
  {
    name: "hidden-parts-without-a-snapshot",
    file: "view/view.ts",
    from: "} else if (headSeq > before) {",
    to: "} else if (headSeq < 0) {",
    test: "stream",
    pattern: "gaps are paged",
  },
  {
    name: "a-lost-session-is-asked-for-again",
    file: "stream/verdict.ts",
    from: 'case "SESSION_LOST":\n',
    to: "",
    test: "stream",
    pattern: "a cut stream",
  },
  {
    name: "silence-is-not-noticed",
    file: "stream/link.ts",
    from: "this.#limit = welcome.heartbeat * 2;",
    to: "this.#limit = 3_600_000;",
    test: "stream",
    pattern: "silence",
  },
  {
    name: "retries-with-another-id",
    file: "view/outbox.ts",
    from: "      const request = {\n        conversationId,\n        requestId,",
    to: "      const request = {\n        conversationId,\n        get requestId() { return newRequestId(); },",
    test: "outbox",
    pattern: "a lost answer",
  },
  {
    name: "events-do-not-confirm",
    file: "view/view.ts",
    from: "    this.outbox.confirm(event);\n",
    to: "",
    test: "outbox",
    pattern: "the event confirms",
  },
  {
    name: "unsent-messages-are-not-kept",
    file: "view/outbox.ts",
    from: "else storage?.setItem(key, JSON.stringify(stored));",
    to: "",
    test: "outbox",
    pattern: "when the page went away",
  },
  {
    name: "windows-grow",
    file: "fold/window.ts",
    from: "if (this.seqs.length <= keep) return;\n    this.seqs = this.seqs.slice(-keep);",
    to: "if (keep >= 0) return;\n    this.seqs = this.seqs.slice(-keep);",
    test: "window",
    pattern: "100,000",
  },
  {
    name: "every-tab-has-a-stream",
    file: "tabs.ts",
    from: "if (this.platform === null) {",
    to: "if (this.platform !== undefined) {",
    test: "tabs",
    pattern: "eight tabs",
  },
  {
    name: "a-new-leader-goes-on-from-its-own-cursors",
    file: "tabs.ts",
    from: "if (known !== undefined || watch.size < MOST_WATCHED) watch.set",
    to: "if (known !== undefined) watch.set",
    test: "tabs",
    pattern: "closes or dies",
  },
  {
    name: "tokens-until-they-end",
    file: "tokens.ts",
    from: "return expireTime - Math.min(MARGIN, life / 10);",
    to: "return expireTime + life;",
    test: "stream",
    pattern: "a token is replaced",
  },
];
