//! Confab's reference client: send exactly once, stream without a hole, fold
//! events into state. It depends on the contract and on nothing of the server.
//!
//! - [`Client`] sends commands. Each carries one request id and one `after_seq`
//!   from its first try to its last, so it takes effect exactly once however often
//!   the network fails, and the answer is the settled one.
//! - [`EventStream`] delivers every event of the watched conversations in order,
//!   over as many connections as it takes. It fills gaps by itself and ends with
//!   an error rather than skip an event.
//! - [`fold::ConversationState`] is a conversation that events are applied to: at
//!   every point it equals what a fresh read would return.
//! - [`chat`] is a chat for two terminals, made of these three.
//!
//! ```no_run
//! use confab_client::{Client, ClientOptions, StreamOptions, Update};
//! use confab_client::fold::ConversationState;
//!
//! # async fn example(token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let options = ClientOptions::new("http://127.0.0.1:7400").token(token);
//! let client = Client::connect(options).await?;
//!
//! let conversation = client.open_direct("bob").await?;
//! let id = conversation.conversation_id;
//! let message = client.send(&id, "hello").await?;
//! println!("stored as event {}", message.seq);
//!
//! // What is there now, and then every change to it.
//! let snapshot = client.snapshot(&id, 50).await?;
//! let mut state = ConversationState::from_snapshot(snapshot, "alice");
//! let mut stream = client.stream(StreamOptions::default().watching(&id, state.applied_seq()));
//! while let Some(update) = stream.next().await {
//!     match update? {
//!         Update::Event(event) => {
//!             state.apply(&event)?;
//!             println!("{} messages", state.messages().count());
//!         }
//!         Update::Disconnected { reason, retry_in } => {
//!             println!("offline for at least {retry_in:?}: {reason}");
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
pub mod chat;
mod client;
mod error;
pub mod fold;
mod heads;
mod reads;
mod retry;
mod rpc;
mod runtime;
mod shortcuts;
mod stream;
mod token;
mod transport;

pub use client::{Client, ClientOptions, SendOptions};
pub use confab_proto as proto;
pub use error::{Error, Refusal, Unsettled, Violation};
pub use rpc::{Command, Ids, Rpc};
pub use shortcuts::{IntoContent, text};
pub use stream::{Cursors, EventStream, MAX_WATCHES, Resume, StreamHandle, StreamOptions, Update};
pub use token::TokenSource;
pub use transport::{BoxError, Transport};
