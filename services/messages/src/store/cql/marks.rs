//! Marks: which logs were written to in which hour. They are in the order of
//! hour, shard, tenant and conversation.

use confab_kit::clock;
use confab_log::{ConversationId, TenantId};
use confab_store::{
    StoreError,
    cql::{limit as rows_at_most, number, unsigned},
};
use futures_util::future::try_join_all;

use super::{CqlLogStore, LogKey, StoreResult, names};

/// An hour's marks are in so many partitions. Never changed: it is in the keys.
const SHARDS: u8 = 16;
/// Hours so much older than this one are forgotten when they are empty.
const PAST_HOURS: u64 = 2;
const MICROS_PER_HOUR: i64 = 3_600_000_000;

impl CqlLogStore {
    /// Stores a mark before the append that it is for, once an hour.
    pub(super) async fn mark(&self, hour: u64, key: &LogKey) -> StoreResult<()> {
        if self.marked.has(hour, key) {
            return Ok(());
        }
        let (tenant, conversation) = names(key);
        let number = number(hour);
        // The hour first: a mark of an hour that nobody looks at is none.
        self.statements.add_hour.run((number,)).await?;
        let values = (number, i32::from(shard_of(key)), tenant, conversation);
        self.statements.add_mark.run(values).await?;
        self.marked.remember(hour, key);
        Ok(())
    }

    pub(super) async fn marks_after(
        &self,
        after: Option<(u64, LogKey)>,
        limit: usize,
    ) -> StoreResult<Vec<(u64, LogKey)>> {
        let begin = after.as_ref().map_or(0, |(hour, _)| *hour);
        let checked = clock::now_micros();
        let hours: Vec<(i64,)> = self.statements.hours.all((number(begin),)).await?;
        let mut found = Vec::new();
        for (hour,) in hours {
            let hour = unsigned(hour)?;
            let within = after.as_ref().filter(|(begin, _)| *begin == hour).map(|(_, key)| key);
            let marks = self.marks_of(hour, within, limit - found.len()).await?;
            if marks.is_empty() && within.is_none() {
                self.forget_hour(hour, checked).await?;
            }
            found.extend(marks.into_iter().map(|key| (hour, key)));
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// The marks of one hour after a log, in the order of their shards.
    async fn marks_of(
        &self,
        hour: u64,
        after: Option<&LogKey>,
        limit: usize,
    ) -> StoreResult<Vec<LogKey>> {
        let first = after.map_or(0, shard_of);
        let shards = (first..SHARDS).map(|shard| {
            let within = after.filter(|_| shard == first);
            self.marks_of_shard(hour, shard, within, limit)
        });
        let shards = try_join_all(shards).await?;
        Ok(shards.into_iter().flatten().take(limit).collect())
    }

    async fn marks_of_shard(
        &self,
        hour: u64,
        shard: u8,
        after: Option<&LogKey>,
        limit: usize,
    ) -> StoreResult<Vec<LogKey>> {
        let (hour, shard, limit) = (number(hour), i32::from(shard), rows_at_most(limit));
        let rows: Vec<(String, Vec<u8>)> = match after {
            None => self.statements.marks.rows((hour, shard, limit)).await?,
            Some(key) => {
                let (tenant, conversation) = names(key);
                let values = (hour, shard, tenant, conversation, limit);
                self.statements.marks_after.rows(values).await?
            }
        };
        rows.into_iter().map(|(tenant, conversation)| key_of(&tenant, &conversation)).collect()
    }

    /// Forgets an hour long past that has no marks. A mark that comes meanwhile,
    /// from a clock that is behind, writes the hour anew: later than this.
    async fn forget_hour(&self, hour: u64, checked: i64) -> StoreResult<()> {
        let now = u64::try_from(checked / MICROS_PER_HOUR).unwrap_or(0);
        if hour + PAST_HOURS >= now {
            return Ok(());
        }
        self.statements.remove_hour.run((checked - MICROS_PER_HOUR, number(hour))).await
    }

    pub(super) async fn remove_mark(&self, hour: u64, key: &LogKey) -> StoreResult<()> {
        let (tenant, conversation) = names(key);
        let values = (number(hour), i32::from(shard_of(key)), tenant, conversation);
        self.statements.remove_mark.run(values).await
    }
}

fn shard_of(key: &LogKey) -> u8 {
    // Ids are hashes.
    key.conversation.to_bytes()[0] % SHARDS
}

fn key_of(tenant: &str, conversation: &[u8]) -> StoreResult<LogKey> {
    let corrupt = || StoreError::corrupt("a mark of no log");
    let conversation = conversation.try_into().map_err(|_| corrupt())?;
    Ok(LogKey {
        tenant: TenantId::parse(tenant).map_err(|_| corrupt())?,
        conversation: ConversationId::from_bytes(conversation),
    })
}
