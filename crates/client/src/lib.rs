//! Placeholder.
mod backoff;
mod client;
mod error;
pub mod fold;
mod heads;
mod retry;
mod rpc;
mod runtime;
mod shortcuts;
mod token;
mod transport;
pub use client::*;
pub use error::*;
pub use rpc::*;
pub use shortcuts::*;
pub use token::TokenSource;
pub use transport::*;
