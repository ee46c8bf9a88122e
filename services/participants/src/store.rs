//! The ports: what this service needs of a store, one for each aggregate. An
//! engine is good when it passes [`conformance`]; nothing above this file knows
//! which one it is.

pub mod conformance;
#[cfg(feature = "cql")]
pub mod cql;
pub mod embedded;
mod value;

use std::future::Future;

use confab_log::{ConversationId, Micros, Seq, TenantId, UserId, inbox::Settings, row::MemberRow};
use confab_store::StoreError;

use crate::domain::{
    Action, ActionPlace, Effects, Filter, InboxEvent, InboxPage, Memberships, Profile,
    ProfileChanges, Report, ReportId, Resolution, SettingsChanges, Sharing,
};

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

    /// The newest event that has changed rows of the conversation, 0 before the first;
    /// `None` while rows are being changed, and after a change that did not end, until
    /// the next one. Every roster that is read afterwards has what that event and those
    /// before it made, and it is never below an event of which any row can be read: rows
    /// that were read after it are good as long as it stays the same.
    fn roster_seq(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> impl Future<Output = Result<Option<Seq>, StoreError>> + Send;

    /// Writes one event's rows, each unless the stored one is as new or newer,
    /// takes its inbox effects, each unless the inbox took it or a later one
    /// of that conversation before, and keeps its actions and reports. Whoever gets
    /// an error asks again: done twice it is the same. An event makes a row what the
    /// log says, so two rows of one user and one seq are equal. Returns what the
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

    /// Changes how the user has arranged a conversation, and notes it in the
    /// inbox; without an event when nothing changed. `None` when the user was
    /// never in it.
    fn arrange(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        changes: SettingsChanges,
        time: Micros,
    ) -> impl Future<Output = Result<Option<(Settings, Option<InboxEvent>)>, StoreError>> + Send;

    /// At most `limit` events of the inbox above `after`, oldest first.
    fn inbox(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<InboxPage, StoreError>> + Send;
}

/// Profiles and blocks.
pub trait UserStore: Send + Sync + 'static {
    /// The profiles of these users that exist, in the order asked for.
    fn profiles(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<(UserId, Profile)>, StoreError>> + Send;

    /// At most `limit` profiles in the order of the users' ids, above `after`.
    fn list_profiles(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(UserId, Profile)>, StoreError>> + Send;

    /// Makes or changes a profile, as [`ProfileChanges::applied_to`] says.
    fn change_profile(
        &self,
        tenant: &TenantId,
        user: &UserId,
        changes: ProfileChanges,
        time: Micros,
    ) -> impl Future<Output = Result<Profile, StoreError>> + Send;

    /// Sets or lifts a user's block of another and notes it in the inbox; `None`
    /// when that is how it was.
    fn set_block(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
        blocked: bool,
        time: Micros,
    ) -> impl Future<Output = Result<Option<InboxEvent>, StoreError>> + Send;

    /// Whether a user has blocked another.
    fn has_blocked(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// At most `limit` users whom a user has blocked and since when, in the order
    /// of their ids, above `after`.
    fn list_blocks(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(UserId, Micros)>, StoreError>> + Send;
}

/// Reports and the record of moderation.
pub trait ModerationStore: Send + Sync + 'static {
    /// Keeps a report, unless there is one of this id.
    fn report(
        &self,
        tenant: &TenantId,
        id: ReportId,
        report: Report,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// At most `limit` reports, open or resolved, the oldest first, after the
    /// one made at this time with this id.
    fn list_reports(
        &self,
        tenant: &TenantId,
        resolved: bool,
        after: Option<(Micros, ReportId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(ReportId, Report)>, StoreError>> + Send;

    /// Closes an open report and erases its copy of the message; `None` when
    /// there is none. A closed one stays as it is.
    fn resolve(
        &self,
        tenant: &TenantId,
        id: ReportId,
        resolution: Resolution,
    ) -> impl Future<Output = Result<Option<Report>, StoreError>> + Send;

    /// At most `limit` actions in a conversation, the newest first, below `before`.
    fn list_actions(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        before: Option<ActionPlace>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(ActionPlace, Action)>, StoreError>> + Send;
}

/// All that this service keeps.
pub trait Store: MemberStore + UserStore + ModerationStore {}

impl<S: MemberStore + UserStore + ModerationStore> Store for S {}
