//! The port: what this service needs of a store. An engine is good when it
//! passes [`conformance`]; nothing above this file knows which one it is.

pub mod conformance;
pub mod embedded;

use std::future::Future;

use confab_log::{ConversationId, Micros, Seq, TenantId, UserId, row::MemberRow};
use confab_store::StoreError;

use crate::domain::{Effects, Filter, InboxEvent, InboxPage, Memberships, Sharing};

pub use embedded::EmbeddedStore;

/// Member rows and inboxes.
pub trait MemberStore: Send + Sync + 'static {
    /// The rows of these users that exist, in the order asked for.
    fn members(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<(UserId, MemberRow)>, StoreError>> + Send;

    /// At most `limit` rows that the filter shows, in the order of the users'
    /// ids, above `after`.
    fn roster(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        after: Option<&UserId>,
        filter: Filter,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(UserId, MemberRow)>, StoreError>> + Send;

    /// Writes one event's rows, each unless the stored one is as new or newer,
    /// and takes its inbox effects, each unless the inbox took it or a later one
    /// of that conversation before: all in one transaction. Returns what the
    /// inboxes took, once it is durable.
    fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        effects: Effects,
    ) -> impl Future<Output = Result<Vec<(UserId, InboxEvent)>, StoreError>> + Send;

    /// Every conversation that the user is or was in.
    fn memberships(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> impl Future<Output = Result<Memberships, StoreError>> + Send;

    /// Who of the others is in a conversation that the user is in, too; a user
    /// shares with themselves. The work is bounded: it may look at fewer of the
    /// others than it was asked for, in their order and at least one.
    fn sharing(
        &self,
        tenant: &TenantId,
        user: &UserId,
        others: &[UserId],
    ) -> impl Future<Output = Result<Sharing, StoreError>> + Send;

    /// Notes in the user's inbox that the user read on. `None` when the cursor
    /// did not grow, or the user was never in the conversation.
    fn record_read(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        read_seq: Seq,
        time: Micros,
    ) -> impl Future<Output = Result<Option<InboxEvent>, StoreError>> + Send;

    /// At most `limit` events of the inbox above `after`, oldest first.
    fn inbox(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<InboxPage, StoreError>> + Send;
}
