//! The model of the log: the very code that serves users, `confab_log`'s
//! [`Appender`](confab_log::Appender) with its `fold`, `decide` and `inbox`, run by
//! a few nodes over a simulated store, in every order that the world can find.
//!
//! # What is modelled
//!
//! * *Nodes* ([`node`]): one to three appenders, cold at first, with clocks that
//!   may differ and jump. A node may crash at any step; its memory is gone, and
//!   the I/O that it had under way may yet take effect.
//! * *The store* ([`store`]): log rows appended under a condition, all or none; the
//!   head row; projections' rows, written unless the stored one is as new; blanked
//!   contents; inboxes behind the real guard. Each write lands at one moment, its
//!   condition judged there and then.
//! * *Faults* ([`world`]): an I/O works; or it times out, and then each of its
//!   writes lands later, at any step, or never. (So "it failed", "it worked but the
//!   answer was lost" and "it lands late" are one fault with three ends.) The rows
//!   of one `Apply` land one by one, in any order, or in part; those of one `Load`
//!   are read at different moments. A result may reach its node long after it was
//!   found.
//! * *Clients* ([`scenario`]): scripted commands and reads; tries that follow a
//!   failure or a crash, or race with an earlier try, at any node, under the same
//!   request id and the same `after_seq`.
//!
//! # What is checked, at every step
//!
//! [`checks`] has it all, and [`history`] is its measure: the log folded from
//! scratch. The log is dense, with one event per sender and request id (P2, P3);
//! each event is what the rules say about its command at its place (P13); an
//! answer stands in the log at that place for ever, and every try is told the same
//! (P1, P3); a refusal was right at some head between the command's arrival and
//! its answer; whoever is told "it did not happen" is told the truth; effects are
//! applied in order, before their event is acknowledged, shown, read or left
//! behind by `applied_through`; rows and inboxes equal the fold (P5). Wherever
//! nothing moves any more, no node is stuck, one more visitor of a cold node
//! finishes what crashes left open, and every command that stands in the log,
//! asked for again, is answered with its place.
//!
//! # What is not
//!
//! Several conversations (they share nothing here), partitions of the log by
//! bucket, reads that miss what a finished write wrote, the bus, and whatever the
//! services do around the appender.
//!
//! # How it is run
//!
//! [`explore`] sees every world of the small [`scenarios`], breadth first, so that
//! what it finds is told on a shortest way. [`random`] walks through larger ones by
//! seed. Both run the code or one of its mutants, each of which must be caught.

pub mod checks;
pub mod explore;
pub mod history;
pub mod node;
pub mod random;
pub mod scenario;
pub mod scenarios;
pub mod script;
pub mod shared;
mod step;
pub mod store;
mod words;
pub mod world;
