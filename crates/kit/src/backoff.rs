//! How long to wait before something that failed is tried again: twice as long each
//! time, up to a bound. Whoever must not come with all others draws from it
//! ([`crate::random::jitter`]).

use std::time::Duration;

/// After so many failures in a row that were waited for: `first` after none.
pub fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_bound() {
        let second = Duration::from_secs(1);
        let waits = [0, 1, 2, 3, u32::MAX].map(|failures| doubled(second, failures, 6 * second));
        assert_eq!(waits.map(|wait| wait.as_secs()), [1, 2, 4, 6, 6]);
    }
}
