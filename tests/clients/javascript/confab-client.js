// A small client of Confab, to be read and copied. Here: calls and commands; `confab-stream.js` has
// the stream.
//
// Commands carry a `request_id` and an `after_seq`. Both are fixed before the first try, and the
// very same command is tried again until its outcome is known: so each takes effect once.

import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import protobuf from "protobufjs";

// Milliseconds: one try of a call, and all its tries together.
const ATTEMPT = 10_000;
const DEADLINE = 30_000;
// A dead connection is noticed, a server that is back is found soon, and each channel has a
// connection of its own (gRPC would share one between channels to the same address).
const CHANNEL = {
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.use_local_subchannel_pool": 1,
};
// What the same request may meet once, and not again.
const TRANSIENT = [
  grpc.status.UNAVAILABLE,
  grpc.status.DEADLINE_EXCEEDED,
  grpc.status.INTERNAL,
  grpc.status.UNKNOWN,
  grpc.status.CANCELLED,
];
// What stands in `grpc-status-details-bin`, as far as it is needed here.
const { root } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Status { repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message ErrorInfo { string reason = 1; }
  message RetryInfo { Duration retry_delay = 1; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
`);

// Loads the contract from the folder `proto`. Enums are their names, and numbers are numbers: a
// `seq` counts events.
export function loadContract(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".proto"));
  const options = { includeDirs: [folder], keepCase: true, longs: Number, enums: String };
  // A field with a default is there, of a oneof only the one that is set.
  const definition = protoLoader.loadSync(files, { ...options, defaults: true, oneofs: true });
  return grpc.loadPackageDefinition(definition).confab;
}

export function openChannel(address) {
  return new grpc.Channel(address, grpc.credentials.createInsecure(), CHANNEL);
}

// A generated client on a channel.
export function clientOf(Service, channel) {
  const options = { channelOverride: channel };
  return new Service(channel.getTarget(), grpc.credentials.createInsecure(), options);
}

export function milliseconds(duration) {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

// There is no answer: the server says why, or it cannot be reached.
export class Refused extends Error {
  constructor(code, message, details = [], retryAfter = null) {
    super(message);
    this.code = code;
    // As docs/errors.md lists them; empty when the answer is not Confab's.
    this.reason = "";
    // In how many milliseconds to come back; null when the server does not say.
    this.retryAfter = retryAfter;
    for (const { type_url, value } of details) {
      const name = type_url.split("/").at(-1);
      if (name === "google.rpc.ErrorInfo") {
        this.reason = root.lookupType(name).decode(value).reason;
      } else if (name === "google.rpc.RetryInfo") {
        this.retryAfter = milliseconds(root.lookupType(name).decode(value).retryDelay);
      }
    }
    this.message = `${grpc.status[code]} ${this.reason}: ${message}`;
  }

  // From a failed RPC.
  static of(error) {
    if (!(error.metadata instanceof grpc.Metadata)) throw error;
    const [status] = error.metadata.get("grpc-status-details-bin");
    const details = status ? root.lookupType("google.rpc.Status").decode(status).details : [];
    const named = details.map(({ typeUrl, value }) => ({ type_url: typeUrl, value }));
    return new Refused(error.code, error.details, named);
  }

  // Whether the same request can succeed later although nobody changes anything.
  isTransient() {
    return this.retryAfter !== null || TRANSIENT.includes(this.code);
  }
}

// Delays that double, with jitter: clients that were cut off together come back apart.
export class Backoff {
  #delay = 100;

  // Milliseconds; as many as the server says, if it does.
  beforeNextTry(refused) {
    if (refused.retryAfter !== null) return refused.retryAfter;
    const delay = this.#delay;
    this.#delay = Math.min(delay * 2, 5_000);
    return delay * (0.5 + Math.random());
  }
}

// Calls. `token` is a function and is asked for each try: it may give a newer one.
export class Confab {
  constructor(contract, address, token) {
    this.contract = contract;
    this.address = address;
    this.token = token;
    this.channel = openChannel(address);
    this.conversations = clientOf(contract.conversations.v1.ConversationsService, this.channel);
    this.messages = clientOf(contract.messages.v1.MessagesService, this.channel);
    this.participants = clientOf(contract.participants.v1.ParticipantsService, this.channel);
    this.realtime = clientOf(contract.realtime.v1.RealtimeService, this.channel);
    // The highest seq that is known of each conversation.
    this.heads = new Map();
  }

  metadata() {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${this.token()}`);
    return metadata;
  }

  // Makes a unary call, and again while that can help. Every RPC of Confab may be repeated: reads
  // change nothing, and commands carry their ids.
  async call(client, method, request) {
    const ends = Date.now() + DEADLINE;
    const backoff = new Backoff();
    let denied = false;
    for (;;) {
      let refused;
      try {
        return await this.#attempt(client, method, request, ends);
      } catch (error) {
        refused = Refused.of(error);
      }
      if (refused.code === grpc.status.UNAUTHENTICATED && !denied) {
        denied = true; // The token may just have ended: once more, with the next one.
        continue;
      }
      const delay = backoff.beforeNextTry(refused);
      // After a transient one a command may have happened, or may yet: keep its ids and send it
      // again as it is, after a restart of the application, too.
      if (!refused.isTransient() || Date.now() + delay > ends) throw refused;
      await sleep(delay);
    }
  }

  #attempt(client, method, request, ends) {
    const deadline = Math.min(Date.now() + ATTEMPT, ends);
    return new Promise((resolve, reject) => {
      client[method](request, this.metadata(), { deadline }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
  }

  // The highest seq that is known of a conversation; asks when none is.
  async head(conversationId) {
    if (!this.heads.has(conversationId)) {
      const request = { conversation_id: conversationId };
      const answer = await this.call(this.conversations, "GetConversation", request);
      this.noteHead(conversationId, answer.as_of_seq);
    }
    return this.heads.get(conversationId);
  }

  noteHead(conversationId, seq) {
    this.heads.set(conversationId, Math.max(seq, this.heads.get(conversationId) ?? 0));
  }

  // Sends a message, once. To settle an earlier try, give the ids that it had.
  async send(conversationId, text, ids = null) {
    ids ??= { request_id: randomUUID(), after_seq: await this.head(conversationId) };
    const request = { conversation_id: conversationId, ...ids, content: { text } };
    const { message } = await this.call(this.messages, "SendMessage", request);
    this.noteHead(conversationId, message.seq);
    return message;
  }
}
