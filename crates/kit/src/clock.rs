//! The only place that reads the wall clock. Order never depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

use confab_log::mutant;
use prost_types::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// The years 1 to 9999: what a Protobuf timestamp can say, in seconds.
const VALID_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Microseconds since 1970-01-01T00:00:00Z.
pub fn now_micros() -> i64 {
    // Breaks no promise: order does not depend on it.
    let wrong_by = if mutant::is("clock-a-day-ahead") {
        86_400
    } else if mutant::is("clock-90-seconds-ahead") {
        90
    } else {
        0
    };
    since_epoch() + wrong_by * MICROS_PER_SECOND
}

/// Seconds since 1970-01-01T00:00:00Z, as tokens count them.
pub fn now_seconds() -> i64 {
    since_epoch() / MICROS_PER_SECOND
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn since_epoch() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The Protobuf form of microseconds since 1970-01-01T00:00:00Z.
pub fn timestamp(micros: i64) -> Timestamp {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let nanos = i32::try_from(micros.rem_euclid(MICROS_PER_SECOND) * 1000).unwrap_or_default();
    Timestamp { seconds, nanos }
}

/// Seconds since 1970-01-01T00:00:00Z as people read them: `2026-11-27T09:32:36Z`.
pub fn rfc3339(seconds: i64) -> String {
    Timestamp { seconds, nanos: 0 }.to_string()
}

/// Microseconds of a time from outside; `None` when it is not a valid one.
/// Finer parts are cut off.
pub fn micros(time: &Timestamp) -> Option<i64> {
    if !(0..1_000_000_000).contains(&time.nanos) || !VALID_SECONDS.contains(&time.seconds) {
        return None;
    }
    time.seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(i64::from(time.nanos) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_both_ways() {
        for time in [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(micros(&timestamp(time)), Some(time));
        }
    }

    #[test]
    fn bad_times_are_refused() {
        assert_eq!(micros(&Timestamp { seconds: 1, nanos: -1 }), None);
        assert_eq!(micros(&Timestamp { seconds: 1, nanos: 1_000_000_000 }), None);
        for seconds in [i64::MIN, i64::MAX, -62_135_596_801, 253_402_300_800] {
            assert_eq!(micros(&Timestamp { seconds, nanos: 0 }), None);
        }
    }

    #[test]
    fn the_clock_runs() {
        assert!(now_micros() > 1_700_000_000_000_000);
    }
}
