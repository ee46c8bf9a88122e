//! The port on ScyllaDB or Cassandra. Two ways of writing keep it exact, and no
//! cell is written both ways:
//!
//! * *Conditional* writes, where an old value decides: the log and its head, the
//!   edit of a message, content rules.
//! * Writes *with a seq as their timestamp*, where the newest is to stay whatever
//!   comes when: reactions, cursors. A late or repeated one changes nothing, and
//!   no clock takes part.
//!
//! What is only ever added (threads, mentions, marks) is written plainly. The
//! tables are in `cql/migrations`, with what each is for.

mod effects;
mod lists;
mod log;
mod marks;
mod rules;
mod statements;

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use confab_log::{Effects, Event, Row, RowKey, Seq, UserId};
use confab_store::{
    StoreError,
    cql::{Cql, Migration, OpenError, limit as rows_at_most, number, unsigned},
};

use super::{
    AppendBounds, Cursors, Direction, LogEnd, LogKey, LogStore, StoreResult, marked::Marked, value,
};
use statements::Statements;

/// The schema of this service.
pub const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, text: include_str!("cql/migrations/1.cql") }];

/// The name that its migrations are noted under.
pub const SERVICE: &str = "messages";

/// Rows of a partition of the log, where nothing else is asked for.
pub const PARTITION_ROWS: NonZeroU64 = NonZeroU64::new(4096).unwrap();

/// Paxos stores a mutation twice, and its time grows with the size: 300 KiB take
/// 43 ms where 64 messages take 12.
const APPEND_BYTES: usize = 256 * 1024;
/// Logs whose newest partition is remembered; beyond it they are forgotten.
const KNOWN_LOGS: usize = 100_000;

/// The tables of the messages service.
#[derive(Clone)]
pub struct CqlLogStore {
    cql: Cql,
    statements: Arc<Statements>,
    partition_rows: NonZeroU64,
    /// Newest partitions that the head rows were seen to name. They only grow.
    newest: Arc<Mutex<HashMap<LogKey, u64>>>,
    marked: Marked,
}

impl CqlLogStore {
    /// Opens the tables, which must be migrated. Partitions have so many rows, if
    /// this is the keyspace's first opening; it keeps the size that it began with.
    ///
    /// # Errors
    /// When the keyspace cannot be used as it is.
    pub async fn open(cql: &Cql, partition_rows: NonZeroU64) -> Result<Self, OpenError> {
        cql.check_migrated(SERVICE, MIGRATIONS).await?;
        let statements = Box::pin(Statements::prepare(cql)).await?;
        let wanted = number(partition_rows.get());
        statements.add_setting.run(("partition_rows", wanted)).await?;
        let stored: Option<(i64,)> = statements.setting.first(("partition_rows",)).await?;
        let stored = stored.and_then(|(rows,)| NonZeroU64::new(u64::try_from(rows).ok()?));
        let partition_rows =
            stored.ok_or_else(|| StoreError::corrupt("no size of the log's partitions"))?;
        Ok(Self {
            cql: cql.clone(),
            statements: Arc::new(statements),
            partition_rows,
            newest: Arc::default(),
            marked: Marked::default(),
        })
    }

    fn partition_of(&self, seq: Seq) -> u64 {
        seq.saturating_sub(1) / self.partition_rows
    }

    /// The first and the last row of a partition.
    fn rows_of(&self, partition: u64) -> (Seq, Seq) {
        let rows = self.partition_rows.get();
        let before = partition.saturating_mul(rows);
        (before.saturating_add(1), before.saturating_add(rows))
    }

    fn newest(&self) -> MutexGuard<'_, HashMap<LogKey, u64>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_newest(&self, key: &LogKey) -> Option<u64> {
        self.newest().get(key).copied()
    }

    /// What a head row says, or now says.
    fn remember_newest(&self, key: &LogKey, partition: u64) {
        let mut newest = self.newest();
        if newest.len() >= KNOWN_LOGS && !newest.contains_key(key) {
            newest.clear();
        }
        let known = newest.entry(key.clone()).or_default();
        *known = partition.max(*known);
    }
}

/// The first columns of nearly every table.
type Names = (String, Vec<u8>);

fn names(key: &LogKey) -> Names {
    (key.tenant.to_string(), key.conversation.to_bytes().to_vec())
}

fn user(text: &str) -> StoreResult<UserId> {
    UserId::parse(text).map_err(|_| StoreError::corrupt("a row of no user"))
}

impl LogStore for CqlLogStore {
    async fn end(&self, key: &LogKey) -> StoreResult<Option<LogEnd>> {
        self.find_end(key).await
    }

    async fn head_from(&self, key: &LogKey, known: Seq) -> StoreResult<Seq> {
        self.find_head(key, known).await
    }

    async fn read(
        &self,
        key: &LogKey,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        self.read_rows(key, from, to, direction, limit).await
    }

    fn append_bounds(&self) -> AppendBounds {
        AppendBounds { partition_rows: Some(self.partition_rows), bytes: Some(APPEND_BYTES) }
    }

    async fn append(&self, key: &LogKey, events: Vec<Event>, hour: u64) -> StoreResult<bool> {
        self.append_rows(key, events, hour).await
    }

    async fn load(&self, key: &LogKey, keys: &[RowKey]) -> StoreResult<Vec<(RowKey, Option<Row>)>> {
        let load = async |name: &RowKey| Ok((name.clone(), self.load_one(key, name).await?));
        futures_util::future::try_join_all(keys.iter().map(load)).await
    }

    async fn apply(&self, key: &LogKey, event: &Event, effects: &Effects) -> StoreResult<()> {
        self.apply_effects(key, event, effects).await
    }

    async fn raise(&self, key: &LogKey, through: Seq) -> StoreResult<()> {
        let (tenant, conversation) = names(key);
        let through = number(through);
        // Not applied: it is there already, or higher.
        let values = (through, tenant, conversation, through);
        self.statements.raise_applied.run(values).await.map(drop)
    }

    async fn cursors(&self, key: &LogKey, user: &UserId) -> StoreResult<Cursors> {
        self.user_cursors(key, user).await
    }

    async fn raise_cursors(
        &self,
        key: &LogKey,
        user: &UserId,
        to: Cursors,
    ) -> StoreResult<(Cursors, Cursors)> {
        let before = self.user_cursors(key, user).await?;
        let after = before.raised_by(to);
        if after != before {
            self.write_cursors(&self.cql.relaxed(), key, user, after).await?;
        }
        Ok((before, after))
    }

    async fn list_cursors(
        &self,
        key: &LogKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Cursors)>> {
        self.cursors_after(key, after, limit).await
    }

    async fn list_reactions(
        &self,
        key: &LogKey,
        message: Seq,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Vec<String>)>> {
        self.reactions_after(key, message, after, limit).await
    }

    async fn list_thread(
        &self,
        key: &LogKey,
        root: Seq,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        let statement = match direction {
            Direction::OldestFirst => &self.statements.thread_up,
            Direction::NewestFirst => &self.statements.thread_down,
        };
        let (tenant, conversation) = names(key);
        let (root, from, to) = (number(root), number(from), number(to));
        let values = (tenant, conversation, root, from, to, rows_at_most(limit));
        let rows: Vec<(i64,)> = statement.rows(values).await?;
        rows.into_iter().map(|(message,)| unsigned(message)).collect()
    }

    async fn list_mentions(
        &self,
        key: &LogKey,
        user: &UserId,
        after: Seq,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        let (tenant, conversation) = names(key);
        let values = (tenant, conversation, user.as_str(), number(after), rows_at_most(limit));
        let rows: Vec<(i64,)> = self.statements.mentions.rows(values).await?;
        rows.into_iter().map(|(message,)| unsigned(message)).collect()
    }

    async fn marks(
        &self,
        after: Option<(u64, LogKey)>,
        limit: usize,
    ) -> StoreResult<Vec<(u64, LogKey)>> {
        self.marks_after(after, limit).await
    }

    async fn clear_mark(&self, hour: u64, key: &LogKey) -> StoreResult<()> {
        self.remove_mark(hour, key).await
    }
}
