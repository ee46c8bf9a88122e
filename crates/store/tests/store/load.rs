//! A load whose every acknowledged write can be checked afterwards.
//!
//! 16 writers each append rows 1, 2, 3 … of their own; each append also counts
//! all rows in a second keyspace, in the same transaction. So afterwards: no
//! acknowledged row is missing, no writer has a hole, and the count is the number
//! of rows (no transaction is there by half).

use std::{collections::BTreeMap, path::Path};

use confab_store::{
    StoreError,
    embedded::{Direction, Engine, Keyspace, Options},
};

pub(crate) const WRITERS: u32 = 16;

/// How many rows each writer was promised.
pub(crate) type Acknowledged = BTreeMap<u32, u64>;

#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) engine: Engine,
    rows: Keyspace,
    counts: Keyspace,
}

impl Load {
    pub(crate) fn open(path: &Path) -> Self {
        let engine = Engine::open(path, Options::default()).expect("the folder opens");
        let rows = engine.keyspace("rows").expect("a keyspace");
        let counts = engine.keyspace("counts").expect("a keyspace");
        Self { engine, rows, counts }
    }

    /// Appends this writer's next row and returns its number.
    pub(crate) async fn append(&self, writer: u32, bytes: usize) -> Result<u64, StoreError> {
        let Self { rows, counts, .. } = self.clone();
        let appended = self.engine.transact(move |transaction| {
            let last = transaction.last_under_prefix(&rows, writer.to_be_bytes())?;
            let row = last.map_or(0, |(key, _)| number(&key[4..])) + 1;
            let count = transaction.get(&counts, "count")?;
            let count = count.map_or(0, |count| number(&count)) + 1;
            transaction.put(&rows, key(writer, row), vec![b'x'; bytes]);
            transaction.put(&counts, "count", count.to_be_bytes().to_vec());
            Ok(row)
        });
        appended.await?
    }

    pub(crate) fn read(&self) -> Result<(), StoreError> {
        self.counts.get("count").map(drop)
    }

    /// What is wrong with what is stored, given what was acknowledged.
    pub(crate) fn check(&self, acknowledged: &Acknowledged) -> Result<(), String> {
        let mut total = 0;
        for writer in 0..WRITERS {
            let prefix = writer.to_be_bytes();
            let rows = self
                .rows
                .prefix(prefix, Direction::Forward, usize::MAX)
                .map_err(|error| error.to_string())?;
            for (expected, (key, _)) in (1..).zip(&rows) {
                let found = number(&key[4..]);
                if found != expected {
                    return Err(format!("writer {writer}: row {found} follows {expected} - 1"));
                }
            }
            let stored = rows.len() as u64;
            let promised = acknowledged.get(&writer).copied().unwrap_or(0);
            if stored < promised {
                return Err(format!(
                    "writer {writer}: {promised} rows acknowledged, {stored} stored"
                ));
            }
            total += stored;
        }
        let count = self.counts.get("count").map_err(|error| error.to_string())?;
        let count = count.map_or(0, |count| number(&count));
        if count != total {
            return Err(format!("{total} rows are stored and {count} counted"));
        }
        Ok(())
    }
}

fn key(writer: u32, row: u64) -> Vec<u8> {
    [&writer.to_be_bytes()[..], &row.to_be_bytes()[..]].concat()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("8 bytes"))
}
