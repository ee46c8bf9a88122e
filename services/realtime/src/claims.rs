//! Which stream of this node owns which session. A newer stream fences the
//! older one and waits until that has written what it knows, so that nothing
//! acknowledged is forgotten when a device comes back at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_log::{TenantId, UserId};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    mailbox::{Lost, Mailbox},
    store::{SessionId, SessionKey},
};

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

/// The stream of this node that owns a session.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) device_id: Arc<str>,
    pub(crate) mailbox: Arc<Mailbox>,
    done: CancellationToken,
}

impl Live {
    /// Waits until it has written what it knows, or for too long.
    pub(crate) async fn ended(&self) {
        if timeout(PATIENCE, self.done.cancelled()).await.is_err() {
            tracing::warn!("a stream of a session did not end in time");
        }
    }
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

    /// The stream of this node that owns the session, if one does.
    pub(crate) fn live(&self, key: &SessionKey) -> Option<Live> {
        let owner = self.lock().get(key).cloned()?;
        Some(Live { device_id: owner.device_id, mailbox: owner.mailbox, done: owner.done })
    }

    /// Tells the stream of this node that owns the session, if one does, that it
    /// was ended.
    pub(crate) fn end(&self, tenant: &TenantId, user: &UserId, session_id: &str) {
        if let Some(owner) = self.owner(tenant, user, session_id) {
            owner.mailbox.lose_session(Lost::Ended);
        }
    }

    /// Tells the stream of this node that owns the session, if one does and it is older
    /// than the one with this epoch, that this has taken it over.
    pub(crate) fn give_up(&self, tenant: &TenantId, user: &UserId, session_id: &str, epoch: u64) {
        let owner = self.owner(tenant, user, session_id);
        if let Some(older) = owner.filter(|owner| owner.epoch < epoch) {
            older.mailbox.lose_session(Lost::Fenced);
        }
    }

    fn owner(&self, tenant: &TenantId, user: &UserId, session_id: &str) -> Option<Owner> {
        let session = SessionId::parse(session_id)?;
        let key = SessionKey { tenant: tenant.clone(), user: user.clone(), session };
        self.lock().get(&key).cloned()
    }

    /// Ends the stream of this node that owns the session, if one does, and
    /// waits until it has written.
    pub(crate) async fn fence(&self, key: &SessionKey, device_id: &str) {
        let Some(live) = self.live(key).filter(|live| *live.device_id == *device_id) else {
            return;
        };
        live.mailbox.lose_session(Lost::Fenced);
        live.ended().await;
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
            Some(other) if other.epoch > epoch => mailbox.lose_session(Lost::Fenced),
            other => {
                if let Some(other) = other {
                    other.mailbox.lose_session(Lost::Fenced);
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
