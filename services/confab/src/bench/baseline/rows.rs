//! The rows that a server's log consists of, read from its data folder: the
//! very keys and values that the messages adapter wrote, marks included.

use std::{collections::HashSet, ops::Bound, path::Path};

use bytes::Bytes;
use confab_store::embedded::{Direction, Engine, Keyspace, Options};

use crate::Failure;

/// The adapter's keyspaces.
pub(super) const LOG: &str = "messages-log";
pub(super) const MARKS: &str = "messages-marks";
/// A row's key is its log's and the seq, eight bytes.
const SEQ: usize = 8;
/// Rows that are read at a time.
const PAGE: usize = 10_000;

/// A row of a log, with the mark that was written with the log's first one.
#[derive(Clone, Debug)]
pub(super) struct LogRow {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) mark: Option<(Bytes, Bytes)>,
}

/// All rows of a folder that nobody serves, in the order in which many senders
/// would have written them: every log's first row, every log's second one, …
pub(super) fn read(data: &Path) -> Result<Vec<LogRow>, Failure> {
    let engine = Engine::open(data, Options::default())?;
    let marks = all(&engine.keyspace(MARKS)?)?;
    let mut rows: Vec<LogRow> = all(&engine.keyspace(LOG)?)?
        .into_iter()
        .map(|(key, value)| LogRow { key, value, mark: None })
        .collect();
    rows.sort_by(|a, b| place(&a.key).cmp(&place(&b.key)));
    let mut begun = HashSet::new();
    for row in &mut rows {
        let (_, log) = place(&row.key);
        if begun.insert(log.to_vec()) {
            // A mark's key is the hour and the log's.
            row.mark = marks.iter().find(|(key, _)| key.get(SEQ..) == Some(log)).cloned();
        }
    }
    Ok(rows)
}

/// The seq and the log of a row.
fn place(key: &[u8]) -> (&[u8], &[u8]) {
    let (log, seq) = key.split_at(key.len().saturating_sub(SEQ));
    (seq, log)
}

/// The part of a row's key that all rows of its log share, and its seq.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], u64)> {
    let (seq, log) = place(key);
    Some((log, u64::from_be_bytes(seq.try_into().ok()?)))
}

fn all(keyspace: &Keyspace) -> Result<Vec<(Bytes, Bytes)>, Failure> {
    let mut rows: Vec<(Bytes, Bytes)> = Vec::new();
    loop {
        let after = rows.last().map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(key.clone()));
        let page = keyspace.range((after, Bound::Unbounded), Direction::Forward, PAGE)?;
        let last = page.len() < PAGE;
        // Copied: what is returned shares the blocks that it was read from.
        let copied = |bytes: Bytes| Bytes::copy_from_slice(&bytes);
        rows.extend(page.into_iter().map(|(key, value)| (copied(key), copied(value))));
        if last {
            return Ok(rows);
        }
    }
}
