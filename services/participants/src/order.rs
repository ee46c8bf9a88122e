//! Whoever appends to an inbox publishes before the next one appends, so that
//! an inbox's signals leave in the inbox's order. It orders this process only:
//! what the inbox holds is the store's business, and the bus may lose signals.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use confab_log::{TenantId, UserId};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Inboxes share a slot now and then; that costs a wait and nothing else.
const SLOTS: usize = 256;

/// The right to append to some inboxes, until it is dropped.
pub(crate) struct Turn(#[expect(dead_code, reason = "held for its drop")] Vec<OwnedMutexGuard<()>>);

/// Gives out turns.
pub(crate) struct InboxOrder {
    slots: Vec<Arc<Mutex<()>>>,
}

impl InboxOrder {
    /// No inbox is taken.
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Arc::default()).collect() }
    }

    /// Waits for the inboxes of all these users.
    pub(crate) async fn turn<'a>(
        &self,
        tenant: &TenantId,
        users: impl Iterator<Item = &'a UserId> + Send,
    ) -> Turn {
        // Everyone locks in the same order, so nobody waits in a circle.
        let wanted: BTreeSet<usize> = users.map(|user| slot(tenant, user)).collect();
        let mut guards = Vec::with_capacity(wanted.len());
        for index in wanted {
            guards.push(Arc::clone(&self.slots[index]).lock_owned().await);
        }
        Turn(guards)
    }
}

fn slot(tenant: &TenantId, user: &UserId) -> usize {
    let mut hasher = DefaultHasher::new();
    (tenant, user).hash(&mut hasher);
    usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or(0)
}
