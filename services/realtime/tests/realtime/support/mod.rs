//! What the tests share: the world that the fakes answer from, a node, and a
//! client that sees raw frames.

mod client;
mod memory;
mod node;
mod rooms;
mod router;
mod world;

pub(crate) use client::{Client, Lingering, Said, Way};
pub(crate) use memory::{MemoryLastSeen, MemoryRevocations, MemorySessions};
pub(crate) use node::{Disk, Node, application, caller, caller_in};
pub(crate) use rooms::{MemoryRedis, MemoryRooms};
pub(crate) use world::World;

use confab_proto::{conversations::v1::ConversationCursor, realtime::v1::Hello};

/// The `number`th conversation's id.
pub(crate) fn id(number: u8) -> String {
    format!("{number:032x}")
}

/// A cursor on the `number`th conversation.
pub(crate) fn cursor(number: u8, seq: u64) -> ConversationCursor {
    ConversationCursor { conversation_id: id(number), seq }
}

/// A hello that watches these.
pub(crate) fn watching(cursors: &[(u8, u64)]) -> Hello {
    let watch = cursors.iter().map(|(number, seq)| cursor(*number, *seq)).collect();
    Hello { watch, ..Hello::default() }
}
