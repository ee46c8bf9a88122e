//! Member rows, inboxes, profiles and reports, settled. What an inbox took is what
//! it holds more of than before, whichever of the tries wrote it.

use confab_log::{ConversationId, Micros, Seq, TenantId, UserId, inbox::Settings, row::MemberRow};
use confab_participants::{
    MemberStore, Store,
    domain::{
        Action, ActionPlace, Effects, Filter, InboxEvent, InboxPage, Memberships, Profile,
        ProfileChanges, Report, ReportId, Resolution, SettingsChanges, Sharing,
    },
    store::{ModerationStore, UserStore},
};
use confab_store::StoreError;

use super::{Settled, settled};

impl<S: Store> Settled<S> {
    async fn head(&self, tenant: &TenantId, user: &UserId) -> Result<u64, StoreError> {
        Ok(self.inbox(tenant, user, u64::MAX, 1).await?.head)
    }

    /// The only event after this one, if there is any.
    async fn told(
        &self,
        tenant: &TenantId,
        user: &UserId,
        head: u64,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let mut page = self.inbox(tenant, user, head, 9).await?;
        assert!(page.events.len() <= 1, "told more than once: {page:?}");
        Ok(page.events.pop())
    }
}

impl<S: Store> MemberStore for Settled<S> {
    async fn members(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        Ok(settled!(self.store.members(tenant, conversation, users))?.0)
    }

    async fn roster(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        after: Option<&UserId>,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        Ok(settled!(self.store.roster(tenant, conversation, after, filter, limit))?.0)
    }

    async fn roster_seq(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> Result<Option<Seq>, StoreError> {
        Ok(settled!(self.store.roster_seq(tenant, conversation))?.0)
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        effects: Effects,
    ) -> Result<Vec<(UserId, InboxEvent)>, StoreError> {
        let mut heads = Vec::new();
        for effect in &effects.inbox {
            heads.push((effect.user.clone(), self.head(tenant, &effect.user).await?));
        }
        let (taken, first) = settled!(self.store.apply(tenant, conversation, effects.clone()))?;
        if first {
            return Ok(taken);
        }
        let mut taken = Vec::new();
        for (user, head) in heads {
            let event = self.told(tenant, &user, head).await?;
            taken.extend(event.map(|event| (user, event)));
        }
        Ok(taken)
    }

    async fn memberships(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Memberships, StoreError> {
        Ok(settled!(self.store.memberships(tenant, user))?.0)
    }

    async fn sharing(
        &self,
        tenant: &TenantId,
        user: &UserId,
        others: &[UserId],
    ) -> Result<Sharing, StoreError> {
        Ok(settled!(self.store.sharing(tenant, user, others))?.0)
    }

    async fn record_read(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        read_seq: Seq,
        time: Micros,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let head = self.head(tenant, user).await?;
        settled!(self.store.record_read(tenant, user, conversation, read_seq, time))?;
        self.told(tenant, user, head).await
    }

    async fn arrange(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        changes: SettingsChanges,
        time: Micros,
    ) -> Result<Option<(Settings, Option<InboxEvent>)>, StoreError> {
        let head = self.head(tenant, user).await?;
        let (arranged, _) =
            settled!(self.store.arrange(tenant, user, conversation, changes, time))?;
        let event = self.told(tenant, user, head).await?;
        Ok(arranged.map(|(settings, _)| (settings, event)))
    }

    async fn inbox(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: u64,
        limit: usize,
    ) -> Result<InboxPage, StoreError> {
        Ok(settled!(self.store.inbox(tenant, user, after, limit))?.0)
    }
}

impl<S: Store> UserStore for Settled<S> {
    async fn profiles(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, Profile)>, StoreError> {
        Ok(settled!(self.store.profiles(tenant, users))?.0)
    }

    async fn list_profiles(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Profile)>, StoreError> {
        Ok(settled!(self.store.list_profiles(tenant, after, limit))?.0)
    }

    async fn change_profile(
        &self,
        tenant: &TenantId,
        user: &UserId,
        changes: ProfileChanges,
        time: Micros,
    ) -> Result<Profile, StoreError> {
        Ok(settled!(self.store.change_profile(tenant, user, changes.clone(), time))?.0)
    }

    async fn set_block(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
        blocked: bool,
        time: Micros,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let head = self.head(tenant, user).await?;
        settled!(self.store.set_block(tenant, user, other, blocked, time))?;
        self.told(tenant, user, head).await
    }

    async fn has_blocked(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
    ) -> Result<bool, StoreError> {
        Ok(settled!(self.store.has_blocked(tenant, user, other))?.0)
    }

    async fn list_blocks(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Micros)>, StoreError> {
        Ok(settled!(self.store.list_blocks(tenant, user, after, limit))?.0)
    }
}

impl<S: Store> ModerationStore for Settled<S> {
    async fn report(
        &self,
        tenant: &TenantId,
        id: ReportId,
        report: Report,
    ) -> Result<(), StoreError> {
        settled!(self.store.report(tenant, id, report.clone())).map(|((), _)| ())
    }

    async fn list_reports(
        &self,
        tenant: &TenantId,
        resolved: bool,
        after: Option<(Micros, ReportId)>,
        limit: usize,
    ) -> Result<Vec<(ReportId, Report)>, StoreError> {
        Ok(settled!(self.store.list_reports(tenant, resolved, after, limit))?.0)
    }

    async fn resolve(
        &self,
        tenant: &TenantId,
        id: ReportId,
        resolution: Resolution,
    ) -> Result<Option<Report>, StoreError> {
        Ok(settled!(self.store.resolve(tenant, id, resolution.clone()))?.0)
    }

    async fn list_actions(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        before: Option<ActionPlace>,
        limit: usize,
    ) -> Result<Vec<(ActionPlace, Action)>, StoreError> {
        Ok(settled!(self.store.list_actions(tenant, conversation, before, limit))?.0)
    }
}
