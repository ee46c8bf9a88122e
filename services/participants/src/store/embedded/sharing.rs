//! Who shares a conversation with whom: the inbox entries of two users, both in
//! the order of the conversations' ids, walked side by side. Where one of them has
//! nothing for a while, the other is not read but skipped.

use confab_log::{TenantId, UserId, inbox::Entry};
use confab_store::{
    StoreError,
    embedded::{Direction, Keyspace, Snapshot},
};

use super::format;
use crate::domain::Sharing;

/// Rows read at once: most users have no more.
const CHUNK: usize = 32;
/// Rows of others that one call reads before it leaves the rest to the next one.
const MAX_ROWS: usize = 20_000;

/// A conversation's id in a key.
type Id = [u8; 16];

pub(super) fn sharing(
    snapshot: &Snapshot,
    entries: &Keyspace,
    tenant: &TenantId,
    user: &UserId,
    others: &[UserId],
) -> Result<Sharing, StoreError> {
    let own = active(snapshot, entries, &format::inbox_key(tenant, user))?;
    let mut sharing = Sharing::default();
    let mut rows = 0;
    for other in others {
        let inbox = format::inbox_key(tenant, other);
        if other == user || meet(snapshot, entries, &own, &inbox, &mut rows)? {
            sharing.users.push(other.clone());
        }
        sharing.checked += 1;
        if rows >= MAX_ROWS {
            break;
        }
    }
    Ok(sharing)
}

/// The conversations that a user is in, in order.
fn active(snapshot: &Snapshot, entries: &Keyspace, inbox: &[u8]) -> Result<Vec<Id>, StoreError> {
    let rows = snapshot.prefix(entries, inbox, Direction::Forward, usize::MAX)?;
    let mut ids = Vec::with_capacity(rows.len());
    for (key, value) in &rows {
        if format::decode::<Entry>(value)?.active {
            ids.push(id_of(inbox, key)?);
        }
    }
    Ok(ids)
}

/// Whether the owner of the inbox is in one of these.
fn meet(
    snapshot: &Snapshot,
    entries: &Keyspace,
    own: &[Id],
    inbox: &[u8],
    rows: &mut usize,
) -> Result<bool, StoreError> {
    let key = |id: &Id| [inbox, id].concat();
    let mut left = own;
    while let Some(first) = left.first() {
        let range = key(first)..=key(&[0xFF; 16]);
        let page = snapshot.range(entries, range, Direction::Forward, CHUNK)?;
        *rows += page.len() + 1;
        for (key, value) in &page {
            let id = id_of(inbox, key)?;
            left = &left[left.partition_point(|own| *own < id)..];
            match left.first() {
                None => return Ok(false),
                Some(own) if *own == id => {
                    if format::decode::<Entry>(value)?.active {
                        return Ok(true);
                    }
                    left = &left[1..];
                }
                Some(_) => {}
            }
        }
        if page.len() < CHUNK {
            return Ok(false);
        }
    }
    Ok(false)
}

fn id_of(inbox: &[u8], key: &[u8]) -> Result<Id, StoreError> {
    format::conversation_of(inbox, key).map(|id| id.to_bytes())
}
