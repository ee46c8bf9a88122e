// Fills a conversation with messages, from outside of a browser: several at a time, each once.

import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ConversationsService } from "gen/confab/conversations/v1/conversations_pb";
import { ConversationType } from "gen/confab/types/v1/types_pb";
import { MessagesService } from "gen/confab/messages/v1/messages_pb";

const AT_ONCE = 32;
const WORDS = "of all the things that people say to each other most are short and some go on for a while".split(" ");

// Texts of many lengths; the number makes each of them its own.
function textOf(number) {
  const length = 1 + ((number * 7919) % 40);
  const words = Array.from({ length }, (_, index) => WORDS[(number * 31 + index * 7) % WORDS.length]);
  return `#${number} ${words.join(" ")}`;
}

globalThis.seed = async (baseUrl, token, other, count) => {
  const interceptors = [
    (next) => (request) => {
      request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    },
  ];
  const transport = createGrpcWebTransport({ baseUrl, interceptors });
  const conversations = createClient(ConversationsService, transport);
  const messages = createClient(MessagesService, transport);
  const { conversation } = await conversations.createConversation({
    requestId: "seed",
    type: ConversationType.DIRECT,
    participantIds: [other],
  });
  const { conversationId } = conversation;
  let next = 0;
  const work = async () => {
    while (next < count) {
      const number = next;
      next += 1;
      await messages.sendMessage({ conversationId, requestId: `seed-${number}`, content: { text: textOf(number) } });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return conversationId;
};
