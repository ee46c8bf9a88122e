//! Rows written but not yet committed: of one transaction, or of a group.
//! Later writes of a key replace earlier ones. It never touches the database.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::keyspace::{Bounds, Keyspace};

/// A value, or `None` for a removed row.
pub(super) type Change = Option<Bytes>;

#[derive(Default)]
pub(super) struct Writes {
    tables: BTreeMap<&'static str, Table>,
    bytes: usize,
}

struct Table {
    tree: fjall::Keyspace,
    rows: BTreeMap<Bytes, Change>,
}

impl Writes {
    /// Bytes of all keys and values ever set; an upper bound of what it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(super) fn set(&mut self, keyspace: &Keyspace, key: Bytes, change: Change) {
        self.bytes += key.len() + change.as_ref().map_or(0, Bytes::len);
        let table = self
            .tables
            .entry(keyspace.name())
            .or_insert_with(|| Table { tree: keyspace.tree().clone(), rows: BTreeMap::new() });
        table.rows.insert(key, change);
    }

    pub(super) fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Option<&Change> {
        self.tables.get(keyspace.name())?.rows.get(key)
    }

    /// The changed rows in a range, which must not be inverted.
    pub(super) fn range<'a>(
        &'a self,
        keyspace: &Keyspace,
        range: Bounds<'_>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Change)> + use<'a> {
        let table = self.tables.get(keyspace.name());
        table.map(|table| table.rows.range::<[u8], _>(range)).into_iter().flatten()
    }

    /// Takes over the writes of a transaction that came after these.
    pub(super) fn absorb(&mut self, later: Writes) {
        self.bytes += later.bytes;
        for (name, table) in later.tables {
            match self.tables.entry(name) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(table);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    // One by one: `append` would build the group's map anew
                    // for each of its transactions.
                    entry.get_mut().rows.extend(table.rows);
                }
            }
        }
    }

    /// The trees written to.
    pub(super) fn trees(&self) -> impl Iterator<Item = &fjall::Keyspace> {
        self.tables.values().map(|table| &table.tree)
    }

    /// Puts every change into a batch of the database.
    pub(super) fn fill(self, batch: &mut fjall::OwnedWriteBatch) {
        for Table { tree, rows } in self.tables.into_values() {
            for (key, change) in rows {
                match change {
                    Some(value) => batch.insert(&tree, key, value),
                    None => batch.remove(&tree, key),
                }
            }
        }
    }
}
