//! The heart of Confab: a conversation is a log, and the log decides.
//!
//! This crate is pure. It knows no transport, no store, no clock and no random
//! numbers; whoever calls it brings them. That is what lets `tests/model` run
//! the very code that serves users through every order of races, time-outs and
//! crashes.
//!
//! Read it in this order:
//!
//! 1. [`event`]: what can happen in a conversation; [`command`]: what can be asked.
//! 2. [`row`]: the state that the events fold to, cut into rows.
//! 3. [`fold`](mod@fold): `fold(state, event) → changed rows`.
//! 4. [`decide`](mod@decide): `decide(state, command) → one event, an old answer, or a refusal`.
//! 5. [`state`]: the part of a conversation that a node holds in memory.
//! 6. [`appender`]: the protocol that puts decided events at the end of the log,
//!    one event per command, whatever other nodes and a failing store do.
//! 7. [`inbox`]: each user's own log, fed by the effects of conversations' events;
//!    [`moderation`]: the record of what moderators did, fed the same way.
//!
//! # The invariants
//!
//! * An event's `seq` is its predecessor's plus one. Nobody assigns it twice,
//!   because the store appends row `n + 1` only where there is none.
//! * Whoever appends row `n + 1` has folded rows `1..=n`. So what `decide` says
//!   about membership, mutes, roles, etags and request ids is exact at that row.
//! * An event is acknowledged, shown or built upon only after the effects of
//!   every event up to it are applied.
//! * A refusal and an old answer are proven as an append is: by a look at the
//!   head that began after the command arrived.

pub mod appender;
pub mod command;
pub mod decide;
pub mod event;
pub mod fold;
pub mod ids;
pub mod inbox;
pub mod moderation;
pub mod mutant;
pub mod row;
pub mod state;

pub use appender::Appender;
pub use command::{Command, Request};
pub use decide::{Decision, Refusal, decide};
pub use event::{Content, Event, EventBody};
pub use fold::{Effects, Index, fold};
pub use ids::{ConversationId, Digest, RequestId, TenantId, UserId};
pub use row::{Row, RowKey};
pub use state::State;

/// Position in a conversation's log: 1, 2, 3 … 0 is before the first event.
pub type Seq = u64;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;
