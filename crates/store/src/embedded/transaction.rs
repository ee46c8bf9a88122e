//! What a transaction sees and does: reads through its own writes, then those of
//! its group, then the database. It decides nothing about durability.

use std::{collections::BTreeMap, ops::RangeBounds, sync::Arc};

use bytes::Bytes;

use super::{
    keyspace::{Direction, Keyspace, Row, borrow, is_empty, read_row},
    shared::Shared,
    writes::{Change, Writes},
};
use crate::StoreError;

/// Longest key, in bytes.
const MAX_KEY: usize = 65_535;

/// A transaction in progress on the committer thread.
pub struct Transaction<'a> {
    group: &'a Writes,
    shared: &'a Arc<Shared>,
    own: Writes,
    discarded: bool,
    failure: Option<StoreError>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(group: &'a Writes, shared: &'a Arc<Shared>) -> Self {
        Self { group, shared, own: Writes::default(), discarded: false, failure: None }
    }

    /// The value under this key, with all writes before this point.
    ///
    /// # Errors
    /// As [`Keyspace::get`]. A transaction with a failed read never commits, and
    /// its caller gets the read's error.
    pub fn get(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Bytes>, StoreError> {
        keyspace.assert_of(self.shared);
        let key = key.as_ref();
        if let Some(change) = self.own.get(keyspace, key).or_else(|| self.group.get(keyspace, key))
        {
            return Ok(change.clone());
        }
        match keyspace.tree().get(key) {
            Ok(value) => Ok(value.map(Bytes::from)),
            Err(error) => Err(self.failed(StoreError::from_read(&error))),
        }
    }

    /// At most `limit` rows with keys in the range, from its start or its end,
    /// with all writes before this point.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn range<K: AsRef<[u8]>>(
        &mut self,
        keyspace: &Keyspace,
        range: impl RangeBounds<K>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        keyspace.assert_of(self.shared);
        let bounds = borrow(&range);
        if is_empty(bounds) {
            return Ok(Vec::new());
        }
        let mut changes: BTreeMap<&Bytes, &Change> = self.group.range(keyspace, bounds).collect();
        changes.extend(self.own.range(keyspace, bounds));
        let stored = keyspace.tree().range::<&[u8], _>(bounds);
        let rows = match direction {
            Direction::Forward => merge(stored, changes.into_iter(), direction, limit),
            Direction::Backward => merge(stored.rev(), changes.into_iter().rev(), direction, limit),
        };
        rows.map_err(|error| self.failed(error))
    }

    /// At most `limit` rows whose keys begin with the prefix, from the first or
    /// the last, with all writes before this point.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn prefix(
        &mut self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let range = fjall::util::prefix_to_range(prefix.as_ref());
        self.range(keyspace, range, direction, limit)
    }

    /// The row with the greatest key that begins with the prefix, with all
    /// writes before this point.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn last_under_prefix(
        &mut self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
    ) -> Result<Option<Row>, StoreError> {
        let mut rows = self.prefix(keyspace, prefix, Direction::Backward, 1)?;
        Ok(rows.pop())
    }

    /// Sets the value under this key.
    ///
    /// # Panics
    /// If the key is empty or longer than 65,535 bytes.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, value: impl Into<Bytes>) {
        self.set(keyspace, key.as_ref(), Some(value.into()));
    }

    /// Removes the row under this key, if there is one.
    ///
    /// # Panics
    /// If the key is empty or longer than 65,535 bytes.
    pub fn remove(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) {
        self.set(keyspace, key.as_ref(), None);
    }

    /// Forgets everything that this transaction wrote or will write. Its answer
    /// still waits for the group, because it may rest on the group's rows.
    pub fn discard(&mut self) {
        self.discarded = true;
    }

    fn set(&mut self, keyspace: &Keyspace, key: &[u8], change: Change) {
        keyspace.assert_of(self.shared);
        // The database asserts this too, but where it would end the committer.
        assert!((1..=MAX_KEY).contains(&key.len()), "a key of {} bytes", key.len());
        self.own.set(keyspace, Bytes::copy_from_slice(key), change);
    }

    fn failed(&mut self, error: StoreError) -> StoreError {
        self.failure.get_or_insert(error).clone()
    }

    /// What is to be committed, or why nothing is.
    pub(super) fn finish(self) -> Result<Writes, StoreError> {
        match self.failure {
            Some(error) => Err(error),
            None if self.discarded => Ok(Writes::default()),
            None => Ok(self.own),
        }
    }
}

/// Walks stored rows and changes side by side, both in `direction`; a change
/// stands for the stored row of the same key.
fn merge<'a>(
    stored: impl Iterator<Item = fjall::Guard>,
    changes: impl Iterator<Item = (&'a Bytes, &'a Change)>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut stored = stored.map(read_row).peekable();
    let mut changes = changes.peekable();
    let mut rows = Vec::new();
    while rows.len() < limit {
        let order = match (stored.peek(), changes.peek()) {
            (None, None) => break,
            (Some(Err(_)), _) | (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(Ok((key, _))), Some((newer, _))) => match direction {
                Direction::Forward => key.cmp(newer),
                Direction::Backward => (*newer).cmp(key),
            },
        };
        if order.is_le() {
            let row = stored.next().transpose()?;
            if order.is_lt() {
                rows.extend(row);
                continue;
            }
        }
        if let Some((key, Some(value))) = changes.next() {
            rows.push((key.clone(), value.clone()));
        }
    }
    Ok(rows)
}
