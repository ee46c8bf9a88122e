// Logs and what they fold to, written by the Rust client's tests (crates/client/tests/client/vectors.rs).

import { fromBinary } from "@bufbuild/protobuf";
import { readFileSync } from "node:fs";

import { ConversationSchema } from "../../src/gen/confab/conversations/v1/conversations_pb";
import { EventSchema, MessageSchema } from "../../src/gen/confab/messages/v1/events_pb";
import { ParticipantSchema } from "../../src/gen/confab/participants/v1/participants_pb";
import { conversation, message, participant } from "../../src/session/convert";
import { logEvent } from "../../src/session/convert-event";
import type { LogEvent } from "../../src/session/events";
import type { Conversation, Message, Participant } from "../../src/session/model";

export interface Vector {
  readonly reader: string;
  readonly log: LogEvent[];
  conversation: Conversation | null;
  readonly participants: Participant[];
  readonly messages: Message[];
}

const FILE = process.env["WEB_TEST_VECTORS"] ?? "../../crates/client/tests/vectors/fold.txt";

export function readVectors(): Vector[] {
  const vectors: Vector[] = [];
  for (const line of readFileSync(FILE, "utf8").trim().split("\n")) {
    const [word = "", value = ""] = line.split(" ");
    if (word === "log") {
      vectors.push({ reader: value, log: [], conversation: null, participants: [], messages: [] });
      continue;
    }
    const vector = vectors.at(-1);
    if (vector === undefined) throw new Error(`${FILE} begins with no log`);
    const bytes = Uint8Array.from(Buffer.from(value, "hex"));
    if (word === "event") vector.log.push(logEvent(fromBinary(EventSchema, bytes)));
    else if (word === "conversation") vector.conversation = conversation(fromBinary(ConversationSchema, bytes));
    else if (word === "participant") vector.participants.push(participant(fromBinary(ParticipantSchema, bytes)));
    else if (word === "message") vector.messages.push(message(fromBinary(MessageSchema, bytes)));
    else throw new Error(`an unknown word in ${FILE}: ${word}`);
  }
  return vectors;
}
