//! How long things took: HDR histograms, filled by many tasks, read once.
//!
//! Values are microseconds with three significant digits. Nothing is averaged
//! over time, and nothing is forgotten.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer than anything that is measured, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;
/// Tasks that record at the same time should seldom meet.
const SHARDS: usize = 16;

/// Takes durations; clones share what they take.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    shards: Arc<[Mutex<Histogram<u64>>]>,
    mine: usize,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(empty())).collect();
        Self { shards, mine: 0 }
    }

    /// The recorder for one of many tasks.
    pub(super) fn for_task(&self, number: usize) -> Self {
        Self { shards: Arc::clone(&self.shards), mine: number % SHARDS }
    }

    /// Notes how long something took.
    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        let mut shard = self.shards[self.mine].lock().unwrap_or_else(PoisonError::into_inner);
        shard.saturating_record(micros.clamp(1, LONGEST));
    }

    /// All that was noted so far, of all tasks.
    pub(super) fn summary(&self) -> Summary {
        let mut all = empty();
        for shard in self.shards.iter() {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Cannot fail: all have the same bounds.
            let _same_bounds = all.add(&*shard);
        }
        Summary::of(&all)
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are constants")
}

/// What a distribution looks like. Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) mean: f64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Summary {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: u64, due: u64) -> bool {
        found.abs_diff(due) <= due / 500
    }

    #[test]
    fn what_tasks_recorded_is_merged_exactly() {
        let recorder = Recorder::new();
        for number in 0..1000_u64 {
            let task = recorder.for_task(usize::try_from(number).expect("small"));
            task.record(Duration::from_micros(number + 1));
        }
        let summary = recorder.summary();
        assert_eq!((summary.count, summary.max), (1000, 1000));
        assert!(near(summary.p50, 500) && near(summary.p99, 990) && near(summary.p999, 999));
        assert!((summary.mean - 500.5).abs() < 2.0, "{summary:?}");
    }

    #[test]
    fn what_is_off_the_scale_is_kept_at_its_end() {
        let recorder = Recorder::new();
        recorder.record(Duration::ZERO);
        recorder.record(Duration::from_hours(2));
        assert_eq!(recorder.summary().count, 2);
        assert!(near(recorder.summary().max, LONGEST));
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(Recorder::new().summary(), Summary::default());
    }
}
