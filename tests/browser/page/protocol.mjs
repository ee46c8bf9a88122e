// The protocol, from inside a browser: each check makes calls with one client and says what came
// of them. `protocol.mjs` decides whether that is right.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConversationsService } from "gen/confab/conversations/v1/conversations_pb";
import { ConversationType } from "gen/confab/types/v1/types_pb";
import { MessagesService, SendMessageRequestSchema } from "gen/confab/messages/v1/messages_pb";
import { RealtimeService } from "gen/confab/realtime/v1/realtime_pb";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "gen/google/rpc/error_details_pb";

import { bytes, clients } from "./clients.mjs";

const id = () => crypto.randomUUID();

// The `details` of a google.rpc.Status, in the base64 without padding that headers have it in.
function detailsOf(base64) {
  const reader = new BinaryReader(bytes(base64.padEnd(Math.ceil(base64.length / 4) * 4, "=")));
  const details = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 3) details.push(fromBinary(AnySchema, reader.bytes()));
    else reader.skip(type, field);
  }
  return details;
}

// What a failed call says, in a form that can leave the page.
function told(error) {
  const { code, message, details } = error;
  if (code === undefined) return { code: -1, message: error.stack ?? error.message ?? `${error}` };
  const all = details ? detailsOf(details) : [];
  const found = (schema) => all.map((any) => anyUnpack(any, schema)).find((detail) => detail !== undefined);
  return {
    code,
    message,
    reason: found(ErrorInfoSchema)?.reason,
    metadata: found(ErrorInfoSchema)?.metadata,
    fields: found(BadRequestSchema)?.fieldViolations.map((violation) => violation.field),
    retries: found(RetryInfoSchema) !== undefined,
  };
}

async function outcome(call) {
  try {
    await call();
    return { code: 0 };
  } catch (error) {
    return told(error);
  }
}

const directWith = (client, token, other) =>
  client.unary(
    ConversationsService.method.createConversation,
    { requestId: id(), type: ConversationType.DIRECT, participantIds: [other] },
    { token },
  );

const send = (client, token, conversationId, text, headers) => {
  const request = { conversationId, requestId: id(), content: { text } };
  return client.unary(MessagesService.method.sendMessage, request, { token, headers });
};

const list = (client, options) => client.unary(ConversationsService.method.listConversations, {}, options);

const checks = {
  // A conversation, a message in it, and the list, as its answers say.
  async unary(client, { token, other }) {
    const { conversation } = await directWith(client, token, other);
    const { conversationId } = conversation;
    const { message } = await send(client, token, conversationId, "hello");
    const { conversations } = await list(client, { token });
    const listed = conversations.map((item) => item.conversation.conversationId);
    return { conversationId, seq: Number(message.seq), text: message.content.text, listed };
  },

  // What a stream brings of a conversation: what was there, then what is sent meanwhile.
  async stream(client, { token, conversationId, texts }) {
    const stop = new AbortController();
    const hello = { watch: [{ conversationId, seq: 0n }] };
    const frames = client.stream(RealtimeService.method.subscribe, { hello }, { token, signal: stop.signal });
    const seqs = [];
    const waiting = [...texts];
    let isLive = false;
    const ended = await outcome(async () => {
      for await (const { frame } of frames) {
        if (frame.case === "event") seqs.push(Number(frame.value.seq));
        else if (frame.case !== "synced" || frame.value.conversationId !== conversationId) continue;
        isLive ||= frame.case === "synced";
        if (!isLive) continue;
        // To go out of the loop is not enough for every client.
        if (waiting.length === 0) stop.abort();
        else await send(client, token, conversationId, waiting.shift());
      }
    });
    return { seqs, isLeft: stop.signal.aborted && [0, 1].includes(ended.code) };
  },

  invalid: (client, { token, conversationId }) => outcome(() => send(client, token, conversationId, "")),

  unauthenticated: (client) => outcome(() => list(client, {})),

  unauthenticatedStream: (client) =>
    outcome(async () => {
      for await (const _ of client.stream(RealtimeService.method.subscribe, { hello: {} })) break;
    }),

  // The server's deadline: the client itself knows of none. It is a millisecond at least, and now
  // and then a call makes it.
  async deadline(client, { token, conversationId }) {
    for (let tries = 0; tries < 200; tries += 1) {
      const headers = { "grpc-timeout": "1n" };
      const ended = await outcome(() => send(client, token, conversationId, "too late", headers));
      if (ended.code !== 0) return ended;
    }
    return { code: 0 };
  },

  async streamDeadline(client, { token }) {
    let frames = 0;
    const options = { token, headers: { "grpc-timeout": "500m" } };
    const ended = await outcome(async () => {
      for await (const _ of client.stream(RealtimeService.method.subscribe, { hello: {} }, options)) frames += 1;
    });
    return { ...ended, frames };
  },

  // A stream that is left after its first frame.
  async cancel(client, { token }) {
    const stop = new AbortController();
    const options = { token, signal: stop.signal };
    const ended = await outcome(async () => {
      for await (const { frame } of client.stream(RealtimeService.method.subscribe, { hello: {} }, options)) {
        if (frame.case === "welcome") stop.abort();
      }
    });
    return { code: ended.code, aborted: stop.signal.aborted };
  },

  tooLarge: (client, { token, conversationId, length }) =>
    outcome(() => send(client, token, conversationId, "x".repeat(length))),

  unknownService: (client, { token }) => {
    const { input, output } = ConversationsService.method.listConversations;
    const parent = { typeName: "confab.nothing.v1.NothingService", methods: [], method: {} };
    const method = { name: "Nothing", localName: "nothing", parent, input, output, methodKind: "unary", kind: "rpc" };
    parent.methods.push(method);
    parent.method.nothing = method;
    return outcome(() => client.unary(method, {}, { token }));
  },

  list: (client, { token }) => outcome(() => list(client, { token })),
};

globalThis.check = async (at, name, what, options) => {
  try {
    return await checks[what](clients(at)[name], options);
  } catch (error) {
    // Only a real error leaves the page with what it says.
    throw new Error(`${name}: ${what}: ${JSON.stringify(told(error))}`);
  }
};

// A call by hand, with a content type of the caller's choice.
globalThis.callWith = async (at, contentType, { token, conversationId }) => {
  const request = { conversationId, requestId: id(), content: { text: "by hand" } };
  const message = toBinary(SendMessageRequestSchema, create(SendMessageRequestSchema, request));
  const body = new Uint8Array(5 + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, 5);
  const inText = contentType.includes("-text");
  const answer = await fetch(`${at}/confab.messages.v1.MessagesService/SendMessage`, {
    method: "POST",
    headers: { "content-type": contentType, authorization: `Bearer ${token}` },
    body: inText ? btoa(String.fromCharCode(...body)) : body,
  });
  const came = new TextDecoder("latin1").decode(await answer.arrayBuffer());
  // Each piece that was written has a padding of its own.
  const text = inText && answer.ok ? came.match(/[^=]+=*/g).map(atob).join("") : came;
  return { status: answer.status, type: answer.headers.get("content-type"), good: text.includes("grpc-status:0") };
};
