//! What an appender is told, what it asks for, and what it answers. Only words:
//! nothing here decides anything.

use std::sync::Arc;

use super::AppendBounds;
use crate::{Effects, Event, Refusal, Row, RowKey, Seq};

/// How an appender is tuned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Events whose request ids are looked through without `after_seq`.
    pub tail: u64,
    /// Commands and reads of one group, at most.
    pub group: usize,
    /// Rows of one read, at most.
    pub page: u64,
    /// `applied_through` is raised when it is this far behind.
    pub raise_every: u64,
    /// Tries of a group before it is answered with [`Outcome::Unavailable`].
    pub tries: u32,
    /// What one append may hold.
    pub append: AppendBounds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tail: 1000,
            group: 256,
            page: 256,
            raise_every: 256,
            tries: 3,
            append: AppendBounds::default(),
        }
    }
}

/// Names a command or a read towards its sender.
pub type Ticket = u64;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Io {
    /// Find the newest row and `applied_through`.
    Look,
    /// Read the rows `from..=to`, without a hole.
    Read {
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
    /// Read rows of the state.
    Load(Vec<RowKey>),
    /// Append these rows if the first does not exist; all or none.
    Append(Vec<Event>),
    /// Apply an event's effects, each unless it was applied before.
    Apply(Box<Event>, Arc<Effects>),
    /// Raise `applied_through` to this, unless it is higher.
    Raise(Seq),
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Done {
    /// The head and `applied_through`; both 0 for no conversation.
    Looked {
        /// The newest row.
        head: Seq,
        /// The effects of every event up to here are applied. Only a cold appender
        /// needs to know.
        applied_through: Seq,
    },
    /// The rows, from the first one asked for, without a hole. Fewer than asked for
    /// are fine as long as there is one, except that rows which have no hole above
    /// them must be all there.
    Read(Vec<Event>),
    /// Each row asked for.
    Loaded(Vec<(RowKey, Option<Row>)>),
    /// Whether the first row did not exist.
    Appended(bool),
    /// The effects are applied.
    Applied,
    /// `applied_through` is raised.
    Raised,
    /// It did not work; of a write, it is unclear whether it did or will.
    Failed,
}

/// The end of a command or a read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The command's event stands in the log, its effects are applied.
    Committed {
        /// Its position.
        seq: Seq,
        /// The event; `None` where an older try had appended it.
        event: Option<Box<Event>>,
    },
    /// The command was refused at the head of the log.
    Refused(Refusal),
    /// The rows asked for, with every event up to `as_of` folded and applied.
    Observed {
        /// The head that the look found.
        as_of: Seq,
        /// The rows.
        rows: Vec<(RowKey, Option<Row>)>,
    },
    /// The store did not work. `settled` says that this try has not appended the
    /// command and never will; otherwise a retry with the same request id settles
    /// it. It says nothing of other tries: if one of them is open, it still is.
    Unavailable {
        /// Whether this try has appended nothing and never will.
        settled: bool,
    },
}
