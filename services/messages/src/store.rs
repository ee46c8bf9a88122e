//! The port to the store: what the messages service keeps, and what it asks of
//! whatever keeps it. Correctness rests on two conditional writes: `append`
//! ("row n + 1 does not exist") and `apply` ("the row is older than the event").

pub mod conformance;
#[cfg(feature = "cql")]
pub mod cql;
pub mod embedded;
mod marked;
mod rules;
mod value;

use std::future::Future;

use confab_log::{ConversationId, Effects, Event, Row, RowKey, Seq, TenantId, UserId};
use confab_store::StoreError;

pub use crate::rules::Rule;
pub use confab_log::appender::AppendBounds;
pub use rules::{Replaced, RuleStore, StoredRules};

/// The answer of a store.
pub type StoreResult<T> = Result<T, StoreError>;

/// Names a conversation's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// Whose.
    pub tenant: TenantId,
    /// Which conversation.
    pub conversation: ConversationId,
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The newest row.
    pub head: Event,
    /// The effects of every event up to here are applied.
    pub applied_through: Seq,
}

/// How far a user has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    /// Everything up to here is read.
    pub read_seq: Seq,
    /// Messages up to and including `read_seq`.
    pub read_ordinal: u64,
    /// Everything up to here is delivered.
    pub delivered_seq: Seq,
}

impl Cursors {
    /// The higher of each: cursors only grow.
    #[must_use]
    pub fn raised_by(self, other: Self) -> Self {
        let read = if other.read_seq > self.read_seq { other } else { self };
        Self {
            read_seq: read.read_seq,
            read_ordinal: read.read_ordinal,
            // What is read has been delivered.
            delivered_seq: self.delivered_seq.max(other.delivered_seq).max(read.read_seq),
        }
    }
}

/// Which way a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Upwards.
    OldestFirst,
    /// Downwards.
    NewestFirst,
}

/// The store of the log, message rows, reactions, receipts, and the index of
/// threads and mentions.
///
/// An error of a write that is not determinate ([`StoreError::is_determinate`])
/// may have taken effect, or may still take effect later.
pub trait LogStore: Send + Sync + 'static {
    /// The newest row and `applied_through`; `None` for an empty log.
    fn end(&self, key: &LogKey) -> impl Future<Output = StoreResult<Option<LogEnd>>> + Send;

    /// The newest row's seq, asked by who knows of the row `known`. No less than
    /// [`end`](Self::end) would say; a store may find it with less.
    fn head_from(&self, key: &LogKey, known: Seq) -> impl Future<Output = StoreResult<Seq>> + Send {
        async move { Ok(self.end(key).await?.map_or(known, |end| end.head.seq)) }
    }

    /// Rows `from..=to` in one direction, at most `limit`.
    fn read(
        &self,
        key: &LogKey,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> impl Future<Output = StoreResult<Vec<Event>>> + Send;

    /// What one append may hold: none by default.
    fn append_bounds(&self) -> AppendBounds {
        AppendBounds::default()
    }

    /// Appends rows with consecutive seqs, all or none, if the first does not
    /// exist, and marks the conversation as written to in this hour. They must be
    /// within [`append_bounds`](Self::append_bounds).
    fn append(
        &self,
        key: &LogKey,
        events: Vec<Event>,
        hour: u64,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Message and reactions rows; other keys are not this store's.
    fn load(
        &self,
        key: &LogKey,
        keys: &[RowKey],
    ) -> impl Future<Output = StoreResult<Vec<(RowKey, Option<Row>)>>> + Send;

    /// Applies an event's effects on messages, reactions, the index, and joiners'
    /// cursors.
    fn apply(
        &self,
        key: &LogKey,
        event: &Event,
        effects: &Effects,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Raises `applied_through`; a lower one is a no-op.
    fn raise(&self, key: &LogKey, through: Seq) -> impl Future<Output = StoreResult<()>> + Send;

    /// One user's cursors; zeros if there are none.
    fn cursors(
        &self,
        key: &LogKey,
        user: &UserId,
    ) -> impl Future<Output = StoreResult<Cursors>> + Send;

    /// Raises a user's cursors and says where they were and are.
    fn raise_cursors(
        &self,
        key: &LogKey,
        user: &UserId,
        to: Cursors,
    ) -> impl Future<Output = StoreResult<(Cursors, Cursors)>> + Send;

    /// Cursors of users above `after`, in the order of their ids.
    fn list_cursors(
        &self,
        key: &LogKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = StoreResult<Vec<(UserId, Cursors)>>> + Send;

    /// Who reacted to a message, above `after`, in the order of their ids; empty
    /// rows left out.
    fn list_reactions(
        &self,
        key: &LogKey,
        message: Seq,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = StoreResult<Vec<(UserId, Vec<String>)>>> + Send;

    /// Messages of a thread with seqs `from..=to`, in one direction, at most `limit`.
    fn list_thread(
        &self,
        key: &LogKey,
        root: Seq,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> impl Future<Output = StoreResult<Vec<Seq>>> + Send;

    /// Messages above `after` that mention a user, or did, the oldest first, at most
    /// `limit`.
    fn list_mentions(
        &self,
        key: &LogKey,
        user: &UserId,
        after: Seq,
        limit: usize,
    ) -> impl Future<Output = StoreResult<Vec<Seq>>> + Send;

    /// Logs written to in some hour, with that hour: at most `limit` after `after`.
    fn marks(
        &self,
        after: Option<(u64, LogKey)>,
        limit: usize,
    ) -> impl Future<Output = StoreResult<Vec<(u64, LogKey)>>> + Send;

    /// Forgets a mark whose log is finished.
    fn clear_mark(&self, hour: u64, key: &LogKey) -> impl Future<Output = StoreResult<()>> + Send;
}
