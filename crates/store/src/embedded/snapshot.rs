//! A consistent view over all keyspaces. Every read of committed rows goes
//! through one, so that nobody ever sees half of a transaction.

use std::{ops::RangeBounds, sync::Arc};

use bytes::Bytes;
use fjall::Readable;

use super::{
    keyspace::{Direction, Keyspace, Row, borrow, is_empty, take_rows},
    shared::Shared,
};
use crate::StoreError;

/// Everything that was committed when it was opened, and nothing newer.
///
/// The methods are those of [`Keyspace`], which opens a snapshot for each read;
/// use one snapshot where several reads must agree.
pub struct Snapshot {
    view: fjall::Snapshot,
    shared: Arc<Shared>,
}

impl Snapshot {
    pub(super) fn open(shared: Arc<Shared>) -> Self {
        Self { view: shared.database.snapshot(), shared }
    }

    /// The value under this key.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Unavailable`] or [`StoreError::Corrupt`].
    pub fn get(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Bytes>, StoreError> {
        self.check(keyspace)?;
        let Some(tree) = keyspace.stored() else { return Ok(None) };
        let found = self.view.get(tree, key);
        found.map(|value| value.map(Bytes::from)).map_err(|error| StoreError::from_read(&error))
    }

    /// At most `limit` rows with keys in the range, from its start or its end.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn range<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        range: impl RangeBounds<K>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.check(keyspace)?;
        let bounds = borrow(&range);
        if is_empty(bounds) {
            return Ok(Vec::new());
        }
        let Some(tree) = keyspace.stored() else { return Ok(Vec::new()) };
        let rows = self.view.range::<&[u8], _>(tree, bounds);
        take_rows(rows, direction, limit)
    }

    /// At most `limit` rows whose keys begin with the prefix, from the first or the last.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn prefix(
        &self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.check(keyspace)?;
        let Some(tree) = keyspace.stored() else { return Ok(Vec::new()) };
        take_rows(self.view.prefix(tree, prefix), direction, limit)
    }

    /// The row with the greatest key that begins with the prefix.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn last_under_prefix(
        &self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
    ) -> Result<Option<Row>, StoreError> {
        let mut rows = self.prefix(keyspace, prefix, Direction::Backward, 1)?;
        Ok(rows.pop())
    }

    fn check(&self, keyspace: &Keyspace) -> Result<(), StoreError> {
        keyspace.assert_of(&self.shared);
        self.shared.health()
    }
}
