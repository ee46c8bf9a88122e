// What a user may do in a conversation, by the rules of the server's `decide` (crates/log/src/decide).
// The server has the last word; this is for buttons. Pure.

import type { Conversation, Message, Participant, Role } from "../model";
import type { Obstacle, Rights } from "../types";
import { isActive } from "../fold/participants";

const RANK: Readonly<Record<Role, number>> = { member: 1, admin: 2, owner: 3 };

export function rightsOf(conversation: Conversation | null, me: Participant | null, now: number): Rights {
  if (conversation === null) return NOTHING;
  const obstacle = obstacleOf(conversation, me, now);
  const isMember = me !== null && isActive(me);
  const isDirect = conversation.type === "direct";
  const isGroup = !isDirect;
  const rank = me === null ? 0 : RANK[me.role];
  const userId = me?.userId ?? "";
  const isDeleted = conversation.deleteTime !== null;
  const isArchived = conversation.archiveTime !== null;
  // Whom the other side has blocked changes nothing that the other side sees.
  const isBlocked = conversation.blockedByIds.some((id) => id !== userId);
  const stands = isMember && !isDeleted;
  const manages = stands && rank >= RANK.admin;
  const keepsPins = manages && !isArchived && !isBlocked;
  const write = obstacle === null;
  const isLast = conversation.participantCount === 1;
  return {
    obstacle,
    obstacleUntil: untilOf(obstacle, me),
    write,
    // In a channel everybody reacts.
    react: write || obstacle === "channel",
    pin: keepsPins,
    addPeople: manages && isGroup,
    changeRoles: stands && isGroup && rank >= RANK.owner,
    describe: manages && isGroup,
    archive: manages && !isBlocked,
    leave: stands && isGroup && (isLast || rank < RANK.owner),
    deleteConversation: stands && rank >= RANK.owner && !isBlocked,
    restore: isMember && isDeleted && rank >= RANK.owner && !isBlocked,
    edit: (message) => write && message.senderId === userId && message.deleteTime === null,
    deleteMessage: (message) =>
      stands && !isArchived && message.deleteTime === null && (message.senderId === userId || (manages && isGroup)),
    moderate: (participant) =>
      manages && isGroup && participant.userId !== userId && RANK[participant.role] < rank,
  };
}

function obstacleOf(conversation: Conversation, me: Participant | null, now: number): Obstacle | null {
  if (me === null || !isActive(me)) {
    return me?.ban && holds(me.ban.until, now) ? "banned" : "not-a-participant";
  }
  if (conversation.deleteTime !== null) return "deleted";
  if (conversation.archiveTime !== null) return "archived";
  if (conversation.blockedByIds.length > 0) return "blocked";
  if (me.mute !== null && holds(me.mute.until, now)) return "muted";
  return conversation.type === "channel" && me.role === "member" ? "channel" : null;
}

function untilOf(obstacle: Obstacle | null, me: Participant | null): number | null {
  if (obstacle === "muted") return me?.mute?.until ?? null;
  return obstacle === "banned" ? (me?.ban?.until ?? null) : null;
}

function holds(until: number | null, now: number): boolean {
  return until === null || now < until;
}

const no = (_: Message | Participant) => false;

/** Of a conversation that is not known yet. */
export const NOTHING: Rights = {
  obstacle: "not-a-participant",
  obstacleUntil: null,
  write: false,
  react: false,
  pin: false,
  addPeople: false,
  changeRoles: false,
  describe: false,
  archive: false,
  leave: false,
  deleteConversation: false,
  restore: false,
  edit: no,
  deleteMessage: no,
  moderate: no,
};
