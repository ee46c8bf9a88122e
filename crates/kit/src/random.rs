//! The only place that draws random numbers, from the operating system.

use std::time::Duration;

/// Fresh random bytes, fit for keys.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can go
/// on without it.
#[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// A fresh version 4 UUID.
pub fn uuid() -> String {
    uuid::Builder::from_random_bytes(bytes()).into_uuid().to_string()
}

/// Half to one and a half times the duration, so that many who wait do not
/// come back at once.
pub fn jitter(duration: Duration) -> Duration {
    let part = f64::from(u32::from_be_bytes(bytes())) / f64::from(u32::MAX);
    duration.mul_f64(0.5 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_inside_its_bounds() {
        for _ in 0..1000 {
            let drawn = jitter(Duration::from_secs(10));
            assert!((Duration::from_secs(5)..=Duration::from_secs(15)).contains(&drawn));
        }
    }

    #[test]
    fn uuids_differ() {
        let uuid = uuid();
        assert_eq!(uuid.len(), 36);
        assert_ne!(uuid, super::uuid());
    }
}
