// Participants under events. A ban ends the membership; role and mute are kept after a leave, until a
// new join gives a role and lifts the mute.

import type { Assignment, LogEvent } from "../events";
import type { Participant, Restriction } from "../model";

/** Everybody who is or was a participant, or is banned, as far as it is known. */
export class Participants {
  #rows = new Map<string, Participant>();

  constructor(rows: readonly Participant[] = []) {
    for (const row of rows) this.#rows.set(row.userId, row);
  }

  get(userId: string): Participant | undefined {
    return this.#rows.get(userId);
  }

  isActive(userId: string): boolean {
    const row = this.#rows.get(userId);
    return row !== undefined && isActive(row);
  }

  /** The participants of now, in the order of their ids. */
  active(): Participant[] {
    return [...this.#rows.values()].filter(isActive).sort((a, b) => (a.userId < b.userId ? -1 : 1));
  }

  /** Whether the event changed anybody. */
  apply(event: LogEvent): boolean {
    const { body } = event;
    switch (body.kind) {
      case "conversation-created":
        return this.#join(event, body.creation.participants);
      case "participants-joined":
        return this.#join(event, body.participants);
      case "participant-left":
        return this.#change(event, body.userId, () => ({ leaveTime: event.createTime }));
      case "roles-changed": {
        const changed = body.changes.map(({ userId, role }) => this.#change(event, userId, () => ({ role })));
        return changed.includes(true);
      }
      case "participant-muted":
        return this.#change(event, body.userId, () => ({ mute: restriction(event, body) }));
      case "participant-unmuted":
        return this.#change(event, body.userId, () => ({ mute: null }));
      case "participant-banned":
        return this.#change(event, body.userId, (row) => ({
          ban: restriction(event, body),
          ...(isActive(row) && { leaveTime: event.createTime }),
        }));
      case "participant-unbanned":
        return this.#change(event, body.userId, () => ({ ban: null }));
      default:
        return false;
    }
  }

  #join(event: LogEvent, joined: readonly Assignment[]): boolean {
    const changed = joined.map(({ userId, role }) =>
      this.#change(event, userId, () => ({
        role,
        joinTime: event.createTime,
        joinSeq: event.seq,
        leaveTime: null,
        mute: null,
        ban: null,
      })),
    );
    return changed.includes(true);
  }

  /** Changes one participant, unless the event is in it already. */
  #change(event: LogEvent, userId: string, change: (row: Participant) => Partial<Participant>): boolean {
    const row = this.#rows.get(userId) ?? stranger(userId);
    if (event.seq <= row.appliedSeq) return false;
    this.#rows.set(userId, { ...row, ...change(row), appliedSeq: event.seq });
    return true;
  }
}

/** Whether this is a participant of now: joined, and not gone since. */
export function isActive(row: Participant): boolean {
  return row.joinSeq > 0 && row.leaveTime === null;
}

function restriction(event: LogEvent, body: { until: number | null; reason: string }): Restriction {
  return { until: body.until, reason: body.reason, actorId: event.actorId, createTime: event.createTime };
}

function stranger(userId: string): Participant {
  return {
    userId,
    role: "member",
    joinTime: null,
    joinSeq: 0,
    leaveTime: null,
    mute: null,
    ban: null,
    appliedSeq: 0,
  };
}
