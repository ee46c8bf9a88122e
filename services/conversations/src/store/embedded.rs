//! The port on the embedded engine: one keyspace, each key beginning with the
//! tenant. It owns its keys and format, and decides nothing: the guard is
//! [`judge`].
//!
//! ```text
//! conversations_rows   tenant, conversation → ConversationRow
//! ```

mod format;

use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::{
    StoreError,
    embedded::{Engine, Keyspace, Transaction},
};

use super::ConversationStore;
use crate::domain::{Applied, judge};

/// Conversation rows in a data folder.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    engine: Engine,
    rows: Keyspace,
}

impl EmbeddedStore {
    /// Opens its keyspace; for the start-up.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self { engine: engine.clone(), rows: engine.keyspace("conversations_rows")? })
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
        let rows = self.rows.clone();
        let write = move |transaction: &mut Transaction<'_>| {
            let stored = transaction.get(&rows, &key)?;
            let stored = stored.map(|value| format::decode(&value)).transpose()?;
            let applied = judge(stored.as_ref(), &row);
            if applied != Applied::Stale {
                transaction.put(&rows, &key, format::encode(&row));
            }
            Ok(applied)
        };
        // Nothing is written before the last thing that can fail.
        self.engine.transact(write).await?
    }
}
