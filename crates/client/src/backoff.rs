//! Exponential backoff with jitter, as a value: it never sleeps itself.

use std::time::Duration;

use crate::runtime;

/// Delays that double from `base` to `max`, each with jitter.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, next: base }
    }

    /// The delay before the next try.
    pub(crate) fn advance(&mut self) -> Duration {
        let delay = self.next.min(self.max);
        self.next = delay.saturating_mul(2);
        runtime::jitter(delay)
    }

    /// Starts from the shortest delay again.
    pub(crate) fn reset(&mut self) {
        self.next = self.base;
    }
}
