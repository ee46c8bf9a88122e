//! Which stream of this node owns which session. A newer stream fences the
//! older one and waits until that has written what it knows, so that nothing
//! acknowledged is forgotten when a device comes back at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{mailbox::Mailbox, store::SessionKey};

/// How long an older stream has to write. The store's epoch fences it anyway.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    owners: Mutex<HashMap<SessionKey, Owner>>,
}

#[derive(Clone, Debug)]
struct Owner {
    device_id: Arc<str>,
    epoch: u64,
    mailbox: Arc<Mailbox>,
    done: CancellationToken,
}

/// A stream's ownership of its session, for as long as it may write.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Arc<Claims>,
    key: SessionKey,
    epoch: u64,
    done: CancellationToken,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Owner>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stream of this node that owns the session, if one does, and
    /// waits until it has written.
    pub(crate) async fn fence(&self, key: &SessionKey, device_id: &str) {
        let owner = self.lock().get(key).cloned();
        let Some(owner) = owner.filter(|owner| *owner.device_id == *device_id) else {
            return;
        };
        owner.mailbox.fence();
        if timeout(PATIENCE, owner.done.cancelled()).await.is_err() {
            tracing::warn!("an older stream of a session did not end in time");
        }
    }

    /// Takes the session for a stream. Whoever of two was slower at the store
    /// is told that it is fenced.
    pub(crate) fn claim(
        self: &Arc<Self>,
        key: &SessionKey,
        device_id: &Arc<str>,
        epoch: u64,
        mailbox: &Arc<Mailbox>,
    ) -> Claim {
        let done = CancellationToken::new();
        let mut owners = self.lock();
        match owners.get(key) {
            Some(other) if other.epoch > epoch => mailbox.fence(),
            other => {
                if let Some(other) = other {
                    other.mailbox.fence();
                }
                let owner = Owner {
                    device_id: Arc::clone(device_id),
                    epoch,
                    mailbox: Arc::clone(mailbox),
                    done: done.clone(),
                };
                owners.insert(key.clone(), owner);
            }
        }
        Claim { claims: Arc::clone(self), key: key.clone(), epoch, done }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut owners = self.claims.lock();
        if owners.get(&self.key).is_some_and(|owner| owner.epoch == self.epoch) {
            owners.remove(&self.key);
        }
        self.done.cancel();
    }
}
