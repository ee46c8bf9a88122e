//! Cursors and reactions, by user.

use confab_log::{Seq, UserId, row::ReactionsRow};
use confab_store::cql::{Batch, Cql, limit as rows_at_most, number, unsigned};

use super::{CqlLogStore, Cursors, LogKey, StoreResult, names, user, value};

/// Each cell is written on its own, so each may be missing.
type StoredCursors = (Option<i64>, Option<i64>, Option<i64>);
type UserCursors = (String, Option<i64>, Option<i64>, Option<i64>);

impl CqlLogStore {
    pub(super) async fn user_cursors(&self, key: &LogKey, user: &UserId) -> StoreResult<Cursors> {
        let (tenant, conversation) = names(key);
        let values = (tenant, conversation, user.as_str());
        let row: Option<StoredCursors> = self.statements.cursors.first(values).await?;
        row.map_or(Ok(Cursors::default()), cursors_of)
    }

    /// Raises them: the greater seq of two writes is the later timestamp.
    pub(super) async fn write_cursors(
        &self,
        on: &Cql,
        key: &LogKey,
        user: &UserId,
        to: Cursors,
    ) -> StoreResult<()> {
        let (tenant, conversation) = names(key);
        let user = user.to_string();
        let read = (number(to.read_seq), number(to.read_ordinal));
        let delivered = number(to.delivered_seq.max(to.read_seq));
        let mut batch = Batch::default();
        if read.0 > 0 {
            let names = (tenant.clone(), conversation.clone(), user.clone());
            let values = (read.0, read.0, read.1, names.0, names.1, names.2);
            batch.write(&self.statements.raise_read, values);
        }
        if delivered > 0 {
            let values = (delivered, delivered, tenant, conversation, user);
            batch.write(&self.statements.raise_delivered, values);
        }
        on.write_together(batch).await
    }

    pub(super) async fn cursors_after(
        &self,
        key: &LogKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Cursors)>> {
        let (tenant, conversation) = names(key);
        // Every user's id is above the empty text.
        let after = after.map_or("", UserId::as_str);
        let values = (tenant, conversation, after, rows_at_most(limit));
        let rows: Vec<UserCursors> = self.statements.cursors_after.rows(values).await?;
        let cursors = rows.into_iter().map(|(name, read, ordinal, delivered)| {
            Ok((user(&name)?, cursors_of((read, ordinal, delivered))?))
        });
        cursors.collect()
    }

    pub(super) async fn reactions_after(
        &self,
        key: &LogKey,
        message: Seq,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Vec<String>)>> {
        let (tenant, conversation) = names(key);
        let mut after = after.map_or_else(String::new, ToString::to_string);
        let mut found = Vec::new();
        while found.len() < limit {
            let page = rows_at_most(limit);
            let values = (&tenant, &conversation, number(message), &after, page);
            let rows: Vec<(String, Vec<u8>)> = self.statements.reactions_after.rows(values).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (name, row) in &rows {
                let row: ReactionsRow = value::decode(row)?;
                if !row.emoji.is_empty() && found.len() < limit {
                    found.push((user(name)?, row.emoji));
                }
            }
        }
        Ok(found)
    }
}

fn cursors_of((read, ordinal, delivered): StoredCursors) -> StoreResult<Cursors> {
    let number = |cell: Option<i64>| unsigned(cell.unwrap_or(0));
    Ok(Cursors {
        read_seq: number(read)?,
        read_ordinal: number(ordinal)?,
        delivered_seq: number(delivered)?,
    })
}
