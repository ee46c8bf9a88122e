//! The port on ScyllaDB or Cassandra. A row is written if it is the one after the
//! row that was judged; the indexes follow its `applied_seq`, which is their
//! entries' timestamp, so that they may be written first, twice or late.
//!
//! The tables are in `cql/migrations`.

mod lists;

use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::{
    StoreError,
    cql::{Conditional, Cql, Migration, OpenError, Read, Write, number},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{ConversationStore, Found, value};
use crate::domain::{Applied, is_open, judge};

/// The schema of this service.
pub const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, text: include_str!("cql/migrations/1.cql") }];

/// The name that its migrations are noted under.
pub const SERVICE: &str = "conversations";

/// An index is in so many partitions. Never changed: it is in the keys.
const SHARDS: u8 = 16;
/// Rows that are read at the same time for one call.
const READS: usize = 32;

/// Conversation rows in a keyspace.
#[derive(Clone)]
pub struct CqlStore {
    row: Read,
    add_row: Conditional,
    change_row: Conditional,
    public: Index,
    public_after: Read,
    retained: Index,
    retained_after: Read,
}

/// The writes of an index.
#[derive(Clone)]
struct Index {
    add: Write,
    remove: Write,
}

impl CqlStore {
    /// Opens the tables, which must be migrated.
    ///
    /// # Errors
    /// When the keyspace cannot be used as it is.
    pub async fn open(cql: &Cql) -> Result<Self, OpenError> {
        cql.check_migrated(SERVICE, MIGRATIONS).await?;
        Ok(Self {
            row: cql
                .read(
                    "SELECT row, applied_seq FROM keyspace.conversations_rows \
                     WHERE tenant = ? AND conversation = ?",
                )
                .await?,
            add_row: cql
                .conditional(
                    "INSERT INTO keyspace.conversations_rows (tenant, conversation, row, applied_seq) \
                     VALUES (?, ?, ?, ?) IF NOT EXISTS",
                )
                .await?,
            change_row: cql
                .conditional(
                    "UPDATE keyspace.conversations_rows SET row = ?, applied_seq = ? \
                     WHERE tenant = ? AND conversation = ? IF applied_seq = ?",
                )
                .await?,
            public: Index::prepare(cql, "conversations_public").await?,
            public_after: cql
                .read(
                    "SELECT conversation FROM keyspace.conversations_public \
                     WHERE tenant = ? AND shard = ? AND conversation > ? LIMIT ?",
                )
                .await?,
            retained: Index::prepare(cql, "conversations_retained").await?,
            retained_after: cql
                .read(
                    "SELECT tenant, conversation FROM keyspace.conversations_retained \
                     WHERE shard = ? AND (tenant, conversation) > (?, ?) LIMIT ?",
                )
                .await?,
        })
    }

    /// The row with its `applied_seq` as the server has it.
    async fn stored(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> Result<Option<(ConversationRow, i64)>, StoreError> {
        let names = (tenant.as_str(), conversation.to_bytes().to_vec());
        let stored: Option<(Vec<u8>, i64)> = self.row.first(names).await?;
        stored.map(|(row, applied)| Ok((value::decode(&row)?, applied))).transpose()
    }
}

impl Index {
    async fn prepare(cql: &Cql, table: &str) -> Result<Self, StoreError> {
        Ok(Self {
            add: cql
                .write(&format!(
                    "INSERT INTO keyspace.{table} (tenant, shard, conversation) VALUES (?, ?, ?) \
                     USING TIMESTAMP ?"
                ))
                .await?,
            remove: cql
                .write(&format!(
                    "DELETE FROM keyspace.{table} USING TIMESTAMP ? \
                     WHERE tenant = ? AND shard = ? AND conversation = ?"
                ))
                .await?,
        })
    }

    /// Follows a row that is (not) to be listed now and was (not) before.
    async fn follow(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        applied_seq: i64,
        (before, now): (bool, bool),
    ) -> Result<(), StoreError> {
        let (tenant, shard) = (tenant.as_str(), i32::from(shard_of(conversation)));
        let id = conversation.to_bytes().to_vec();
        match (before, now) {
            (_, true) => self.add.run((tenant, shard, id, applied_seq)).await,
            (true, false) => self.remove.run((applied_seq, tenant, shard, id)).await,
            (false, false) => Ok(()),
        }
    }
}

fn shard_of(conversation: &ConversationId) -> u8 {
    // Ids are hashes.
    conversation.to_bytes()[0] % SHARDS
}

fn is_retained(row: &ConversationRow) -> bool {
    !row.retention.is_unlimited()
}

impl ConversationStore for CqlStore {
    async fn row(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        Ok(self.stored(tenant, conversation).await?.map(|(row, _)| row))
    }

    async fn rows(
        &self,
        tenant: &TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        let reads: Vec<_> = conversations.iter().map(|id| self.stored(tenant, id)).collect();
        let rows: Vec<_> = stream::iter(reads).buffered(READS).try_collect().await?;
        let found = conversations.iter().zip(rows);
        Ok(found.filter_map(|(id, stored)| Some((id.clone(), stored?.0))).collect())
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        row: ConversationRow,
    ) -> Result<Applied, StoreError> {
        let (bytes, seq) = (value::encode(&row), number(row.applied_seq));
        loop {
            let stored = self.stored(tenant, conversation).await?;
            let before = stored.as_ref().map(|(row, _)| row);
            let applied = judge(before, &row);
            if applied == Applied::Stale {
                return Ok(applied);
            }
            // First, so that no row lacks its entries.
            let open = (before.is_some_and(is_open), is_open(&row));
            let kept = (before.is_some_and(is_retained), is_retained(&row));
            tokio::try_join!(
                self.public.follow(tenant, conversation, seq, open),
                self.retained.follow(tenant, conversation, seq, kept),
            )?;
            let (tenant, id) = (tenant.as_str(), conversation.to_bytes().to_vec());
            let written = match stored {
                None => self.add_row.run((tenant, id, &*bytes, seq)).await?,
                Some((_, judged)) => {
                    self.change_row.run((&*bytes, seq, tenant, id, judged)).await?
                }
            };
            if written {
                return Ok(applied);
            }
        }
    }

    async fn public(
        &self,
        tenant: &TenantId,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        self.open_channels(tenant, after, limit).await
    }

    async fn retained(
        &self,
        after: Option<(&TenantId, &ConversationId)>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        self.with_retention(after, limit).await
    }
}
