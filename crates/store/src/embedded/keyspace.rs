//! A named set of rows, ordered by key. Reads only: writes go through
//! [`Engine::transact`](super::Engine::transact).

use std::{
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use bytes::Bytes;

use super::{shared::Shared, snapshot::Snapshot};
use crate::StoreError;

/// A key and its value.
pub type Row = (Bytes, Bytes);

/// From which end of a range rows are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending by key, from the start of the range.
    Forward,
    /// Descending by key, from the end of the range.
    Backward,
}

/// A handle on a keyspace; clones are cheap.
///
/// Reads see every transaction that was answered before they began, and never a
/// part of one. They block the thread: about a microsecond from memory, about
/// 40 µs for a page of 50 rows, and a disk read where the block is not cached.
/// The bytes returned share the block they came from (4 KiB): copy what is kept.
#[derive(Clone)]
pub struct Keyspace {
    /// `None`: it is not there, and the engine only reads.
    tree: Option<fjall::Keyspace>,
    name: &'static str,
    shared: Arc<Shared>,
}

impl Keyspace {
    pub(super) fn open(name: &'static str, shared: Arc<Shared>) -> Result<Self, StoreError> {
        Ok(Self { tree: shared.tree(name)?, name, shared })
    }

    /// The value under this key.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the engine has stopped,
    /// [`StoreError::Unavailable`] when the disk cannot be read,
    /// [`StoreError::Corrupt`] when a checksum does not match.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        self.snapshot().get(self, key)
    }

    /// At most `limit` rows with keys in the range, from its start or its end.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn range<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.snapshot().range(self, range, direction, limit)
    }

    /// At most `limit` rows whose keys begin with the prefix, from the first or the last.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn prefix(
        &self,
        prefix: impl AsRef<[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.snapshot().prefix(self, prefix, direction, limit)
    }

    /// The row with the greatest key that begins with the prefix.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn last_under_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Option<Row>, StoreError> {
        self.snapshot().last_under_prefix(self, prefix)
    }

    /// The keyspace's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is stored; nothing where the keyspace is missing.
    pub(super) fn stored(&self) -> Option<&fjall::Keyspace> {
        self.tree.as_ref()
    }

    /// What a transaction reads and writes.
    ///
    /// # Panics
    /// Never: an engine that only reads runs no transactions, and any other one
    /// creates its keyspaces.
    pub(super) fn tree(&self) -> &fjall::Keyspace {
        self.tree.as_ref().expect("a keyspace of an engine that writes")
    }

    /// A keyspace of another folder would read, or write, the wrong database.
    pub(super) fn assert_of(&self, shared: &Arc<Shared>) {
        assert!(
            Arc::ptr_eq(&self.shared, shared),
            "the keyspace {} belongs to another engine",
            self.name
        );
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::open(self.shared.clone())
    }
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keyspace").field(&self.name).finish()
    }
}

pub(super) fn take_rows(
    rows: fjall::Iter,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    match direction {
        Direction::Forward => rows.take(limit).map(read_row).collect(),
        Direction::Backward => rows.rev().take(limit).map(read_row).collect(),
    }
}

pub(super) fn read_row(row: fjall::Guard) -> Result<Row, StoreError> {
    let (key, value) = row.into_inner().map_err(|error| StoreError::from_read(&error))?;
    Ok((key.into(), value.into()))
}

pub(super) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

pub(super) fn borrow<'a, K: AsRef<[u8]> + 'a>(range: &'a impl RangeBounds<K>) -> Bounds<'a> {
    let (from, to) = (range.start_bound(), range.end_bound());
    (from.map(AsRef::as_ref), to.map(AsRef::as_ref))
}

/// Whether no key can lie in the range; its start may also be above its end.
pub(super) fn is_empty(bounds: Bounds<'_>) -> bool {
    match bounds {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        _ => false,
    }
}
