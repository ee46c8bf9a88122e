//! What the embedded adapter does inside a transaction: rows are written unless
//! the stored one is as new, cursors only grow, blanking may repeat.

use std::ops::Bound;

use bytes::Bytes;
use confab_log::row::{MessageRow, ReactionsRow};
use confab_log::{
    Content, Effects, Event, EventBody, Index, Row, RowKey, UserId, inbox::Change, mutant,
};
use confab_store::{
    StoreError,
    embedded::{Direction, Keyspace, Transaction},
};

use super::{Cursors, LogKey, Spaces, StoreResult, StoredCursors, codec};

/// One event's effects on this service's rows, ready for the committer.
pub(super) struct Apply {
    messages: Vec<(Vec<u8>, MessageRow)>,
    reactions: Vec<(Vec<u8>, ReactionsRow)>,
    blanked: Vec<Vec<u8>>,
    joiners: Vec<(Vec<u8>, Cursors)>,
    threads: Vec<Vec<u8>>,
    mentions: Vec<Vec<u8>>,
}

impl Apply {
    pub(super) fn new(key: &LogKey, event: &Event, effects: &Effects) -> Self {
        let mut apply = Self {
            messages: Vec::new(),
            reactions: Vec::new(),
            blanked: effects.blanked.iter().map(|seq| codec::row(key, *seq)).collect(),
            joiners: Vec::new(),
            threads: Vec::new(),
            mentions: Vec::new(),
        };
        for entry in &effects.index {
            match entry {
                Index::Thread { root, message } => {
                    apply.threads.push(codec::thread(key, *root, *message));
                }
                Index::Mention { user, message } => {
                    apply.mentions.push(codec::mention(key, user, *message));
                }
            }
        }
        for (name, row) in &effects.rows {
            match (name, row) {
                (RowKey::Message(seq), Row::Message(row)) => {
                    apply.messages.push((codec::row(key, *seq), row.clone()));
                }
                (RowKey::Reactions(seq, user), Row::Reactions(row)) => {
                    apply.reactions.push((codec::reactions(key, *seq, Some(user)), row.clone()));
                }
                _ => {} // the rows of other services
            }
        }
        // A joiner has read and received what was there before the join.
        let start =
            Cursors { read_seq: event.seq, read_ordinal: event.ordinal, delivered_seq: event.seq };
        for effect in &effects.inbox {
            if matches!(effect.change, Change::Joined(_)) {
                apply.joiners.push((codec::user(key, &effect.user), start));
            }
        }
        apply
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.reactions.is_empty()
            && self.blanked.is_empty()
            && self.joiners.is_empty()
            && self.threads.is_empty()
            && self.mentions.is_empty()
    }

    pub(super) fn run(self, txn: &mut Transaction<'_>, spaces: &Spaces) -> StoreResult<()> {
        for (row, message) in self.messages {
            put_message(txn, spaces, &row, message)?;
        }
        for (row, reactions) in self.reactions {
            let stored = txn.get(&spaces.reactions, &row)?;
            let stored: Option<ReactionsRow> =
                stored.map(|bytes| codec::decode(&bytes)).transpose()?;
            if stored.is_none_or(|stored| stored.applied_seq < reactions.applied_seq) {
                txn.put(&spaces.reactions, &row, codec::encode(&reactions));
            }
        }
        for row in self.blanked {
            blank(txn, spaces, &row)?;
        }
        for (row, cursors) in self.joiners {
            raise(txn, spaces, &row, cursors)?;
        }
        for row in self.threads {
            txn.put(&spaces.threads, row, codec::encode(&()));
        }
        for row in self.mentions {
            txn.put(&spaces.mentions, row, codec::encode(&()));
        }
        Ok(())
    }
}

/// The message lives in its event's row; the rest of the row never changes.
fn put_message(
    txn: &mut Transaction<'_>,
    spaces: &Spaces,
    row: &[u8],
    message: MessageRow,
) -> StoreResult<()> {
    let Some(bytes) = txn.get(&spaces.log, row)? else {
        return Err(StoreError::corrupt("an effect on a message that is not there"));
    };
    let mut event: Event = codec::decode(&bytes)?;
    if let EventBody::MessageCreated(stored) = &mut event.body
        && (stored.applied_seq < message.applied_seq || mutant::is("effect-not-guarded"))
    {
        *stored = message;
        txn.put(&spaces.log, row, codec::encode(&event));
    }
    Ok(())
}

fn blank(txn: &mut Transaction<'_>, spaces: &Spaces, row: &[u8]) -> StoreResult<()> {
    let Some(bytes) = txn.get(&spaces.log, row)? else { return Ok(()) };
    let mut event: Event = codec::decode(&bytes)?;
    if let EventBody::MessageEdited { content, .. } = &mut event.body
        && content.take().is_some_and(|content: Content| content != Content::default())
    {
        txn.put(&spaces.log, row, codec::encode(&event));
    }
    Ok(())
}

/// Raises cursors and says where they were and are.
pub(super) fn raise(
    txn: &mut Transaction<'_>,
    spaces: &Spaces,
    row: &[u8],
    to: Cursors,
) -> StoreResult<(Cursors, Cursors)> {
    let stored = txn.get(&spaces.cursors, row)?;
    let before = stored.map_or(Ok(Cursors::default()), |bytes| cursors_of(&bytes))?;
    let after = before.raised_by(to);
    if after != before {
        let stored = StoredCursors {
            read_seq: after.read_seq,
            read_ordinal: after.read_ordinal,
            delivered_seq: after.delivered_seq,
        };
        txn.put(&spaces.cursors, row, codec::encode(&stored));
    }
    Ok((before, after))
}

pub(super) fn cursors_of(bytes: &[u8]) -> StoreResult<Cursors> {
    let stored: StoredCursors = codec::decode(bytes)?;
    Ok(Cursors {
        read_seq: stored.read_seq,
        read_ordinal: stored.read_ordinal,
        delivered_seq: stored.delivered_seq,
    })
}

/// Rows under a prefix whose user is above `after`.
pub(super) fn after(
    space: &Keyspace,
    prefix: &[u8],
    after: Option<&UserId>,
    limit: usize,
) -> StoreResult<Vec<(Bytes, Bytes)>> {
    let mut from = prefix.to_vec();
    from.extend_from_slice(after.map_or("", UserId::as_str).as_bytes());
    // User ids are printable ASCII: 0xff is above each of them.
    let mut to = prefix.to_vec();
    to.push(0xff);
    space.range((Bound::Excluded(from), Bound::Excluded(to)), Direction::Forward, limit)
}

pub(super) fn mark_of(row: &[u8]) -> StoreResult<(u64, LogKey)> {
    let corrupt = || StoreError::corrupt("key: not a mark");
    let hour = row.get(..8).and_then(|hour| hour.try_into().ok()).ok_or_else(corrupt)?;
    let (key, _) = row.get(8..).and_then(codec::parse_log).ok_or_else(corrupt)?;
    Ok((u64::from_be_bytes(hour), key))
}
