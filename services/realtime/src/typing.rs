//! Passes typing on, at most one word in a while for each user and conversation.
//! It keeps nothing longer than that, and decides no right: whoever calls has
//! made sure that the user may write there.
//!
//! The first word goes out at once. Of what comes too soon after it, a stop is
//! told when its time has come, or readers would show somebody who types no more;
//! a start is dropped, because clients repeat it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_kit::{
    bus::{Bus, Signal},
    task,
};
use confab_log::{ConversationId, TenantId, UserId};

/// Who types where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) conversation: ConversationId,
    pub(crate) user: UserId,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Typists {
    bus: Bus,
    interval: Duration,
    /// Those of whom something was told within the interval.
    recent: Mutex<HashMap<Place, Recent>>,
}

#[derive(Debug)]
struct Recent {
    /// What was told last.
    started: bool,
    /// A stop waits to be told, as of this event.
    stopped: Option<u64>,
}

impl Typists {
    pub(crate) fn new(bus: Bus, interval: Duration) -> Arc<Self> {
        Arc::new(Self { bus, interval, recent: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user, who is a participant at event `as_of`, types or has stopped.
    pub(crate) fn hear(self: &Arc<Self>, place: Place, started: bool, as_of: u64) {
        let mut recent = self.lock();
        if let Some(last) = recent.get_mut(&place) {
            last.stopped = (!started && last.started).then_some(as_of);
            count("held_back");
            return;
        }
        recent.insert(place.clone(), Recent { started, stopped: None });
        drop(recent);
        self.tell(&place, started, as_of);
        task::spawn("typing", Arc::clone(self).follow(place));
    }

    /// Tells the stop that waits, if one does, once every interval; ends when none did.
    async fn follow(self: Arc<Self>, place: Place) {
        loop {
            tokio::time::sleep(self.interval).await;
            let Some(as_of) = self.next_stop(&place) else { return };
            self.tell(&place, false, as_of);
        }
    }

    /// The stop that waits; without one the place is forgotten.
    fn next_stop(&self, place: &Place) -> Option<u64> {
        let mut recent = self.lock();
        let last = recent.get_mut(place)?;
        let stopped = last.stopped.take();
        if stopped.is_none() {
            recent.remove(place);
        } else {
            last.started = false;
        }
        stopped
    }

    fn tell(&self, place: &Place, started: bool, as_of: u64) {
        count("passed_on");
        self.bus.publish(Signal::Typing {
            tenant: place.tenant.clone(),
            conversation: place.conversation.clone(),
            user: place.user.clone(),
            started,
            as_of,
        });
    }
}

/// One more word on typing with this outcome.
pub(crate) fn count(outcome: &'static str) {
    metrics::counter!("confab_typing_total", "outcome" => outcome).increment(1);
}
