//! The users whose presence a stream watches: one slot each, the latest wins, at
//! most one frame in a while for each.
//!
//! Who shares no conversation with the stream's user is shown as somebody who was
//! never here. Whether they share one is asked when a user is added, when
//! memberships change, and at every heal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use confab_log::{UserId, mutant};
use confab_proto::realtime::v1::{self as pb, connect_response::Frame};
use tokio::time::Instant;

use super::stream::{Done, Stream};
use crate::{convert, error::Error, frame::frame, store::Presence};

/// The least time between two looks at who shares a conversation.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The same, after one that failed.
const RETRY: Duration = Duration::from_secs(5);
/// A reader that has no room is tried again after this.
const NO_ROOM: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watched {
    slots: BTreeMap<UserId, Slot>,
    due: BTreeSet<(Instant, UserId)>,
    /// When to look at who shares a conversation, if at all.
    check_at: Option<Instant>,
    checking: bool,
    next_check: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    /// Whether a conversation is shared, as of the last look; unknown before the first.
    shares: Option<bool>,
    latest: Arc<pb::Presence>,
    /// The bus told of them since the look under way began.
    heard: bool,
    shown: Option<Arc<pb::Presence>>,
    next: Instant,
    due: Option<Instant>,
}

/// What a look found: who shares a conversation, and how present each is.
pub(super) type Found = Result<(BTreeSet<UserId>, Vec<Presence>), Error>;

impl Watched {
    /// When something is due next.
    pub(super) fn due(&self) -> Option<Instant> {
        let check = self.check_at.filter(|_| !self.checking);
        let show = self.due.first().map(|(at, _)| *at);
        [check, show].into_iter().flatten().min()
    }

    fn add(&mut self, user: &UserId, now: Instant) {
        self.slots.insert(
            user.clone(),
            Slot {
                shares: None,
                latest: Arc::new(stranger(user)),
                heard: false,
                shown: None,
                next: now,
                due: None,
            },
        );
    }

    fn remove(&mut self, user: &UserId) {
        if let Some(at) = self.slots.remove(user).and_then(|slot| slot.due) {
            self.due.remove(&(at, user.clone()));
        }
    }

    /// Looks as soon as another look is allowed.
    fn check_soon(&mut self, now: Instant) {
        if !self.slots.is_empty() {
            let at = self.next_check.map_or(now, |next| next.max(now));
            self.check_at = Some(self.check_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Puts a slot among those to be shown, if what it shows is not what was shown.
    fn mark(&mut self, user: &UserId, now: Instant) {
        let Some(slot) = self.slots.get_mut(user) else { return };
        let changed = slot.visible(user).is_some_and(|visible| slot.shown != Some(visible));
        if changed && slot.due.is_none() {
            let at = slot.next.max(now);
            slot.due = Some(at);
            self.due.insert((at, user.clone()));
        }
    }

    /// What is to be shown now, of one user.
    fn take(&mut self, now: Instant, interval: Duration) -> Option<Arc<pb::Presence>> {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let (_, user) = self.due.pop_first()?;
            let Some(slot) = self.slots.get_mut(&user) else { continue };
            slot.due = None;
            // It may have changed back.
            let visible = slot.visible(&user);
            if visible.is_some() && visible != slot.shown {
                slot.next = now + interval;
                slot.shown.clone_from(&visible);
                return visible;
            }
        }
        None
    }

    /// There was no room: everything that is due waits.
    fn put_off(&mut self, now: Instant) {
        let later = now + NO_ROOM;
        let due = std::mem::take(&mut self.due);
        for (at, user) in due {
            let at = at.max(later);
            if let Some(slot) = self.slots.get_mut(&user) {
                slot.due = Some(at);
            }
            self.due.insert((at, user));
        }
    }
}

impl Slot {
    /// What the client may see; nothing before the first look.
    fn visible(&self, user: &UserId) -> Option<Arc<pb::Presence>> {
        let seen = self.shares? || mutant::is("presence-of-strangers");
        Some(if seen { Arc::clone(&self.latest) } else { Arc::new(stranger(user)) })
    }
}

/// As somebody looks who was never here.
fn stranger(user: &UserId) -> pb::Presence {
    convert::presence(user, &Presence::default())
}

impl Stream {
    /// The client changes whose presence it watches.
    pub(super) fn watch_presence(
        &mut self,
        add: Vec<String>,
        remove: &[String],
    ) -> Result<(), Error> {
        for user in remove.iter().filter_map(|text| UserId::parse(text).ok()) {
            self.registration.unwatch_presence(&user);
            self.watched.remove(&user);
        }
        let (mut malformed, mut too_many) = (Vec::new(), Vec::new());
        for text in add {
            let Ok(user) = UserId::parse(&text) else {
                malformed.push(text);
                continue;
            };
            let known = self.watched.slots.contains_key(&user);
            if !known && self.watched.slots.len() >= self.shared.limits.presences {
                too_many.push(text);
                continue;
            }
            self.add_presence(&user);
        }
        if !malformed.is_empty() {
            let rule = UserId::RULE;
            let error =
                confab_kit::Error::violation("watch.add_presence", format!("must be {rule}"));
            self.refuse_presence(malformed, &error.into())?;
        }
        if !too_many.is_empty() {
            let error = Error::Overloaded("the stream watches the presence of as many as it may");
            self.refuse_presence(too_many, &error)?;
        }
        Ok(())
    }

    fn refuse_presence(&mut self, users: Vec<String>, error: &Error) -> Result<(), Error> {
        self.send(frame(Frame::PresenceRefused(convert::presence_refused(users, error))))
    }

    /// Watches a user, anew if that is so already. Interest comes before the look.
    pub(super) fn add_presence(&mut self, user: &UserId) {
        let now = Instant::now();
        self.registration.watch_presence(user);
        self.watched.remove(user);
        self.watched.add(user, now);
        self.watched.check_soon(now);
    }

    /// The bus tells how present a watched user is.
    pub(super) fn on_presence(&mut self, user: &UserId, presence: Arc<pb::Presence>) {
        let Some(slot) = self.watched.slots.get_mut(user) else { return };
        slot.latest = presence;
        slot.heard = true;
        self.watched.mark(user, Instant::now());
    }

    /// Who shares a conversation, or how present they are, may have changed unseen.
    pub(super) fn doubt_presence(&mut self) {
        self.watched.check_soon(Instant::now());
    }

    /// Does what is due.
    pub(super) fn tick_presence(&mut self, now: Instant) -> Result<(), Error> {
        if !self.watched.checking && self.watched.check_at.is_some_and(|at| at <= now) {
            self.look_at_presence(now);
        }
        while self.watched.due.first().is_some_and(|(at, _)| *at <= now) {
            if !self.outbox.has_room() {
                self.watched.put_off(now);
                return Ok(());
            }
            let interval = self.shared.limits.presence_interval;
            let Some(presence) = self.watched.take(now, interval) else { break };
            self.shared.presence_frames.increment(1);
            self.send(frame(Frame::Presence(pb::Presence::clone(&presence))))?;
        }
        Ok(())
    }

    fn look_at_presence(&mut self, now: Instant) {
        self.watched.check_at = None;
        self.watched.checking = true;
        self.watched.next_check = Some(now + CHECK_INTERVAL);
        let users: Vec<UserId> = self.watched.slots.keys().cloned().collect();
        for slot in self.watched.slots.values_mut() {
            slot.heard = false;
        }
        let (reads, shared) = (Arc::clone(&self.reads), Arc::clone(&self.shared));
        let tenant = self.caller.tenant.clone();
        self.work.push(Box::pin(async move {
            let found = async {
                shared.bus.settled().await;
                let sharing = reads.sharing(&users).await?;
                // Of all of them: what is not to be seen must not be told by the time.
                Ok((sharing, shared.presences.ask(&tenant, &users).await?))
            };
            let found = found.await;
            Done::Presence { users, found }
        }));
    }

    /// The look has ended.
    pub(super) fn on_presence_found(&mut self, users: &[UserId], found: Found) {
        let now = Instant::now();
        self.watched.checking = false;
        let (sharing, presences) = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "presence not looked at");
                self.watched.next_check = Some(now + RETRY);
                self.watched.check_soon(now);
                return;
            }
        };
        for (user, presence) in users.iter().zip(&presences) {
            // One that was added anew since is looked at again, too.
            let Some(slot) = self.watched.slots.get_mut(user) else { continue };
            slot.shares = Some(sharing.contains(user));
            if !slot.heard {
                slot.latest = Arc::new(convert::presence(user, presence));
            }
            self.watched.mark(user, now);
        }
    }
}
