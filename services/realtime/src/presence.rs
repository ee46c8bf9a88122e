//! Who is here, as this node's streams say: a user with a stream is, and is for a
//! while after the last one, so that nobody flickers who only reconnects. What
//! changes goes to the store, which knows what other nodes say, and from there to
//! the bus. It does not know who may see whom: each watching stream finds out.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_kit::{
    bus::{Bus, Signal},
    clock, task,
};
use confab_log::{Micros, TenantId, UserId};
use confab_proto::realtime::v1 as pb;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    convert,
    error::Error,
    store::{Presence, PresenceStore, Status},
};

/// Somebody who stays is told to the store so often: what a crash may take off the
/// time that they were last here.
const STAY_INTERVAL: Duration = Duration::from_mins(15);

type Who = (TenantId, UserId);

/// See the module.
pub(crate) struct Presences {
    bus: Bus,
    store: Arc<dyn PresenceStore>,
    grace: Duration,
    /// Cancelled when the process drains: then nobody comes back to this node.
    draining: CancellationToken,
    here: Mutex<HashMap<Who, Here>>,
}

/// A user who is here, or whose leaving is still to be told.
#[derive(Debug)]
struct Here {
    streams: usize,
    /// Counts arrivals: tells whether a user has come back since.
    arrivals: u64,
    presence: Presence,
    /// When the store was told last.
    told: Instant,
    /// Something has changed that is not told.
    untold: bool,
    /// A task is telling.
    telling: bool,
}

/// One open stream of a user; dropping it ends that.
pub(crate) struct Present {
    presences: Arc<Presences>,
    who: Who,
}

impl Presences {
    pub(crate) fn new(
        bus: Bus,
        store: Arc<dyn PresenceStore>,
        grace: Duration,
        draining: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { bus, store, grace, draining, here: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Here>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of the user has begun.
    pub(crate) fn arrive(self: &Arc<Self>, tenant: &TenantId, user: &UserId) -> Present {
        let who = (tenant.clone(), user.clone());
        let mut here = self.lock();
        let entry = here.entry(who.clone()).or_insert_with(|| Here {
            streams: 0,
            arrivals: 0,
            presence: Presence::default(),
            told: Instant::now(),
            untold: false,
            telling: false,
        });
        entry.streams += 1;
        entry.arrivals += 1;
        let changed = entry.presence.status == Status::Offline;
        if changed {
            entry.presence = online(Status::Online, "");
        }
        count(&here);
        drop(here);
        if changed {
            self.tell(&who);
        }
        Present { presences: Arc::clone(self), who }
    }

    /// The user says how present they are. Returns how they are, which is offline
    /// for a user who is not here.
    pub(crate) async fn set(
        self: &Arc<Self>,
        tenant: &TenantId,
        user: &UserId,
        status: Status,
        text: &str,
    ) -> Result<pb::Presence, Error> {
        let who = (tenant.clone(), user.clone());
        let changed = {
            let mut here = self.lock();
            let known = here.get_mut(&who).filter(|of| of.presence.status != Status::Offline);
            let other = |of: &&mut Here| of.presence.status != status || of.presence.text != text;
            known.filter(other).map(|of| of.presence = online(status, text)).is_some()
        };
        if changed {
            self.tell(&who);
        }
        let asked = self.ask(tenant, std::slice::from_ref(user)).await?;
        Ok(convert::presence(user, asked.first().unwrap_or(&Presence::default())))
    }

    /// How present users are, in the order asked.
    pub(crate) async fn ask(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Vec<Presence>, Error> {
        let mut asked = self.store.ask(tenant, users).await?;
        let here = self.lock();
        for (user, presence) in users.iter().zip(&mut asked) {
            if let Some(of) = here.get(&(tenant.clone(), user.clone())) {
                *presence = of.presence.clone();
            }
        }
        Ok(asked)
    }

    fn depart(self: &Arc<Self>, who: &Who) {
        let mut here = self.lock();
        let Some(of) = here.get_mut(who) else { return };
        of.streams = of.streams.saturating_sub(1);
        if of.streams > 0 {
            return;
        }
        let (presences, who, arrivals) = (Arc::clone(self), who.clone(), of.arrivals);
        let left = clock::now_micros();
        task::spawn("presence grace", async move {
            tokio::select! {
                () = tokio::time::sleep(presences.grace) => {}
                () = presences.draining.cancelled() => {}
            }
            presences.leave(&who, arrivals, left);
        });
    }

    /// The grace is over: unless the user came back, they are gone since they left.
    fn leave(self: &Arc<Self>, who: &Who, arrivals: u64, left: Micros) {
        let mut here = self.lock();
        let Some(of) = here.get_mut(who).filter(|of| of.arrivals == arrivals) else { return };
        of.presence = Presence { since: left, ..Presence::default() };
        drop(here);
        self.tell(who);
    }

    /// Tells what has changed; a task that is telling already does so once more.
    fn tell(self: &Arc<Self>, who: &Who) {
        let mut here = self.lock();
        let Some(of) = here.get_mut(who) else { return };
        of.untold = true;
        if !std::mem::replace(&mut of.telling, true) {
            task::spawn("presence", Arc::clone(self).keep_telling(who.clone()));
        }
    }

    /// One at a time for each user, so that the last word told is the newest.
    async fn keep_telling(self: Arc<Self>, who: Who) {
        while let Some(presence) = self.next_untold(&who) {
            let (tenant, user) = &who;
            let all = self.store.tell(tenant, user, &presence).await.unwrap_or_else(|error| {
                // Whoever watches on this node learns it all the same.
                tracing::debug!(%error, "presence not stored");
                presence
            });
            metrics::counter!("confab_presence_changes_total").increment(1);
            let presence = Arc::new(convert::presence(user, &all));
            self.bus.publish(Signal::Presence { tenant: tenant.clone(), presence });
        }
    }

    /// What is to be told next; when there is nothing, forgets who is gone.
    fn next_untold(&self, who: &Who) -> Option<Presence> {
        let mut here = self.lock();
        let Entry::Occupied(mut entry) = here.entry(who.clone()) else { return None };
        let of = entry.get_mut();
        if std::mem::take(&mut of.untold) {
            of.told = Instant::now();
            return Some(of.presence.clone());
        }
        of.telling = false;
        if of.streams == 0 && of.presence.status == Status::Offline {
            entry.remove();
            count(&here);
        }
        None
    }
}

impl Present {
    /// The user is still here.
    pub(crate) fn stay(&self) {
        let mut here = self.presences.lock();
        let Some(of) = here.get_mut(&self.who) else { return };
        if of.told.elapsed() >= STAY_INTERVAL {
            of.presence.since = clock::now_micros();
            drop(here);
            self.presences.tell(&self.who);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric; exact to 2^52")]
fn count(here: &HashMap<Who, Here>) {
    metrics::gauge!("confab_users_present").set(here.len() as f64);
}

fn online(status: Status, text: &str) -> Presence {
    Presence { status, text: text.to_owned(), since: clock::now_micros() }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presences.depart(&self.who);
    }
}

impl fmt::Debug for Presences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presences").field("grace", &self.grace).finish_non_exhaustive()
    }
}
