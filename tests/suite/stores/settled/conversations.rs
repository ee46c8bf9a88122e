//! Conversation rows, settled.

use confab_conversations::{
    ConversationStore,
    domain::{Applied, judge},
    store::Found,
};
use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::StoreError;

use super::{Settled, settled};

impl<S: ConversationStore> ConversationStore for Settled<S> {
    async fn row(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        Ok(settled!(self.store.row(tenant, conversation))?.0)
    }

    async fn rows(
        &self,
        tenant: &TenantId,
        conversations: &[ConversationId],
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        Ok(settled!(self.store.rows(tenant, conversations))?.0)
    }

    /// What the row did, whichever of the tries wrote it.
    async fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        row: ConversationRow,
    ) -> Result<Applied, StoreError> {
        let before = self.row(tenant, conversation).await?;
        let due = judge(before.as_ref(), &row);
        let (applied, first) = settled!(self.store.apply(tenant, conversation, row.clone()))?;
        assert!(applied == due || !first, "{applied:?}, not {due:?}");
        Ok(due)
    }

    async fn public(
        &self,
        tenant: &TenantId,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<(ConversationId, ConversationRow)>, StoreError> {
        Ok(settled!(self.store.public(tenant, after, limit))?.0)
    }

    async fn retained(
        &self,
        after: Option<(&TenantId, &ConversationId)>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        Ok(settled!(self.store.retained(after, limit))?.0)
    }
}
