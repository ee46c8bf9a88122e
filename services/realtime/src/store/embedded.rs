//! The ports on the embedded engine, each with a keyspace of its own. In every
//! key names are separated by a zero byte, which none of them contains. Values are
//! as on every engine.

mod last_seen;
mod revocations;
mod sessions;

pub use last_seen::EmbeddedLastSeen;
pub use revocations::EmbeddedRevocations;
pub use sessions::{EmbeddedSessions, KEYSPACE};

use confab_store::{
    StoreError,
    embedded::{Direction, Keyspace, Row},
};

use super::value::{decode, encode};

/// Rows looked at by one transaction of a sweep: the committer must not wait.
const SWEEP_ROWS: usize = 1000;

fn key(names: &[&str]) -> Vec<u8> {
    names.join("\0").into_bytes()
}

/// The names of a key, if it has so many.
fn names<const N: usize>(key: &[u8]) -> Result<[&str; N], StoreError> {
    let text = std::str::from_utf8(key).ok();
    let names = text.and_then(|text| text.split('\0').collect::<Vec<_>>().try_into().ok());
    names.ok_or_else(|| StoreError::corrupt("a key of the realtime service"))
}

/// The next rows of a sweep over a whole keyspace, after `from`, which is moved.
fn next_rows(space: &Keyspace, from: &mut Vec<u8>) -> Result<Vec<Row>, StoreError> {
    let rows = space.range(from.clone().., Direction::Forward, SWEEP_ROWS)?;
    if let Some((last, _)) = rows.last() {
        *from = [last.as_ref(), &[0]].concat();
    }
    Ok(rows)
}
