//! Frames on the wire: a flag byte, a length, Protobuf. An event is encoded
//! once per node, and its bytes are shared by every stream.
//!
//! Never decides what is sent or to whom.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut as _, Bytes, BytesMut};
use confab_log::ConversationId;
use confab_proto::{
    messages::v1::{Event, event::Kind},
    participants::v1::InboxEvent,
    realtime::v1::{ConnectResponse, connect_response::Frame},
};
use prost::Message;

/// The flag byte and the length in front of each message.
pub(crate) const HEADER: usize = 5;

/// Field numbers of `ConnectResponse`, for messages that are encoded in place.
const EVENT_FIELD: u32 = 4;
const INBOX_FIELD: u32 = 2;

/// One frame of a stream.
pub(crate) fn frame(frame: Frame) -> Bytes {
    let message = ConnectResponse { frame: Some(frame) };
    let mut buffer = start(message.encoded_len());
    message.encode_raw(&mut buffer);
    buffer.freeze()
}

/// The frame of an event, without a copy of the event.
pub(crate) fn event_frame(event: &Event) -> Bytes {
    wrapped(EVENT_FIELD, event)
}

/// The frame of an inbox event, without a copy of it.
pub(crate) fn inbox_frame(event: &InboxEvent) -> Bytes {
    wrapped(INBOX_FIELD, event)
}

fn wrapped(field: u32, message: &impl Message) -> Bytes {
    let mut buffer = start(prost::encoding::message::encoded_len(field, message));
    prost::encoding::message::encode(field, message, &mut buffer);
    buffer.freeze()
}

fn start(length: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(HEADER + length);
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    buffer
}

/// An event as the bus brought it, with its frame for whoever needs it first.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    pub(crate) conversation: ConversationId,
    pub(crate) event: Arc<Event>,
    /// Whether it is about messages only: who may see what stays as it is.
    pub(crate) is_plain: bool,
    frame: OnceLock<Bytes>,
}

impl SharedEvent {
    pub(crate) fn new(conversation: ConversationId, event: Arc<Event>) -> Self {
        let is_plain = is_plain(&event);
        Self { conversation, event, is_plain, frame: OnceLock::new() }
    }

    /// The same bytes for every stream.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.get_or_init(|| event_frame(&self.event)).clone()
    }
}

fn is_plain(event: &Event) -> bool {
    matches!(
        event.kind,
        Some(
            Kind::MessageCreated(_)
                | Kind::MessageEdited(_)
                | Kind::MessageDeleted(_)
                | Kind::ReactionAdded(_)
                | Kind::ReactionRemoved(_)
        )
    )
}

/// An inbox event as the bus brought it; a user's devices share the frame.
#[derive(Debug)]
pub(crate) struct SharedInbox {
    pub(crate) event: Arc<InboxEvent>,
    frame: OnceLock<Bytes>,
}

impl SharedInbox {
    pub(crate) fn new(event: Arc<InboxEvent>) -> Self {
        Self { event, frame: OnceLock::new() }
    }

    /// The same bytes for each of the user's devices.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.get_or_init(|| inbox_frame(&self.event)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_made_in_place_equals_one_made_of_the_message() {
        let event = Event { conversation_id: "c".into(), seq: 7, ..Event::default() };
        assert_eq!(event_frame(&event), frame(Frame::Event(event)));
        let inbox = InboxEvent { inbox_seq: 3, ..InboxEvent::default() };
        assert_eq!(inbox_frame(&inbox), frame(Frame::Inbox(inbox)));
    }

    /// The bytes are framed once, as a `ConnectResponse`, for streams of both kinds.
    #[test]
    fn a_subscription_has_the_frames_of_a_connection() {
        let set = prost_types::FileDescriptorSet::decode(confab_proto::DESCRIPTORS);
        let files = set.expect("the contract").file;
        let fields = |name: &str| {
            let of =
                |file: &&prost_types::FileDescriptorProto| file.package() == "confab.realtime.v1";
            let messages = files.iter().filter(of).flat_map(|file| &file.message_type);
            let message = messages.clone().find(|message| message.name() == name);
            message.expect("in the contract").clone()
        };
        let (connect, subscribe) = (fields("ConnectResponse"), fields("SubscribeResponse"));
        assert!(connect.field.len() > 10);
        assert_eq!(connect.field, subscribe.field, "names, numbers and types");
        assert_eq!(connect.oneof_decl, subscribe.oneof_decl);
    }

    #[test]
    fn every_stream_gets_the_same_bytes() {
        let event = Event { seq: 1, ..Event::default() };
        let shared = SharedEvent::new(ConversationId::from_bytes([1; 16]), Arc::new(event));
        assert_eq!(shared.frame().as_ptr(), shared.frame().as_ptr());
    }
}
