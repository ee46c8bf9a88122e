//! The log itself: its end, its rows, and the append, whose condition on one row
//! is all that puts events in an order.

use confab_log::{Event, EventBody, Row, RowKey, Seq, mutant, row::ReactionsRow};
use confab_store::{
    StoreError,
    cql::{Batch, limit as rows_at_most, number, unsigned},
};

use super::{CqlLogStore, Direction, LogEnd, LogKey, StoreResult, names, value};

impl CqlLogStore {
    /// In one round trip where the newest partition is known, and still is.
    pub(super) async fn find_end(&self, key: &LogKey) -> StoreResult<Option<LogEnd>> {
        let (tenant, conversation) = names(key);
        let known = self.known_newest(key);
        let head = self.statements.head.first((tenant, conversation));
        let guess = async {
            match known {
                Some(partition) => self.last_of(key, partition).await,
                None => Ok(None),
            }
        };
        let (head, guessed) = tokio::try_join!(head, guess)?;
        let head: Option<(i64, i64)> = head;
        // Made before the first row, never removed.
        let Some((newest, applied_through)) = head else { return Ok(None) };
        let (newest, applied_through) = (unsigned(newest)?, unsigned(applied_through)?);
        self.remember_newest(key, newest);
        // `applied_through` is never above the head: then that was read before.
        let current = |event: &Event| known == Some(newest) && event.seq >= applied_through;
        let head = match guessed.filter(current) {
            Some(event) => Some(event),
            None => match self.last_of(key, newest).await? {
                // The head row is raised before the partition's first row comes.
                None if newest > 0 => self.last_of(key, newest - 1).await?,
                last => last,
            },
        };
        Ok(head.map(|head| LogEnd { head, applied_through }))
    }

    /// In one query, mostly: a log has no holes, so where a partition is not full
    /// nothing is in a later one, and nobody has to ask which is the newest.
    pub(super) async fn find_head(&self, key: &LogKey, known: Seq) -> StoreResult<Seq> {
        let partition = self.partition_of(known);
        if let Some(last) = self.last_of(key, partition).await? {
            self.remember_newest(key, partition);
            if last.seq < self.rows_of(partition).1 {
                return Ok(last.seq);
            }
        }
        Ok(self.find_end(key).await?.map_or(known, |end| end.head.seq))
    }

    async fn last_of(&self, key: &LogKey, partition: u64) -> StoreResult<Option<Event>> {
        let (tenant, conversation) = names(key);
        let values = (tenant, conversation, number(partition));
        let row: Option<(Vec<u8>,)> = self.statements.last_row.first(values).await?;
        row.map(|(event,)| value::decode(&event)).transpose()
    }

    pub(super) async fn read_rows(
        &self,
        key: &LogKey,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        let from = from.max(1);
        let Some(newest) = self.newest_up_to(key, self.partition_of(to)).await? else {
            return Ok(Vec::new());
        };
        let to = to.min(self.rows_of(newest).1);
        if from > to {
            return Ok(Vec::new());
        }
        let (first, last) = (self.partition_of(from), self.partition_of(to));
        let mut found = Vec::new();
        for step in 0..=last - first {
            let partition = match direction {
                Direction::OldestFirst => first + step,
                Direction::NewestFirst => last - step,
            };
            let (begin, end) = self.rows_of(partition);
            let range = (from.max(begin), to.min(end));
            let rows = self.read_partition(key, range, direction, limit - found.len()).await?;
            // A log has no holes: above a partition that is not full there is nothing.
            let ends = rows.last().is_none_or(|row| row.seq != range.1);
            found.extend(rows);
            if found.len() >= limit || (direction == Direction::OldestFirst && ends) {
                break;
            }
        }
        Ok(found)
    }

    /// This partition if the log has it, else the log's newest. `None`: no log.
    async fn newest_up_to(&self, key: &LogKey, partition: u64) -> StoreResult<Option<u64>> {
        if self.known_newest(key).is_some_and(|newest| newest >= partition) {
            return Ok(Some(partition));
        }
        let (tenant, conversation) = names(key);
        let head: Option<(i64, i64)> = self.statements.head.first((tenant, conversation)).await?;
        let Some((newest, _)) = head else { return Ok(None) };
        let newest = unsigned(newest)?;
        self.remember_newest(key, newest);
        Ok(Some(newest.min(partition)))
    }

    /// Rows of one partition. Where some are missing in between, an append is on
    /// its way through the replicas: it is finished first.
    async fn read_partition(
        &self,
        key: &LogKey,
        (from, to): (Seq, Seq),
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        let statement = match direction {
            Direction::OldestFirst => &self.statements.rows_up,
            Direction::NewestFirst => &self.statements.rows_down,
        };
        let (tenant, conversation) = names(key);
        let partition = number(self.partition_of(from));
        let limit = rows_at_most(limit);
        let values = (&tenant, &conversation, partition, number(from), number(to), limit);
        let events = decoded(&statement.rows(values).await?)?;
        if is_dense(&events, from, direction) {
            return Ok(events);
        }
        metrics::counter!("confab_log_holes_settled_total").increment(1);
        decoded(&statement.settled_rows(values).await?)
    }

    pub(super) async fn append_rows(
        &self,
        key: &LogKey,
        events: Vec<Event>,
        hour: u64,
    ) -> StoreResult<bool> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(true) };
        let partition = self.partition_of(first.seq);
        if self.partition_of(last.seq) != partition {
            return Err(StoreError::unavailable("an append that straddles two partitions"));
        }
        let begins_partition = first.seq == self.rows_of(partition).0;
        tokio::try_join!(
            async {
                // Whoever looks for the end must not miss what is in it.
                let forgotten = partition > 0 && mutant::is("partition-not-raised");
                if begins_partition && !forgotten {
                    self.raise_partition(key, partition).await?;
                }
                Ok(())
            },
            self.mark(hour, key)
        )?;
        let (tenant, conversation) = names(key);
        let mut batch = Batch::default();
        for event in &events {
            let (seq, bytes) = (number(event.seq), value::encode(event));
            let values = (tenant.clone(), conversation.clone(), number(partition), seq, bytes, seq);
            if events.len() == 1 && !mutant::is("append-unconditional") {
                // A batch of one costs both sides more.
                return self.statements.append_first.run(values).await;
            }
            // Nobody can have the other rows where nobody has the first.
            if event.seq == first.seq && !mutant::is("append-unconditional") {
                batch.condition(&self.statements.append_first, values);
            } else {
                batch.write(&self.statements.append_more, values);
            }
        }
        if mutant::is("append-unconditional") {
            return self.cql.write_together(batch).await.map(|()| true);
        }
        self.cql.write_if(batch).await
    }

    async fn raise_partition(&self, key: &LogKey, partition: u64) -> StoreResult<()> {
        if self.known_newest(key).is_some_and(|newest| newest >= partition) {
            return Ok(());
        }
        let (tenant, conversation) = names(key);
        // Not applied: somebody else has raised it.
        if partition == 0 {
            self.statements.add_head.run((tenant, conversation)).await?;
        } else {
            let partition = number(partition);
            let values = (partition, tenant, conversation, partition);
            self.statements.raise_newest.run(values).await?;
        }
        self.remember_newest(key, partition);
        Ok(())
    }

    pub(super) async fn load_one(&self, key: &LogKey, name: &RowKey) -> StoreResult<Option<Row>> {
        match name {
            RowKey::Message(seq) => match self.stored_row(key, *seq).await? {
                Some((Event { body: EventBody::MessageCreated(message), .. }, _)) => {
                    Ok(Some(Row::Message(message)))
                }
                _ => Ok(None),
            },
            RowKey::Reactions(message, user) => {
                let (tenant, conversation) = names(key);
                let values = (tenant, conversation, number(*message), user.as_str());
                let row: Option<(Vec<u8>,)> = self.statements.reactions.first(values).await?;
                let decode = |(row,): (Vec<u8>,)| value::decode::<ReactionsRow>(&row);
                Ok(row.map(decode).transpose()?.map(Row::Reactions))
            }
            RowKey::Conversation | RowKey::Member(_) => {
                Err(StoreError::corrupt("a row of another service was asked for"))
            }
        }
    }

    /// An event and the seq of the last effect on it.
    pub(super) async fn stored_row(
        &self,
        key: &LogKey,
        seq: Seq,
    ) -> StoreResult<Option<(Event, Seq)>> {
        let (tenant, conversation) = names(key);
        let values = (tenant, conversation, number(self.partition_of(seq)), number(seq));
        let row: Option<(Vec<u8>, i64)> = self.statements.row.first(values).await?;
        row.map(|(event, applied)| Ok((value::decode(&event)?, unsigned(applied)?))).transpose()
    }
}

fn decoded(rows: &[(Vec<u8>,)]) -> StoreResult<Vec<Event>> {
    rows.iter().map(|(event,)| value::decode(event)).collect()
}

/// Without a hole, and from the beginning on where that is known to be there.
fn is_dense(events: &[Event], from: Seq, direction: Direction) -> bool {
    let steps = events.windows(2).all(|pair| pair[0].seq.abs_diff(pair[1].seq) == 1);
    let begins =
        direction == Direction::NewestFirst || events.first().is_none_or(|first| first.seq == from);
    steps && begins
}
