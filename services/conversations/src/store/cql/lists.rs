//! Rows that an index names. An entry may be ahead of its row, or behind: rows
//! that are not what the index says are left out.

use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::{StoreError, cql::limit as rows_at_most};
use futures_util::future::try_join_all;

use super::{CqlStore, Found, SHARDS, is_retained, shard_of};
use crate::{domain::is_open, store::ConversationStore as _};

impl CqlStore {
    pub(super) async fn open_channels(
        &self,
        tenant: &TenantId,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after.cloned());
        while found.len() < limit {
            let ids = self.public_ids(tenant, after.as_ref(), limit).await?;
            let Some(last) = ids.last() else { break };
            after = Some(last.clone());
            let rows = self.rows(tenant, &ids).await?;
            found.extend(rows.into_iter().filter(|(_, row)| is_open(row)));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The next entries in the order of their ids, which are spread over all shards.
    async fn public_ids(
        &self,
        tenant: &TenantId,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let after = after.map_or_else(Vec::new, |id| id.to_bytes().to_vec());
        let shards = (0..SHARDS).map(|shard| {
            let values = (tenant.as_str(), i32::from(shard), &after, rows_at_most(limit));
            self.public_after.rows::<(Vec<u8>,)>(values)
        });
        let shards = try_join_all(shards).await?;
        let mut ids: Vec<Vec<u8>> = shards.into_iter().flatten().map(|(id,)| id).collect();
        ids.sort_unstable();
        ids.truncate(limit);
        ids.iter().map(|id| id_of(id)).collect()
    }

    /// In the order of shard, tenant and conversation.
    pub(super) async fn with_retention(
        &self,
        after: Option<(&TenantId, &ConversationId)>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let mut found: Vec<Found> = Vec::new();
        let first = after.map_or(0, |(_, id)| shard_of(id));
        for shard in first..SHARDS {
            let mut after = after
                .filter(|(_, id)| shard_of(id) == shard)
                .map(|(tenant, id)| (tenant.to_string(), id.to_bytes().to_vec()))
                .unwrap_or_default();
            while found.len() < limit {
                let values = (i32::from(shard), &after.0, &after.1, rows_at_most(limit));
                let names: Vec<(String, Vec<u8>)> = self.retained_after.rows(values).await?;
                let Some(last) = names.last() else { break };
                after = last.clone();
                let rows = try_join_all(names.iter().map(|name| self.row_of(name))).await?;
                let rows = rows.into_iter().flatten();
                found.extend(rows.filter(|(_, _, row)| is_retained(row)));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn row_of(&self, (tenant, id): &(String, Vec<u8>)) -> Result<Option<Found>, StoreError> {
        let tenant = TenantId::parse(tenant).map_err(|_| StoreError::corrupt("no tenant"))?;
        let id = id_of(id)?;
        Ok(self.row(&tenant, &id).await?.map(|row| (tenant, id, row)))
    }
}

fn id_of(bytes: &[u8]) -> Result<ConversationId, StoreError> {
    let id = bytes.try_into().map(ConversationId::from_bytes);
    id.map_err(|_| StoreError::corrupt("an entry of no conversation"))
}
