// The reads behind a view, as plain values with the event that each is exact at.

import { ListOrder } from "../../gen/confab/messages/v1/messages_pb";
import type { Context } from "../context";
import { conversation, message, participant, receipt } from "../convert";
import { logEvent } from "../convert-event";
import { SessionError } from "../errors";
import type { LogEvent } from "../events";
import type { Snapshot } from "../fold/state";
import type { Message, Participant, Receipt } from "../model";

export const PAGE = 50;
/** Participants that are read: all of a group. Channels can have more. */
const MOST_PARTICIPANTS = 1_000;
/** Receipts are shown up to so many participants. */
const MOST_RECEIPTS = 200;

/** A page of messages, rising. */
export interface Page {
  readonly messages: readonly Message[];
  readonly asOfSeq: number;
  /** Nothing follows it in the direction that was asked for. */
  readonly isLast: boolean;
}

export class Reads {
  constructor(
    private readonly context: Context,
    private readonly conversationId: string,
  ) {}

  /** Messages below `fromSeq`, or the newest ones with 0. */
  older(fromSeq: number, threadSeq = 0): Promise<Page> {
    return this.#page(ListOrder.NEWEST_FIRST, fromSeq, threadSeq);
  }

  /** Messages above `fromSeq`. */
  newer(fromSeq: number, threadSeq = 0): Promise<Page> {
    return this.#page(ListOrder.OLDEST_FIRST, fromSeq, threadSeq);
  }

  async #page(order: ListOrder, fromSeq: number, threadSeq: number): Promise<Page> {
    const { conversationId } = this;
    const seqs = { fromSeq: BigInt(fromSeq), threadSeq: BigInt(threadSeq) };
    const request = { conversationId, pageSize: PAGE, order, ...seqs };
    const { messages } = this.context.calls.services;
    const answer = await this.context.calls.call((options) => messages.listMessages(request, options));
    const page = answer.messages.map(message);
    if (order === ListOrder.NEWEST_FIRST) page.reverse();
    const asOfSeq = Number(answer.asOfSeq);
    this.context.calls.heads.note(conversationId, asOfSeq);
    return { messages: page, asOfSeq, isLast: answer.nextPageToken === "" };
  }

  /** One message; `null` where there is none for this user. */
  async message(messageSeq: number): Promise<{ message: Message; asOfSeq: number } | null> {
    const request = { conversationId: this.conversationId, messageSeq: BigInt(messageSeq) };
    const { messages } = this.context.calls.services;
    try {
      const answer = await this.context.calls.call((options) => messages.getMessage(request, options));
      if (answer.message === undefined) return null;
      return { message: message(answer.message), asOfSeq: Number(answer.asOfSeq) };
    } catch (thrown) {
      if (SessionError.from(thrown).reason === "MESSAGE_NOT_FOUND") return null;
      throw thrown;
    }
  }

  async pinned(): Promise<{ messages: readonly Message[]; asOfSeq: number }> {
    const { conversationId } = this;
    const { messages } = this.context.calls.services;
    const answer = await this.context.calls.call((options) => messages.listPinnedMessages({ conversationId }, options));
    return { messages: answer.messages.map(message), asOfSeq: Number(answer.asOfSeq) };
  }

  /**
   * What folding starts from. The conversation is read last: its number of participants then reflects at
   * least what the participants do. `isGone`: this user has left, and sees messages only.
   */
  async snapshot(): Promise<{ snapshot: Snapshot; isGone: boolean }> {
    const newest = this.older(0);
    const people = this.#participants();
    // Whatever fails first is told; the other must not fail unheard.
    await Promise.allSettled([newest, people]);
    const page = await newest;
    const base = { messages: page.messages, messagesAsOf: page.asOfSeq, startReached: page.isLast };
    try {
      const { participants, asOfSeq } = await people;
      const { conversationId } = this;
      const { conversations } = this.context.calls.services;
      const answer = await this.context.calls.call((options) =>
        conversations.getConversation({ conversationId }, options),
      );
      const conversationAsOf = Number(answer.asOfSeq);
      const asOf = Math.min(page.asOfSeq, asOfSeq, conversationAsOf);
      const read = answer.conversation ? conversation(answer.conversation) : null;
      const snapshot = { ...base, participants, conversation: read, conversationAsOf, asOfSeq: asOf };
      return { snapshot, isGone: false };
    } catch (thrown) {
      if (!isNoMember(SessionError.from(thrown))) throw thrown;
      const nothing = { participants: [], conversation: null, conversationAsOf: 0 };
      return { snapshot: { ...base, ...nothing, asOfSeq: page.asOfSeq }, isGone: true };
    }
  }

  async #participants(): Promise<{ participants: Participant[]; asOfSeq: number }> {
    const { conversationId } = this;
    const { participants: service } = this.context.calls.services;
    const participants: Participant[] = [];
    let [pageToken, asOfSeq] = ["", Number.POSITIVE_INFINITY];
    do {
      const request = { conversationId, pageSize: 200, pageToken };
      const page = await this.context.calls.call((options) => service.listParticipants(request, options));
      participants.push(...page.participants.map(participant));
      asOfSeq = Math.min(asOfSeq, Number(page.asOfSeq));
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && participants.length < MOST_PARTICIPANTS);
    return { participants, asOfSeq };
  }

  async receipts(): Promise<Map<string, Receipt>> {
    const request = { conversationId: this.conversationId, pageSize: MOST_RECEIPTS };
    const { messages } = this.context.calls.services;
    const answer = await this.context.calls.call((options) => messages.listReceipts(request, options));
    return new Map(answer.receipts.map((one) => [one.userId, receipt(one)]));
  }

  /** The next events of the log above `afterSeq`, and the newest that this user may see. */
  async events(afterSeq: number): Promise<{ events: LogEvent[]; headSeq: number }> {
    const request = { conversationId: this.conversationId, afterSeq: BigInt(afterSeq), pageSize: 500 };
    const { messages } = this.context.calls.services;
    const answer = await this.context.calls.call((options) => messages.listEvents(request, options));
    return { events: answer.events.map(logEvent), headSeq: Number(answer.headSeq) };
  }
}

/** Whether this says that the user is not, or no longer, a participant. */
export function isNoMember(error: SessionError): boolean {
  return ["NOT_A_PARTICIPANT", "BANNED", "CONVERSATION_NOT_FOUND"].includes(error.reason);
}
