//! Who is here: a user with a stream is, and is for a while after the last one, so
//! that nobody flickers who only reconnects. This process knows it of its own streams
//! ([`here`]); where there are others, it tells them and asks them ([`shared`]), and
//! goes by what it knows itself while they cannot be asked. What changes goes to the
//! bus. It does not know who may see whom: each watching stream finds out.

mod here;
mod shared;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_kit::{
    bus::{Bus, Signal},
    clock, task,
};
use confab_log::{Micros, TenantId, UserId, mutant};
use confab_proto::realtime::v1 as pb;
use tokio_util::sync::CancellationToken;

use crate::{
    convert,
    error::Error,
    store::{LastSeenStore, Presence, Rooms, Said, Status, Word},
};

use here::Here;
use shared::SharedRooms;

/// A user who has been here lately is not noted again: what a crash may take off the
/// time that they were last here, beside [`here::STAY_INTERVAL`].
const NOTE_SLACK: Micros = 5 * 60 * 1_000_000;
/// Users who are told anew at a time.
const TOGETHER: usize = 256;

type Who = (TenantId, UserId);

/// See the module.
pub(crate) struct Presences {
    bus: Bus,
    last_seen: Arc<dyn LastSeenStore>,
    /// None where this is the only process.
    rooms: Option<SharedRooms>,
    grace: Duration,
    /// Cancelled when the process drains: then nobody comes back to it.
    draining: CancellationToken,
    here: Mutex<HashMap<Who, Here>>,
}

/// One open stream of a user; dropping it ends that.
pub(crate) struct Present {
    presences: Arc<Presences>,
    who: Who,
}

impl Presences {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(
        bus: Bus,
        last_seen: Arc<dyn LastSeenStore>,
        rooms: Option<Arc<dyn Rooms>>,
        grace: Duration,
        draining: CancellationToken,
    ) -> Arc<Self> {
        let rooms = rooms.map(SharedRooms::new);
        let here = Mutex::default();
        let presences = Arc::new(Self { bus, last_seen, rooms, grace, draining, here });
        if presences.rooms.is_some() {
            task::spawn("rooms", Arc::clone(&presences).keep_sharing());
        }
        presences
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Here>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of the user has begun.
    pub(crate) fn arrive(self: &Arc<Self>, tenant: &TenantId, user: &UserId) -> Present {
        let who = (tenant.clone(), user.clone());
        let mut here = self.lock();
        let changed = here.entry(who.clone()).or_insert_with(Here::nowhere).arrive();
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
        let said = Said { status, text: text.to_owned(), at: 0 };
        if self.lock().get_mut(&who).is_some_and(|of| of.say(&said)) {
            self.tell(&who);
            self.told(&who).await;
        } else if let Some(Some(said)) = self.share(&who, &Word::Says(said)).await {
            self.publish(&who, &Presence::of(Some(said), 0));
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
        let rooms = async {
            let asked = self.rooms.as_ref()?.ask(tenant, users).await;
            asked.filter(|_| !mutant::is("room-forgets-others"))
        };
        let (rooms, times) = tokio::join!(rooms, self.last_seen.times(tenant, users));
        let mut rooms = rooms.into_iter().flatten();
        let here = self.lock();
        let asked = users.iter().zip(times?).map(|(user, time)| {
            let all = rooms.next().flatten();
            match here.get(&(tenant.clone(), user.clone())) {
                Some(of) => Presence::of(of.known(all), of.gone.unwrap_or(0).max(time)),
                None => Presence::of(all, time),
            }
        });
        Ok(asked.collect())
    }

    /// The bus tells how present somebody is, of this process or another one.
    pub(crate) fn heard(self: &Arc<Self>, tenant: &TenantId, presence: &pb::Presence) {
        let Ok(user) = UserId::parse(&presence.user_id) else { return };
        let who = (tenant.clone(), user);
        let mut here = self.lock();
        let Some(of) = here.get_mut(&who).filter(|of| of.gone.is_none()) else { return };
        match convert::said(presence) {
            Some((status, text)) => of.hear(status, text),
            // Another process did not know yet: whoever was told is told better.
            None if mutant::is("room-lets-gone-stand") => {}
            None => {
                drop(here);
                self.tell(&who);
            }
        }
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
                () = tokio::time::sleep(presences.grace) => presences.leave(&who, arrivals, left),
                // They are on the way to another process, or are gone with this one.
                () = presences.draining.cancelled() => {
                    presences.note(&who, left, 0).await;
                    if mutant::is("room-drains-empty") {
                        presences.leave(&who, arrivals, left);
                    }
                }
            }
        });
    }

    /// The grace is over: unless the user came back, they are gone since they left.
    fn leave(self: &Arc<Self>, who: &Who, arrivals: u64, left: Micros) {
        let mut here = self.lock();
        let Some(of) = here.get_mut(who).filter(|of| of.arrivals == arrivals) else { return };
        of.gone = Some(left);
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
        while let Some((word, gone)) = self.next_untold(&who) {
            let all = self.share(&who, &word).await;
            let all = all.filter(|_| !mutant::is("room-own-word-only")).flatten();
            let said = self.lock().get_mut(&who).and_then(|of| of.learn(all));
            metrics::counter!("confab_presence_changes_total").increment(1);
            self.publish(&who, &Presence::of(said, gone.unwrap_or(0)));
            self.note_later(&who, gone);
        }
    }

    /// What is to be told next, and since when they are gone who are; when there is
    /// nothing, forgets who is gone.
    fn next_untold(&self, who: &Who) -> Option<(Word, Option<Micros>)> {
        let mut here = self.lock();
        let of = here.get_mut(who)?;
        if let Some(word) = of.next_word() {
            return Some((word, of.gone));
        }
        of.settle();
        if of.streams == 0 && of.gone.is_some() {
            here.remove(who);
            count(&here);
        }
        None
    }

    /// Waits until all that has changed of the user is told.
    async fn told(&self, who: &Who) {
        let telling = || self.lock().get(who).filter(|of| of.telling).map(Here::settled);
        loop {
            let Some(settled) = telling() else { return };
            // Before the second look, lest it be notified between the two.
            let notified = settled.notified();
            if telling().is_none() {
                return;
            }
            notified.await;
        }
    }

    /// What all processes say of the user after this word; `None` while they cannot be
    /// asked, and where there are none.
    async fn share(&self, (tenant, user): &Who, word: &Word) -> Option<Option<Said>> {
        self.rooms.as_ref()?.tell(tenant, user, word).await
    }

    fn publish(&self, (tenant, user): &Who, presence: &Presence) {
        let presence = Arc::new(convert::presence(user, presence));
        self.bus.publish(Signal::Presence { tenant: tenant.clone(), presence });
    }

    /// Notes when the user was last here; nobody waits for it.
    fn note_later(self: &Arc<Self>, who: &Who, gone: Option<Micros>) {
        let due = self.lock().get_mut(who).is_some_and(Here::note_is_due);
        let (time, slack) = match gone {
            Some(gone) => (gone, 0),
            None if due => (clock::now_micros(), NOTE_SLACK),
            None => return,
        };
        let (presences, who) = (Arc::clone(self), who.clone());
        task::spawn("last seen", async move { presences.note(&who, time, slack).await });
    }

    async fn note(&self, (tenant, user): &Who, time: Micros, slack: Micros) {
        if let Err(error) = self.last_seen.note(tenant, user, time, slack).await {
            tracing::debug!(%error, "when a user was last here is not noted");
        }
    }

    /// Shares what is known here until the process drains; all of it, anew, whenever
    /// the others may have forgotten it.
    async fn keep_sharing(self: Arc<Self>) {
        let Some(rooms) = &self.rooms else { return };
        let connected = || {
            metrics::counter!("confab_rooms_written_total").increment(1);
            if !mutant::is("room-not-rebuilt") {
                task::spawn("rooms", Arc::clone(&self).tell_all());
            }
        };
        rooms.keep(connected, &self.draining).await;
    }

    async fn tell_all(self: Arc<Self>) {
        let all: Vec<Who> = self.lock().keys().cloned().collect();
        for some in all.chunks(TOGETHER) {
            for who in some {
                if let Some(of) = self.lock().get_mut(who) {
                    of.says_again();
                }
                self.tell(who);
            }
            for who in some {
                self.told(who).await;
            }
        }
    }
}

impl Present {
    /// Waits until other processes know; not for long where they cannot be told.
    pub(crate) async fn told(&self) {
        self.presences.told(&self.who).await;
    }

    /// The user is still here.
    pub(crate) fn stay(&self) {
        if self.presences.lock().get(&self.who).is_some_and(Here::is_to_be_told_again) {
            self.presences.tell(&self.who);
        }
    }
}

impl Presence {
    /// Of somebody who says this, or is offline since then.
    fn of(said: Option<Said>, gone: Micros) -> Self {
        match said {
            Some(said) => Self { status: said.status, text: said.text, since: 0 },
            None => Self { since: gone, ..Self::default() },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric; exact to 2^52")]
fn count(here: &HashMap<Who, Here>) {
    metrics::gauge!("confab_users_present").set(here.len() as f64);
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
