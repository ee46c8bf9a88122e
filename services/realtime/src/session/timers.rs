//! Everything on a stream that happens at a time: the one timer that its loop
//! sleeps on is set to the earliest of these.

use std::{collections::BTreeSet, time::Duration};

use confab_kit::{backoff::doubled, clock, identity::Caller, random};
use confab_log::ConversationId;
use tokio::time::Instant;

use crate::Limits;

/// A token that lives longer than this needs no timer.
const FOR_EVER: i64 = 10 * 365 * 86_400;
/// When the log is asked after something may have been lost.
const HEAL_SOON: Duration = Duration::from_secs(1);
/// The first delay before a read is tried again; it doubles each time.
const RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(5);

/// What is read again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Retry {
    Inbox,
    Watch(ConversationId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Timers {
    heartbeat: Instant,
    heartbeat_interval: Duration,
    heal: Instant,
    heal_interval: Duration,
    expires: Option<Instant>,
    /// When to tell that the token ends soon.
    notice: Option<Instant>,
    retries: BTreeSet<(Instant, Retry)>,
}

impl Timers {
    pub(super) fn new(caller: &Caller, limits: &Limits) -> Self {
        let now = Instant::now();
        let mut timers = Self {
            heartbeat: now + limits.heartbeat,
            heartbeat_interval: limits.heartbeat,
            heal: now + random::jitter(limits.heal_interval),
            heal_interval: limits.heal_interval,
            expires: None,
            notice: None,
            retries: BTreeSet::new(),
        };
        timers.set_token(caller, limits);
        timers
    }

    /// The stream lives as long as this token.
    pub(super) fn set_token(&mut self, caller: &Caller, limits: &Limits) {
        let now = Instant::now();
        let left = caller.expires_at.saturating_sub(clock::now_seconds());
        let at = |left: i64| now + Duration::from_secs(u64::try_from(left).unwrap_or(0));
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let ends = left < FOR_EVER;
        self.expires = ends.then(|| at(left.saturating_add(seconds(limits.token_leeway))));
        self.notice = ends.then(|| at(left.saturating_sub(seconds(limits.token_notice))));
    }

    /// The earliest of all.
    pub(super) fn next(&self) -> Instant {
        let retry = self.retries.first().map(|(at, _)| *at);
        let others = [self.expires, self.notice, retry].into_iter().flatten();
        others.fold(self.heartbeat.min(self.heal), Instant::min)
    }

    /// Whether to tell now that the token ends soon: once for each token.
    pub(super) fn notice_due(&mut self, now: Instant) -> bool {
        self.notice.take_if(|at| *at <= now).is_some()
    }

    /// Whether the token is no longer good.
    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Whether to look at what the reader takes, and to send something if nothing
    /// was sent since.
    pub(super) fn heartbeat_due(&mut self, now: Instant, last_sent: Instant) -> bool {
        if self.heartbeat > now {
            return false;
        }
        let next = last_sent + self.heartbeat_interval;
        let due = next <= now;
        self.heartbeat = if due { now + self.heartbeat_interval } else { next };
        due
    }

    /// Whether to ask the log for what the bus may have lost.
    pub(super) fn heal_due(&mut self, now: Instant) -> bool {
        let due = self.heal <= now;
        if due {
            self.heal = now + random::jitter(self.heal_interval);
        }
        due
    }

    /// Asks the log soon, and not all streams at once.
    pub(super) fn heal_soon(&mut self) {
        self.heal = self.heal.min(Instant::now() + random::jitter(HEAL_SOON));
    }

    /// Tries again after a while: longer each time in a row.
    pub(super) fn retry(&mut self, what: Retry, times: u32) {
        let delay = doubled(RETRY, times, MAX_RETRY);
        self.retries.insert((Instant::now() + random::jitter(delay), what));
    }

    /// What is to be tried again by now.
    pub(super) fn next_retry(&mut self, now: Instant) -> Option<Retry> {
        let due = self.retries.first().is_some_and(|(at, _)| *at <= now);
        if due { self.retries.pop_first().map(|(_, what)| what) } else { None }
    }
}
