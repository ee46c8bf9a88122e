//! The kit: the only crate that knows transports, configuration, telemetry,
//! identity, time and randomness. Services bring domain logic and stores; the
//! kit brings everything around them. It knows no domain rules.
//!
//! The way of a call: [`server`] accepts, [`layers`] prove who calls,
//! [`admission`] proves that they may, the handler answers with [`error`]s of
//! one shape. Services reach each other over a [`channel`].

pub mod address;
pub mod admission;
pub mod backoff;
pub mod bus;
pub mod channel;
pub mod clock;
pub mod config;
mod deadline;
pub mod error;
pub mod health;
pub mod identity;
pub mod layers;
pub mod lifecycle;
pub mod link;
pub mod mesh_tls;
pub mod page_token;
pub mod peers;
pub mod policy;
pub mod random;
pub mod rates;
pub mod role;
mod secret_file;
pub mod server;
pub mod server_tls;
pub mod shared_cache;
pub mod task;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod trouble;
pub mod validate;

pub use error::Error;
