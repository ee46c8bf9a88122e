//! Numbers of the domain as CQL has them: signed.

use crate::StoreError;

/// A `bigint`. Numbers above its greatest are as good as that.
pub fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number back.
///
/// # Errors
/// [`StoreError::Corrupt`] for a negative one.
pub fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::corrupt("a negative number"))
}

/// How many rows to ask for, at most.
pub fn limit(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
