//! An event's effects on message rows, reactions, joiners' cursors and the index.
//! Applied twice or late they change nothing.

use std::collections::BTreeMap;

use confab_log::{
    Effects, Event, EventBody, Index, Row, RowKey, Seq, UserId,
    inbox::Change,
    mutant,
    row::{MessageRow, ReactionsRow},
};
use confab_store::{
    StoreError,
    cql::{Batch, number},
};
use futures_util::future::try_join_all;

use super::{CqlLogStore, Cursors, LogKey, StoreResult, names, value};

/// Rows changed by one conditional write, at most: those of a retention's event
/// are many.
const ROWS_TOGETHER: usize = 64;

/// What becomes of a row of the log.
#[derive(Clone, Copy)]
enum RowChange<'a> {
    /// The message is this now.
    Message(&'a MessageRow),
    /// The content that the edit carried is erased.
    Blanked,
}

/// A row of the log as it is to be, and the seq of the effect.
struct Changed {
    seq: Seq,
    event: Event,
    applied_seq: Seq,
}

impl CqlLogStore {
    pub(super) async fn apply_effects(
        &self,
        key: &LogKey,
        event: &Event,
        effects: &Effects,
    ) -> StoreResult<()> {
        let reactions = effects.rows.iter().filter_map(|(name, row)| match (name, row) {
            (RowKey::Reactions(message, user), Row::Reactions(row)) => {
                Some(self.put_reactions(key, *message, user, row))
            }
            _ => None,
        });
        // A joiner has read and received what was there before the join.
        let start =
            Cursors { read_seq: event.seq, read_ordinal: event.ordinal, delivered_seq: event.seq };
        let joiners = effects.inbox.iter().filter(|e| matches!(e.change, Change::Joined(_)));
        let joiners = joiners.map(|effect| self.write_cursors(&self.cql, key, &effect.user, start));
        let index = effects.index.iter().map(|entry| self.add_index(key, entry));
        tokio::try_join!(
            self.change_rows(key, event, effects),
            try_join_all(reactions),
            try_join_all(joiners),
            try_join_all(index),
        )?;
        Ok(())
    }

    async fn change_rows(&self, key: &LogKey, event: &Event, effects: &Effects) -> StoreResult<()> {
        let mut changes = BTreeMap::new();
        for seq in &effects.blanked {
            changes.insert(*seq, RowChange::Blanked);
        }
        for (name, row) in &effects.rows {
            if let (RowKey::Message(seq), Row::Message(row)) = (name, row) {
                changes.insert(*seq, RowChange::Message(row));
            }
        }
        let read =
            changes.iter().map(|(seq, change)| self.changed_row(key, *seq, *change, event.seq));
        let due: Vec<_> = try_join_all(read).await?.into_iter().flatten().collect();
        // Writes to one partition would be in each other's way.
        let partition = |row: &Changed| self.partition_of(row.seq);
        for rows in due.chunk_by(|one, other| partition(one) == partition(other)) {
            for rows in rows.chunks(ROWS_TOGETHER) {
                self.write_changed(key, rows).await?;
            }
        }
        Ok(())
    }

    /// The row with the change; `None` where it is as new.
    async fn changed_row(
        &self,
        key: &LogKey,
        seq: Seq,
        change: RowChange<'_>,
        effect: Seq,
    ) -> StoreResult<Option<Changed>> {
        let stored = self.stored_row(key, seq).await?;
        match (stored, change) {
            (None, RowChange::Blanked) => Ok(None),
            (None, RowChange::Message(_)) => {
                Err(StoreError::corrupt("an effect on a message that is not there"))
            }
            (Some((mut event, applied)), RowChange::Message(message)) => {
                let newer = applied < message.applied_seq || mutant::is("effect-not-guarded");
                let EventBody::MessageCreated(stored) = &mut event.body else { return Ok(None) };
                stored.clone_from(message);
                Ok(newer.then_some(Changed { seq, event, applied_seq: message.applied_seq }))
            }
            (Some((mut event, applied)), RowChange::Blanked) => {
                let EventBody::MessageEdited { content, .. } = &mut event.body else {
                    return Ok(None);
                };
                // Blank once, blank for ever: whichever effect it was.
                let holds_content = content.take().is_some();
                Ok(holds_content.then(|| Changed {
                    seq,
                    event,
                    applied_seq: effect.max(applied + 1),
                }))
            }
        }
    }

    /// All of them at once; if one was changed meanwhile, each for itself.
    async fn write_changed(&self, key: &LogKey, rows: &[Changed]) -> StoreResult<()> {
        let mut batch = Batch::default();
        for row in rows {
            batch.condition(&self.statements.change_row, self.change_values(key, row));
        }
        if self.cql.write_if(batch).await? || rows.len() == 1 {
            return Ok(());
        }
        for row in rows {
            // Not applied: a newer effect stands there.
            let _newer = self.statements.change_row.run(self.change_values(key, row)).await?;
        }
        Ok(())
    }

    fn change_values(
        &self,
        key: &LogKey,
        row: &Changed,
    ) -> (bytes::Bytes, i64, String, Vec<u8>, i64, i64, i64) {
        let (tenant, conversation) = names(key);
        let (partition, applied) = (number(self.partition_of(row.seq)), number(row.applied_seq));
        // The mutant's condition always holds.
        let below = if mutant::is("effect-not-guarded") { i64::MAX } else { applied };
        let event = value::encode(&row.event);
        (event, applied, tenant, conversation, partition, number(row.seq), below)
    }

    async fn put_reactions(
        &self,
        key: &LogKey,
        message: Seq,
        user: &UserId,
        row: &ReactionsRow,
    ) -> StoreResult<()> {
        let (tenant, conversation) = names(key);
        let (bytes, place) = (value::encode(row), number(row.applied_seq));
        let values = (tenant, conversation, number(message), user.as_str(), bytes, place);
        self.statements.put_reactions.run(values).await
    }

    async fn add_index(&self, key: &LogKey, entry: &Index) -> StoreResult<()> {
        let (tenant, conversation) = names(key);
        match entry {
            Index::Thread { root, message } => {
                let values = (tenant, conversation, number(*root), number(*message));
                self.statements.add_thread.run(values).await
            }
            Index::Mention { user, message } => {
                let values = (tenant, conversation, user.as_str(), number(*message));
                self.statements.add_mention.run(values).await
            }
        }
    }
}
