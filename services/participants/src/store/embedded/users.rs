//! Profiles and blocks on the embedded engine.

use std::ops::Bound;

use confab_log::{Micros, TenantId, UserId};
use confab_store::{StoreError, embedded::Direction};

use super::{EmbeddedStore, format, inbox::Inbox};
use crate::{
    domain::{InboxBody, InboxEvent, Profile, ProfileChanges},
    store::UserStore,
};

impl UserStore for EmbeddedStore {
    async fn profiles(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, Profile)>, StoreError> {
        let snapshot = self.engine.snapshot();
        let mut profiles = Vec::with_capacity(users.len());
        for user in users {
            let key = format::profile_key(tenant, user);
            if let Some(value) = snapshot.get(&self.spaces.profiles, key)? {
                profiles.push((user.clone(), format::decode(&value)?));
            }
        }
        Ok(profiles)
    }

    async fn list_profiles(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Profile)>, StoreError> {
        let prefix = format::tenant_key(tenant);
        // No key is just the prefix, so "above it" is "from the first user".
        let from = after.map_or_else(|| prefix.clone(), |user| format::profile_key(tenant, user));
        let range = (Bound::Excluded(from), Bound::Excluded(format::after_prefix(&prefix)));
        let rows = self.spaces.profiles.range(range, Direction::Forward, limit)?;
        let profiles = rows
            .iter()
            .map(|(key, value)| Ok((format::user_of(&prefix, key)?, format::decode(value)?)));
        profiles.collect()
    }

    async fn change_profile(
        &self,
        tenant: &TenantId,
        user: &UserId,
        changes: ProfileChanges,
        time: Micros,
    ) -> Result<Profile, StoreError> {
        let key = format::profile_key(tenant, user);
        self.transact(move |spaces, transaction| {
            let stored = transaction.get(&spaces.profiles, &key)?;
            let stored = stored.map(|value| format::decode(&value)).transpose()?;
            let profile = changes.applied_to(stored, time);
            transaction.put(&spaces.profiles, key, format::encode(&profile));
            Ok(profile)
        })
        .await
    }

    async fn set_block(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
        blocked: bool,
        time: Micros,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let (tenant, user, other) = (tenant.clone(), user.clone(), other.clone());
        self.transact(move |spaces, transaction| {
            let key = format::block_key(&tenant, &user, &other);
            if transaction.get(&spaces.blocks, &key)?.is_some() == blocked {
                return Ok(None);
            }
            let body = if blocked {
                transaction.put(&spaces.blocks, key, format::encode(&time));
                InboxBody::Blocked { user: other }
            } else {
                transaction.remove(&spaces.blocks, key);
                InboxBody::Unblocked { user: other }
            };
            let mut inbox = Inbox { spaces, tenant: &tenant, user: &user, transaction };
            inbox.push(None, time, body).map(Some)
        })
        .await
    }

    async fn has_blocked(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
    ) -> Result<bool, StoreError> {
        Ok(self.spaces.blocks.get(format::block_key(tenant, user, other))?.is_some())
    }

    async fn list_blocks(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Micros)>, StoreError> {
        let prefix = format::inbox_key(tenant, user);
        let from =
            after.map_or_else(|| prefix.clone(), |other| format::block_key(tenant, user, other));
        let range = (Bound::Excluded(from), Bound::Excluded(format::after_prefix(&prefix)));
        let rows = self.spaces.blocks.range(range, Direction::Forward, limit)?;
        let blocks = rows
            .iter()
            .map(|(key, value)| Ok((format::user_of(&prefix, key)?, format::decode(value)?)));
        blocks.collect()
    }
}
