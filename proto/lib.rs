//! The contract in Rust: messages, clients, servers, and the policy table.
//!
//! Everything here is made from `proto/confab` by `build.rs`; the manual is in
//! the `.proto` files. This crate holds no behaviour.

pub mod method;

#[expect(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated; the contract's comments are carried over"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/confab.rs"));
}

pub use generated::confab::{errors, messages, operations, policy, realtime, types};

/// Conversations.
pub mod conversations {
    /// See `proto/confab/conversations/v1`.
    pub mod v1 {
        pub use crate::{
            generated::confab::conversations::v1::*,
            types::v1::{ConversationType, HistoryVisibility},
        };
    }
}

/// Participants.
pub mod participants {
    /// See `proto/confab/participants/v1`.
    pub mod v1 {
        pub use crate::{generated::confab::participants::v1::*, types::v1::Role};
    }
}

/// The encoded `FileDescriptorSet` of the whole contract, options included.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
