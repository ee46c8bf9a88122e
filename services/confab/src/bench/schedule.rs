//! When what is due. In an open loop each operation has a time of its own, set
//! before the run, and its latency counts from then: a server that stops for a
//! second is charged for every operation that should have begun in it
//! ("coordinated omission", Gil Tene, How NOT to Measure Latency, 2013).

use std::time::Duration;

use tokio::time::Instant;

/// The times of one worker among many that share a rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    begun: Instant,
    /// Between two operations of this worker; `None` in a closed loop.
    every: Option<Duration>,
    first: Duration,
}

impl Schedule {
    /// Worker `number` of `workers`, who together make `rate` operations a
    /// second, evenly spaced. Without a rate an operation is due as soon as the
    /// worker is free.
    pub(super) fn new(begun: Instant, rate: Option<f64>, number: usize, workers: usize) -> Self {
        let spacing = rate.filter(|rate| *rate > 0.0).map(|rate| 1.0 / rate);
        let times = |count: usize| {
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            spacing.map(|spacing| Duration::from_secs_f64(spacing * count))
        };
        Self { begun, every: times(workers.max(1)), first: times(number).unwrap_or_default() }
    }

    /// When operation `count` of this worker is due, from 0; `None` when it is
    /// due as soon as the worker is free.
    pub(super) fn due(&self, count: u32) -> Option<Instant> {
        let every = self.every?;
        Some(self.begun + self.first + every.saturating_mul(count))
    }

    /// Waits until it is due, and says when that was: in the past if the
    /// worker comes late.
    pub(super) async fn wait(&self, count: u32) -> Instant {
        let Some(due) = self.due(count) else { return Instant::now() };
        tokio::time::sleep_until(due).await;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_rate_evenly() {
        let begun = Instant::now();
        let mut dues: Vec<Duration> = (0..4)
            .map(|number| Schedule::new(begun, Some(100.0), number, 4))
            .flat_map(|worker| (0..25).filter_map(move |count| worker.due(count)))
            .map(|due| due - begun)
            .collect();
        dues.sort();
        assert_eq!(dues.len(), 100);
        for (count, due) in (0_u32..).zip(dues) {
            let ideal = Duration::from_millis(10) * count;
            assert!(due.abs_diff(ideal) < Duration::from_micros(1), "{count}: {due:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_is_charged_from_the_due_time() {
        let begun = Instant::now();
        let worker = Schedule::new(begun, Some(10.0), 0, 1);
        assert_eq!(worker.wait(1).await - begun, Duration::from_millis(100));
        // The server did not answer for a second.
        tokio::time::advance(Duration::from_secs(1)).await;
        let due = worker.wait(2).await;
        assert_eq!(due - begun, Duration::from_millis(200));
        assert_eq!(Instant::now() - due, Duration::from_millis(900));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_waits_for_nothing() {
        let worker = Schedule::new(Instant::now(), None, 3, 4);
        tokio::time::advance(Duration::from_secs(1)).await;
        let before = Instant::now();
        assert_eq!(worker.wait(7).await, before);
    }
}
