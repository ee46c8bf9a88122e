//! Engine handles for the services' storage ports.
//!
//! This crate owns *how* bytes become durable: the embedded engine with its one
//! committer thread and its group fsync ([`embedded`]), the connection to ScyllaDB
//! or Cassandra (`cql`, behind a feature) and the one to Redis (`redis`, likewise), what
//! can be said about a write that went wrong ([`StoreError`]), copies of whole folders
//! ([`backup`]), what every stored value begins with ([`value`]), and the wrapper that
//! makes writes go wrong on purpose in tests ([`fault`]).
//!
//! It never knows *what* the bytes mean. Rows, keys and the version of their encoding
//! belong to the service that owns the port; this crate sits below `confab-kit` and
//! knows no transport.
//!
//! # The invariants
//!
//! * A transaction is answered with success only after an fsync that covers it
//!   and everything that it has read.
//! * A failed fsync is never retried: the kernel may have dropped the pages and
//!   report success the second time. The engine stops until the program is
//!   restarted, and then reads what the disk really holds.
//! * Whoever cannot know whether a write landed says so
//!   ([`StoreError::OutcomeUnknown`]); no error but that one leaves it open.

pub mod backup;
#[cfg(feature = "cql")]
pub mod cql;
pub mod embedded;
mod error;
pub mod fault;
#[cfg(feature = "redis")]
pub mod redis;
pub mod value;

pub use error::{OpenError, StoreError};
