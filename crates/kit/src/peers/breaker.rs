//! When a peer is left alone, and for how long. Pure: it reads no clock and
//! waits for nothing.

use std::time::Duration;

use confab_log::mutant;

use crate::backoff::doubled;

/// How long a peer that has failed so often is left alone at first.
const FIRST_REST: Duration = Duration::from_secs(1);
/// Before a peer that has just failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Counts failures in a row. Closed below the limit, open from there on, half open
/// while it is found out whether the peer is back.
#[derive(Debug)]
pub(super) struct Breaker {
    limit: u32,
    longest: Duration,
    failures: u32,
    /// How often it has opened since the last success.
    openings: u32,
}

impl Breaker {
    /// Opens at so many failures in a row, for `longest` at most.
    pub(super) fn new(limit: u32, longest: Duration) -> Self {
        Self { limit, longest, failures: 0, openings: 0 }
    }

    /// One more failure; whether it is open now.
    pub(super) fn fail(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.is_open() {
            self.openings = self.openings.saturating_add(1);
        }
        self.is_open()
    }

    /// The peer has answered a call: all is forgotten.
    pub(super) fn succeed(&mut self) {
        (self.failures, self.openings) = (0, 0);
    }

    /// The peer is there again: the next failure opens at once, for longer.
    pub(super) fn half_open(&mut self) {
        self.failures = self.failures.min(self.limit.saturating_sub(1));
    }

    /// Whether the peer is to be left alone.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= self.limit && !mutant::is("breaker-never-opens")
    }

    /// How long to wait before the next try: twice as long each time.
    pub(super) fn pause(&self) -> Duration {
        if self.is_open() {
            if mutant::is("breaker-never-closes") {
                return Duration::from_hours(1);
            }
            return doubled(FIRST_REST, self.openings.saturating_sub(1), self.longest);
        }
        match self.failures {
            0 => Duration::ZERO,
            failures => doubled(FIRST_PAUSE, failures - 1, FIRST_REST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(breaker: &Breaker) -> u64 {
        breaker.pause().as_secs()
    }

    #[test]
    fn it_opens_at_the_limit_and_for_longer_each_time() {
        let mut breaker = Breaker::new(5, Duration::from_mins(1));
        assert_eq!(breaker.pause(), Duration::ZERO);
        for failures in 1..5 {
            assert!(!breaker.fail(), "{failures}");
            assert!(breaker.pause() < FIRST_REST);
        }
        let mut rests = Vec::new();
        for _ in 0..8 {
            assert!(breaker.fail());
            rests.push(seconds(&breaker));
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn half_open_one_failure_opens_it_and_one_success_closes_it() {
        let mut breaker = Breaker::new(3, Duration::from_mins(1));
        while !breaker.fail() {}
        breaker.half_open();
        assert!(!breaker.is_open());
        assert!(breaker.fail());
        assert_eq!(seconds(&breaker), 2);
        breaker.half_open();
        breaker.succeed();
        assert!(!breaker.fail() && !breaker.fail());
        assert!(breaker.fail());
        assert_eq!(seconds(&breaker), 1);
    }

    #[test]
    fn what_lies_apart_does_not_add_up() {
        let mut breaker = Breaker::new(2, Duration::from_mins(1));
        for _ in 0..100 {
            assert!(!breaker.fail());
            breaker.succeed();
        }
    }
}
