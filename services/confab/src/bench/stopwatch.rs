//! The clock of a run: when it began, and which part of it is measured.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

const NOT_YET: u64 = u64::MAX;

/// Shared by all tasks of a run.
#[derive(Debug)]
pub(super) struct Stopwatch {
    begun: Instant,
    from: AtomicU64,
    to: AtomicU64,
}

impl Stopwatch {
    /// The run begins now; nothing is measured yet.
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), from: AtomicU64::new(NOT_YET), to: AtomicU64::new(NOT_YET) }
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Microseconds since the run began.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.begun).as_micros()).unwrap_or(NOT_YET)
    }

    /// What happens from now on is measured.
    pub(super) fn measure(&self) {
        self.from.store(self.micros(Instant::now()), Ordering::Relaxed);
    }

    /// What happens from now on is not measured any more.
    pub(super) fn finish(&self) {
        self.to.store(self.micros(Instant::now()), Ordering::Relaxed);
    }

    /// Whether something that happened then is measured.
    pub(super) fn is_measured(&self, micros: u64) -> bool {
        micros >= self.from.load(Ordering::Relaxed) && micros < self.to.load(Ordering::Relaxed)
    }

    /// How long was measured.
    pub(super) fn elapsed(&self) -> Duration {
        let (from, to) = (self.from.load(Ordering::Relaxed), self.to.load(Ordering::Relaxed));
        Duration::from_micros(to.saturating_sub(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_window_is_measured() {
        let watch = Stopwatch::start();
        let step = Duration::from_millis(1);
        assert!(!watch.is_measured(0));
        tokio::time::advance(step).await;
        watch.measure();
        tokio::time::advance(step * 3).await;
        watch.finish();
        let measured: Vec<u64> = (0..6).filter(|ms| watch.is_measured(ms * 1000)).collect();
        assert_eq!(measured, [1, 2, 3]);
        assert_eq!(watch.elapsed(), step * 3);
    }
}
