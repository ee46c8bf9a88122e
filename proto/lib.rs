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

pub use generated::confab::{
    conversations, errors, messages, operations, participants, policy, realtime,
};

/// The encoded `FileDescriptorSet` of the whole contract, options included.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
