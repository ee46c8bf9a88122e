// The commands on one conversation. Each gets its ids once and repeats them; what is so already is taken
// as done.

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import { HistoryVisibility, type Role } from "../../gen/confab/types/v1/types_pb";
import type { Calls, Ids } from "../calls";
import { SessionError } from "../errors";
import type { ConversationChanges } from "../types";

/** Refusals that say that things are as they were to become. */
const DONE = ["NO_CHANGE", "REACTION_EXISTS", "REACTION_NOT_FOUND"];

type Attempt = (
  ids: Ids & { readonly conversationId: string },
  options: { timeoutMs: number; signal: AbortSignal },
) => Promise<{ readonly seq: bigint }>;

export class Commands {
  constructor(
    private readonly calls: Calls,
    private readonly conversationId: string,
  ) {}

  async #run(attempt: Attempt, done: readonly string[] = DONE): Promise<void> {
    try {
      await this.calls.command(this.conversationId, attempt);
    } catch (thrown) {
      const error = SessionError.from(thrown);
      if (!done.includes(error.reason)) throw error;
    }
  }

  edit(messageSeq: number, text: string): Promise<void> {
    const change = { messageSeq: BigInt(messageSeq), content: { text } };
    return this.#run((ids, options) => this.calls.services.messages.editMessage({ ...ids, ...change }, options));
  }

  delete(messageSeq: number): Promise<void> {
    const target = { messageSeq: BigInt(messageSeq) };
    return this.#run(
      (ids, options) => this.calls.services.messages.deleteMessage({ ...ids, ...target }, options),
      ["MESSAGE_DELETED"],
    );
  }

  react(messageSeq: number, emoji: string, on: boolean): Promise<void> {
    const reaction = { messageSeq: BigInt(messageSeq), emoji };
    const { messages } = this.calls.services;
    return this.#run((ids, options) =>
      on
        ? messages.addReaction({ ...ids, ...reaction }, options)
        : messages.removeReaction({ ...ids, ...reaction }, options),
    );
  }

  pin(messageSeq: number, on: boolean): Promise<void> {
    const target = { messageSeq: BigInt(messageSeq) };
    const { messages } = this.calls.services;
    return this.#run((ids, options) =>
      on ? messages.pinMessage({ ...ids, ...target }, options) : messages.unpinMessage({ ...ids, ...target }, options),
    );
  }

  async listReactions(messageSeq: number): Promise<{ userId: string; emoji: readonly string[] }[]> {
    const request = { conversationId: this.conversationId, messageSeq: BigInt(messageSeq), pageSize: 200 };
    const answer = await this.calls.call((options) => this.calls.services.messages.listReactions(request, options));
    return answer.reactions.map(({ userId, emoji }) => ({ userId, emoji: [...emoji] }));
  }

  addPeople(userIds: readonly string[]): Promise<void> {
    return this.#run((ids, options) =>
      this.calls.services.participants.addParticipants({ ...ids, userIds: [...userIds] }, options),
    );
  }

  removePerson(userId: string): Promise<void> {
    return this.#run(
      (ids, options) => this.calls.services.participants.removeParticipant({ ...ids, userId }, options),
      ["PARTICIPANT_NOT_FOUND"],
    );
  }

  setRole(userId: string, role: Role): Promise<void> {
    return this.#run((ids, options) =>
      this.calls.services.participants.updateParticipantRole({ ...ids, userId, role }, options),
    );
  }

  transferOwnership(userId: string): Promise<void> {
    return this.#run((ids, options) =>
      this.calls.services.participants.transferOwnership({ ...ids, userId }, options),
    );
  }

  mute(userId: string, on: boolean, until?: number): Promise<void> {
    const { participants } = this.calls.services;
    const end = untilOf(until);
    return this.#run((ids, options) =>
      on
        ? participants.muteParticipant({ ...ids, userId, ...end }, options)
        : participants.unmuteParticipant({ ...ids, userId }, options),
    );
  }

  ban(userId: string, on: boolean, until?: number): Promise<void> {
    const { participants } = this.calls.services;
    const end = untilOf(until);
    return this.#run((ids, options) =>
      on
        ? participants.banParticipant({ ...ids, userId, ...end }, options)
        : participants.unbanParticipant({ ...ids, userId }, options),
    );
  }

  leave(): Promise<void> {
    return this.#run(
      (ids, options) => this.calls.services.participants.leaveConversation(ids, options),
      ["NOT_A_PARTICIPANT"],
    );
  }

  update(changes: ConversationChanges): Promise<void> {
    const { title, description, historyVisibility } = changes;
    const update = {
      ...(title !== undefined && { title }),
      ...(description !== undefined && { description }),
      ...(changes.public !== undefined && { public: changes.public }),
      ...(historyVisibility !== undefined && { historyVisibility: visibility(historyVisibility) }),
    };
    const paths = Object.keys(update).map((key) => (key === "historyVisibility" ? "history_visibility" : key));
    return this.#run((ids, options) =>
      this.calls.services.conversations.updateConversation({ ...ids, update, updateMask: { paths } }, options),
    );
  }

  archive(on: boolean): Promise<void> {
    const { conversations } = this.calls.services;
    return this.#run((ids, options) =>
      on ? conversations.archiveConversation(ids, options) : conversations.unarchiveConversation(ids, options),
    );
  }

  deleteConversation(): Promise<void> {
    return this.#run(
      (ids, options) => this.calls.services.conversations.deleteConversation(ids, options),
      ["CONVERSATION_DELETED"],
    );
  }

  restore(): Promise<void> {
    return this.#run((ids, options) => this.calls.services.conversations.restoreConversation(ids, options));
  }
}

function untilOf(until: number | undefined): { until?: Timestamp } {
  return until === undefined ? {} : { until: timestampFromMs(until) };
}

function visibility(history: "full" | "from-join"): HistoryVisibility {
  return history === "full" ? HistoryVisibility.FULL : HistoryVisibility.FROM_JOIN;
}
