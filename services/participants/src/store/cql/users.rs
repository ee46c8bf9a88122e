//! Profiles and blocks.

use confab_log::{Micros, TenantId, UserId};
use confab_store::StoreError;
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};

use super::{
    CqlStore, TOGETHER,
    inbox::{Beside, Kind},
    rows_at_most, text, user_of, value,
};
use crate::{
    domain::{InboxBody, InboxEvent, Profile, ProfileChanges},
    store::UserStore,
};

/// A tenant's users are listed in so many partitions. Never changed: it is in the
/// keys.
const SHARDS: u8 = 16;

impl CqlStore {
    async fn stored_profile(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<(Profile, i64)>, StoreError> {
        let values = (text(tenant), user.as_str());
        let row: Option<(Vec<u8>, i64)> = self.statements.profile.first(values).await?;
        row.map(|(profile, version)| Ok((value::decode(&profile)?, version))).transpose()
    }

    /// The next names in their order, which are spread over all shards.
    async fn names_after(
        &self,
        tenant: &TenantId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let shards = (0..SHARDS).map(|shard| {
            let values = (text(tenant), i32::from(shard), after.to_owned(), rows_at_most(limit));
            self.statements.names_after.rows::<(String,)>(values)
        });
        let shards = try_join_all(shards).await?;
        let mut names: Vec<String> = shards.into_iter().flatten().map(|(name,)| name).collect();
        names.sort_unstable();
        names.truncate(limit);
        names.iter().map(|name| user_of(name)).collect()
    }
}

fn shard_of(user: &UserId) -> u8 {
    blake3::hash(user.as_str().as_bytes()).as_bytes()[0] % SHARDS
}

impl UserStore for CqlStore {
    async fn profiles(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, Profile)>, StoreError> {
        let reads: Vec<_> = users.iter().map(|user| self.stored_profile(tenant, user)).collect();
        let rows: Vec<_> = stream::iter(reads).buffered(TOGETHER).try_collect().await?;
        let found = users.iter().zip(rows);
        Ok(found.filter_map(|(user, row)| Some((user.clone(), row?.0))).collect())
    }

    async fn list_profiles(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Profile)>, StoreError> {
        // Every user's id is above the empty text.
        let mut after = after.map_or_else(String::new, ToString::to_string);
        let mut found = Vec::new();
        while found.len() < limit {
            let names = self.names_after(tenant, &after, limit).await?;
            let Some(last) = names.last() else { break };
            after = last.to_string();
            // A name comes before its profile, which may not have come.
            found.extend(self.profiles(tenant, &names).await?);
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn change_profile(
        &self,
        tenant: &TenantId,
        user: &UserId,
        changes: ProfileChanges,
        time: Micros,
    ) -> Result<Profile, StoreError> {
        loop {
            let stored = self.stored_profile(tenant, user).await?;
            let version = stored.as_ref().map(|(_, version)| *version);
            let profile = changes.clone().applied_to(stored.map(|(profile, _)| profile), time);
            let bytes = value::encode(&profile);
            let (tenant, name) = (text(tenant), user.as_str());
            let written = if let Some(version) = version {
                let values = (bytes, version + 1, tenant, name, version);
                self.statements.change_profile.run(values).await?
            } else {
                let place = (tenant.clone(), i32::from(shard_of(user)), name);
                self.statements.add_name.run(place).await?;
                self.statements.add_profile.run((tenant, name, bytes)).await?
            };
            if written {
                return Ok(profile);
            }
        }
    }

    async fn set_block(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
        blocked: bool,
        time: Micros,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let inbox = self.inbox_of(tenant, user);
        let place = other.as_str().as_bytes();
        loop {
            // The head before the block: what changes it changes the head.
            let head = inbox.head().await?;
            if inbox.value(Kind::Block, place).await?.is_some() == blocked {
                return Ok(None);
            }
            let user = other.clone();
            let (body, value) = if blocked {
                (InboxBody::Blocked { user }, Some(value::encode(&time)))
            } else {
                (InboxBody::Unblocked { user }, None)
            };
            let beside = Beside { kind: Kind::Block, place: place.to_vec(), value };
            let told = inbox.push(head, None, time, body, beside).await?;
            if told.is_some() {
                return Ok(told);
            }
        }
    }

    async fn has_blocked(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
    ) -> Result<bool, StoreError> {
        let place = other.as_str().as_bytes();
        Ok(self.inbox_of(tenant, user).value(Kind::Block, place).await?.is_some())
    }

    async fn list_blocks(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Micros)>, StoreError> {
        let after = after.map_or(&[][..], |other| other.as_str().as_bytes());
        let kind = Kind::Block as i32;
        let values = (text(tenant), user.as_str(), kind, after, rows_at_most(limit));
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.statements.places_after.rows(values).await?;
        let blocks = rows.iter().map(|(place, since)| {
            let name = std::str::from_utf8(place);
            let name = name.map_err(|_| StoreError::corrupt("a block of no user"))?;
            Ok((user_of(name)?, value::decode(since)?))
        });
        blocks.collect()
    }
}
