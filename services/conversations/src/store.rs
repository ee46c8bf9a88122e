//! The port: what this service needs of a store. An engine is good when it
//! passes [`conformance`]; nothing above this file knows which one it is.

pub mod conformance;
#[cfg(feature = "cql")]
pub mod cql;
pub mod embedded;
mod value;

use std::future::Future;

use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::StoreError;

use crate::domain::Applied;

pub use embedded::EmbeddedStore;

/// A row and whose it is.
pub type Found = (TenantId, ConversationId, ConversationRow);

/// The conversations' rows.
pub trait ConversationStore: Send + Sync + 'static {
    /// One row.
    fn row(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> impl Future<Output = Result<Option<ConversationRow>, StoreError>> + Send;

    /// The rows of these conversations that exist, in the order asked for.
    fn rows(
        &self,
        tenant: &TenantId,
        conversations: &[ConversationId],
    ) -> impl Future<Output = Result<Vec<(ConversationId, ConversationRow)>, StoreError>> + Send;

    /// Writes a row unless the stored one is as new or newer, as
    /// [`judge`](crate::domain::judge) says. Returns once it is durable.
    fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        row: ConversationRow,
    ) -> impl Future<Output = Result<Applied, StoreError>> + Send;

    /// At most `limit` rows of the tenant that [`is_open`](crate::domain::is_open),
    /// in the order of their ids, above `after`.
    fn public(
        &self,
        tenant: &TenantId,
        after: Option<&ConversationId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(ConversationId, ConversationRow)>, StoreError>> + Send;

    /// At most `limit` rows of all tenants whose messages are kept for a limited
    /// time, in an order of the store's, after `after`.
    fn retained(
        &self,
        after: Option<(&TenantId, &ConversationId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Found>, StoreError>> + Send;
}
