//! The arithmetic of budgets: the Generic Cell Rate Algorithm in its form of
//! virtual scheduling (ITU-T Recommendation I.371, Annex A; the same as a leaky
//! bucket that is a meter). Pure: no clock, no map, one number of state.
//!
//! The state is the *theoretical arrival time*: when the next call would come
//! if calls came evenly. A call may be early by the tolerance. So of a limit of
//! n calls in a period no window of the length w, wherever it begins, has
//! more than `n + w * n / period`.

use std::time::Duration;

/// How many calls may come: `limit` at once after a quiet period, and one each
/// `period / limit` from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Between two calls that come evenly, in nanoseconds.
    interval: u64,
    /// How early a call may be, in nanoseconds.
    tolerance: u64,
}

impl Quota {
    /// So many in the period; `None` for 0, which is no limit.
    pub fn new(limit: u32, period: Duration) -> Option<Self> {
        if limit == 0 {
            return None;
        }
        // Rounded up: evenly spaced calls never exceed the limit.
        let interval = nanos(period).div_ceil(u64::from(limit));
        let tolerance = interval.saturating_mul(u64::from(limit) - 1);
        Some(Self { interval, tolerance })
    }

    /// Between two calls that come evenly.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How many calls may come at once, after the first.
    pub fn burst(self) -> u64 {
        self.tolerance / self.interval
    }

    /// The state after a call at `now`; both are nanoseconds since some fixed
    /// moment. An error is how long the call is too early.
    pub fn admit(self, state: u64, now: u64) -> Result<u64, Duration> {
        let due = state.max(now);
        let earliest = due.saturating_sub(self.tolerance);
        if now < earliest {
            return Err(Duration::from_nanos(earliest - now));
        }
        Ok(due.saturating_add(self.interval))
    }
}

/// One call under two limits: charged to both, or to neither. An error is
/// when both would let it through.
pub fn admit_both(
    quotas: [Option<Quota>; 2],
    states: [u64; 2],
    now: u64,
) -> Result<[u64; 2], Duration> {
    let admit = |index: usize| match quotas[index] {
        Some(quota) => quota.admit(states[index], now),
        None => Ok(states[index]),
    };
    match (admit(0), admit(1)) {
        (Ok(first), Ok(second)) => Ok([first, second]),
        (Err(first), Err(second)) => Err(first.max(second)),
        (Err(delay), _) | (_, Err(delay)) => Err(delay),
    }
}

/// A duration as the arithmetic counts it: more than 500 years are 500 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
