// How much of a conversation is kept in memory.

/** Messages in the window: how many there may be, and how many are left when some are let go. */
export const MOST_MESSAGES = 400;
export const KEPT_MESSAGES = 300;
/** Events that are paged at most; a snapshot is cheaper than more. */
export const MOST_PAGED = 2_000;
/** Events that wait behind a hole; above it they are read from the log. */
export const MOST_HELD = 500;
export const MOST_NOTICES = 100;
/** Tries of a page that comes too late to be brought up to date. */
export const PAGE_TRIES = 3;
/** Replies of an open thread that can be paged back to; older ones are reached in the conversation. */
export const MOST_REPLIES = 5_000;
