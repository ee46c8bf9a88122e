// Beginning, finding and arranging conversations; blocks; one's own presence.

import { PresenceStatus } from "../gen/confab/realtime/v1/presence_pb";
import { ConversationType } from "../gen/confab/types/v1/types_pb";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import { newRequestId } from "./calls";
import type { Context } from "./context";
import { conversation, settings as readSettings } from "./convert";
import { SessionError } from "./errors";
import type { List } from "./list/list";
import type { Settings } from "./model";
import type { Channel } from "./types";

export class Directory {
  constructor(
    private readonly context: Context,
    private readonly list: List,
  ) {}

  openDirect(userId: string): Promise<string> {
    return this.#create({ type: ConversationType.DIRECT, participantIds: [userId] });
  }

  createGroup({ title, userIds }: { title: string; userIds: readonly string[] }): Promise<string> {
    return this.#create({ type: ConversationType.GROUP, title, participantIds: [...userIds] });
  }

  createChannel(channel: { title: string; public: boolean; userIds?: readonly string[] }): Promise<string> {
    const { title, userIds = [] } = channel;
    const request = { title, public: channel.public, participantIds: [...userIds] };
    return this.#create({ type: ConversationType.CHANNEL, ...request });
  }

  async #create(request: {
    type: ConversationType;
    participantIds: string[];
    title?: string;
    public?: boolean;
  }): Promise<string> {
    const named = { ...request, requestId: newRequestId() };
    const { conversations } = this.context.calls.services;
    const answer = await this.context.calls.call((options) => conversations.createConversation(named, options));
    if (answer.conversation === undefined) throw new SessionError("refused", "the answer is empty");
    const made = conversation(answer.conversation);
    this.context.calls.heads.note(made.conversationId, made.appliedSeq);
    this.list.takeConversation(made, made.appliedSeq);
    return made.conversationId;
  }

  async listChannels(titleQuery: string): Promise<readonly Channel[]> {
    const { conversations } = this.context.calls.services;
    const found: Channel[] = [];
    let pageToken = "";
    do {
      const request = { titleQuery: titleQuery.slice(0, 200), pageSize: 50, pageToken };
      const page = await this.context.calls.call((options) => conversations.listPublicChannels(request, options));
      for (const one of page.conversations.map(conversation)) {
        found.push({ conversation: one, joined: this.list.row(one.conversationId) !== undefined });
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && found.length < 50);
    return found;
  }

  async joinChannel(conversationId: string): Promise<void> {
    const { calls } = this.context;
    // Nothing of it is known yet, so a retry after a thousand events joins anew, which does no harm.
    const request = { conversationId, requestId: newRequestId(), afterSeq: BigInt(calls.heads.get(conversationId)) };
    try {
      const { seq } = await calls.call((options) => calls.services.participants.joinConversation(request, options));
      calls.heads.note(conversationId, Number(seq));
    } catch (thrown) {
      if (SessionError.from(thrown).reason !== "ALREADY_A_PARTICIPANT") throw thrown;
    }
    this.list.add(conversationId);
  }

  async setSettings(conversationId: string, changes: Partial<Settings>): Promise<void> {
    const { muteUntil, muted, archived, favourite } = changes;
    const settings = {
      ...(muted !== undefined && { muted }),
      ...(archived !== undefined && { archived }),
      ...(favourite !== undefined && { favourite }),
      ...(muteUntil && { muteUntil: timestampFromMs(muteUntil) }),
    };
    const names = { muted: "muted", muteUntil: "mute_until", archived: "archived", favourite: "favourite" };
    const paths = Object.entries(names).flatMap(([key, path]) => (key in changes ? [path] : []));
    const request = { conversationId, settings, updateMask: { paths } };
    const { participants } = this.context.calls.services;
    const answer = await this.context.calls.call((options) =>
      participants.updateConversationSettings(request, options),
    );
    this.list.setSettings(conversationId, readSettings(answer.settings));
  }

  async block(userId: string, on: boolean): Promise<void> {
    const { users } = this.context.calls.services;
    await this.context.calls.call<unknown>((options) =>
      on ? users.blockUser({ userId }, options) : users.unblockUser({ userId }, options),
    );
  }

  async listBlocked(): Promise<readonly string[]> {
    const { users } = this.context.calls.services;
    const answer = await this.context.calls.call((options) => users.listBlockedUsers({ pageSize: 200 }, options));
    return answer.users.map((one) => one.userId);
  }

  async setPresence(status: "online" | "away", text: string): Promise<void> {
    const { realtime } = this.context.calls.services;
    const request = { status: status === "away" ? PresenceStatus.AWAY : PresenceStatus.ONLINE, text };
    await this.context.calls.call((options) => realtime.setPresence(request, options));
  }

  /** Ends the login that the token is of. */
  async revoke(): Promise<void> {
    const { realtime } = this.context.calls.services;
    await this.context.calls.call((options) => realtime.endSession({ revoke: true }, options), 5_000);
  }
}
