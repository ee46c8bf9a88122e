//! Who shares a conversation with whom: the inbox entries of both, compared.

use std::collections::HashSet;

use confab_log::{TenantId, UserId};
use confab_store::StoreError;
use futures_util::future::try_join_all;

use super::{CqlStore, TOGETHER, inbox::Inbox};
use crate::domain::{Memberships, Sharing};

/// Entries of others that one call reads before it leaves the rest to the next one.
const MAX_ROWS: usize = 20_000;

impl CqlStore {
    pub(super) async fn find_sharing(
        &self,
        tenant: &TenantId,
        user: &UserId,
        others: &[UserId],
    ) -> Result<Sharing, StoreError> {
        let own = self.inbox_of(tenant, user).memberships().await?;
        let own: HashSet<[u8; 16]> = active(&own).collect();
        let (mut sharing, mut rows) = (Sharing::default(), 0);
        for others in others.chunks(TOGETHER) {
            let inboxes: Vec<_> = others.iter().map(|other| self.inbox_of(tenant, other)).collect();
            let found = try_join_all(inboxes.iter().map(Inbox::memberships)).await?;
            for (other, theirs) in others.iter().zip(found) {
                rows += theirs.entries.len();
                if other == user || active(&theirs).any(|id| own.contains(&id)) {
                    sharing.users.push(other.clone());
                }
                sharing.checked += 1;
            }
            if rows >= MAX_ROWS {
                break;
            }
        }
        Ok(sharing)
    }
}

/// The conversations that a user is in.
fn active(memberships: &Memberships) -> impl Iterator<Item = [u8; 16]> {
    let active = memberships.entries.iter().filter(|(_, entry)| entry.active);
    active.map(|(id, _)| id.to_bytes())
}
