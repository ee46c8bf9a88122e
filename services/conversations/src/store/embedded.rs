//! The port on the embedded engine: three keyspaces, each key beginning with the
//! tenant. It owns their keys and format, and decides nothing: the guard is
//! [`judge`].
//!
//! ```text
//! conversations_rows       tenant, conversation → ConversationRow
//! conversations_public     tenant, conversation → nothing: those that are open
//! conversations_retained   tenant, conversation → nothing: those with a retention
//! ```

mod format;

use std::ops::Bound;

use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::{
    StoreError,
    embedded::{Direction, Engine, Keyspace, Transaction},
};

use super::{ConversationStore, Found};
use crate::domain::{Applied, is_open, judge};

/// Conversation rows in a data folder.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    engine: Engine,
    rows: Keyspace,
    public: Keyspace,
    retained: Keyspace,
}

impl EmbeddedStore {
    /// Opens its keyspaces; for the start-up.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self {
            engine: engine.clone(),
            rows: engine.keyspace("conversations_rows")?,
            public: engine.keyspace("conversations_public")?,
            retained: engine.keyspace("conversations_retained")?,
        })
    }

    /// The rows that an index names, in its order.
    fn indexed(
        &self,
        index: &Keyspace,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let snapshot = self.engine.snapshot();
        let mut found = Vec::new();
        for (key, _) in snapshot.range(index, (from, to), Direction::Forward, limit)? {
            let (tenant, id) = format::parse(&key)?;
            if let Some(value) = snapshot.get(&self.rows, &key)? {
                found.push((tenant, id, format::decode(&value)?));
            }
        }
        Ok(found)
    }
}

impl ConversationStore for EmbeddedStore {
    async fn row(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        let value = self.rows.get(format::key(tenant, conversation))?;
        value.map(|value| format::decode(&value)).transpose()
    }

    async fn rows(
        &self,
        tenant: &TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        let snapshot = self.engine.snapshot();
        let mut rows = Vec::with_capacity(conversations.len());
        for conversation in conversations {
            if let Some(value) = snapshot.get(&self.rows, format::key(tenant, conversation))? {
                rows.push((conversation.clone(), format::decode(&value)?));
            }
        }
        Ok(rows)
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        row: ConversationRow,
    ) -> Result<Applied, StoreError> {
        let key = format::key(tenant, conversation);
        let store = self.clone();
        let write = move |transaction: &mut Transaction<'_>| {
            let stored = transaction.get(&store.rows, &key)?;
            let stored = stored.map(|value| format::decode(&value)).transpose()?;
            let applied = judge(stored.as_ref(), &row);
            if applied != Applied::Stale {
                transaction.put(&store.rows, &key, format::encode(&row));
                let mut list = |index: &Keyspace, listed: bool, before: bool| match (before, listed)
                {
                    (false, true) => transaction.put(index, &key, Vec::new()),
                    (true, false) => transaction.remove(index, &key),
                    _ => {}
                };
                let stored = stored.as_ref();
                list(&store.public, is_open(&row), stored.is_some_and(is_open));
                let limited = |row: &ConversationRow| !row.retention.is_unlimited();
                list(&store.retained, limited(&row), stored.is_some_and(limited));
            }
            Ok(applied)
        };
        // Nothing is written before the last thing that can fail.
        self.engine.transact(write).await?
    }

    async fn public(
        &self,
        tenant: &TenantId,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        let from = match after {
            Some(after) => Bound::Excluded(format::key(tenant, after)),
            None => Bound::Included(format::tenant_key(tenant)),
        };
        let to = Bound::Included(format::last_key(tenant));
        let found = self.indexed(&self.public, from, to, limit)?;
        Ok(found.into_iter().map(|(_, id, row)| (id, row)).collect())
    }

    async fn retained(
        &self,
        after: Option<(&TenantId, &ConversationId)>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let from = match after {
            Some((tenant, id)) => Bound::Excluded(format::key(tenant, id)),
            None => Bound::Unbounded,
        };
        self.indexed(&self.retained, from, Bound::Unbounded, limit)
    }
}
