//! The port on the embedded engine. Every conditional write is one transaction
//! on the engine's committer; reads go straight to memory or disk.

mod codec;
mod effects;
mod rules;

use confab_log::{Effects, Event, EventBody, Row, RowKey, Seq, UserId, mutant, row::ReactionsRow};
use confab_store::{
    StoreError,
    embedded::{Direction as Scan, Engine, Keyspace},
};
use minicbor::{Decode, Encode};

use super::{Cursors, Direction, LogEnd, LogKey, LogStore, StoreResult, marked::Marked};

/// The keyspaces of the messages service.
#[derive(Clone)]
pub struct EmbeddedLogStore {
    engine: Engine,
    spaces: Spaces,
    /// Marks of this hour that are known to be on disk.
    marked: Marked,
}

#[derive(Clone)]
struct Spaces {
    log: Keyspace,
    applied: Keyspace,
    reactions: Keyspace,
    cursors: Keyspace,
    marks: Keyspace,
    threads: Keyspace,
    mentions: Keyspace,
    rules: Keyspace,
}

#[derive(Encode, Decode)]
struct StoredCursors {
    #[n(0)]
    read_seq: Seq,
    #[n(1)]
    read_ordinal: u64,
    #[n(2)]
    delivered_seq: Seq,
}

impl EmbeddedLogStore {
    /// Opens the keyspaces `messages-*`.
    pub fn open(engine: &Engine) -> StoreResult<Self> {
        Ok(Self {
            engine: engine.clone(),
            spaces: Spaces {
                log: engine.keyspace("messages-log")?,
                applied: engine.keyspace("messages-applied")?,
                reactions: engine.keyspace("messages-reactions")?,
                cursors: engine.keyspace("messages-cursors")?,
                marks: engine.keyspace("messages-marks")?,
                threads: engine.keyspace("messages-threads")?,
                mentions: engine.keyspace("messages-mentions")?,
                rules: engine.keyspace("messages-rules")?,
            },
            marked: Marked::default(),
        })
    }

    /// The log after this one in the order of the store, or the first: for
    /// whoever walks a whole data folder.
    pub fn next_log(&self, after: Option<&LogKey>) -> StoreResult<Option<LogKey>> {
        // 0xff.. is above every row of a log: nobody appends event 2^64 - 1.
        let from = after.map_or_else(|| vec![0], |key| codec::row(key, Seq::MAX));
        let rows = self.spaces.log.range(from.., Scan::Forward, 1)?;
        let Some((row, _)) = rows.first() else { return Ok(None) };
        let (key, _) =
            codec::parse_log(row).ok_or_else(|| StoreError::corrupt("key: not a log's"))?;
        Ok(Some(key))
    }

    fn load_one(&self, key: &LogKey, name: &RowKey) -> StoreResult<Option<Row>> {
        match name {
            RowKey::Message(seq) => {
                let Some(bytes) = self.spaces.log.get(codec::row(key, *seq))? else {
                    return Ok(None);
                };
                let event: Event = codec::decode(&bytes)?;
                match event.body {
                    EventBody::MessageCreated(message) => Ok(Some(Row::Message(message))),
                    _ => Ok(None),
                }
            }
            RowKey::Reactions(seq, user) => {
                let bytes = self.spaces.reactions.get(codec::reactions(key, *seq, Some(user)))?;
                bytes.map(|bytes| codec::decode(&bytes).map(Row::Reactions)).transpose()
            }
            RowKey::Conversation | RowKey::Member(_) => {
                Err(StoreError::corrupt("a row of another service was asked for"))
            }
        }
    }
}

fn scan(direction: Direction) -> Scan {
    match direction {
        Direction::OldestFirst => Scan::Forward,
        Direction::NewestFirst => Scan::Backward,
    }
}

impl LogStore for EmbeddedLogStore {
    async fn end(&self, key: &LogKey) -> StoreResult<Option<LogEnd>> {
        let prefix = codec::log_prefix(key);
        // `applied_through` first: it is never above the head that is read after it.
        let applied = self.spaces.applied.get(&prefix)?;
        let Some((_, bytes)) = self.spaces.log.last_under_prefix(&prefix)? else {
            return Ok(None);
        };
        let applied_through = applied.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or(0);
        Ok(Some(LogEnd { head: codec::decode(&bytes)?, applied_through }))
    }

    async fn read(
        &self,
        key: &LogKey,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        if from > to {
            return Ok(Vec::new());
        }
        let range = codec::row(key, from)..=codec::row(key, to);
        let rows = self.spaces.log.range(range, scan(direction), limit)?;
        rows.iter().map(|(_, bytes)| codec::decode(bytes)).collect()
    }

    async fn append(&self, key: &LogKey, events: Vec<Event>, hour: u64) -> StoreResult<bool> {
        let Some(first) = events.first().map(|event| event.seq) else { return Ok(true) };
        let rows: Vec<_> =
            events.iter().map(|event| (codec::row(key, event.seq), codec::encode(event))).collect();
        let mark = (!self.marked.has(hour, key)).then(|| codec::mark(hour, key));
        let marks = mark.is_some();
        let spaces = self.spaces.clone();
        let first = codec::row(key, first);
        let appended = self
            .engine
            .transact(move |txn| -> StoreResult<bool> {
                let taken = txn.get(&spaces.log, &first)?.is_some();
                if taken && !mutant::is("append-unconditional") {
                    return Ok(false);
                }
                for (row, value) in rows {
                    txn.put(&spaces.log, row, value);
                }
                if let Some(mark) = mark {
                    txn.put(&spaces.marks, mark, codec::encode(&()));
                }
                Ok(true)
            })
            .await??;
        if appended && marks {
            self.marked.remember(hour, key);
        }
        Ok(appended)
    }

    async fn load(&self, key: &LogKey, keys: &[RowKey]) -> StoreResult<Vec<(RowKey, Option<Row>)>> {
        keys.iter().map(|name| Ok((name.clone(), self.load_one(key, name)?))).collect()
    }

    async fn apply(&self, key: &LogKey, event: &Event, effects: &Effects) -> StoreResult<()> {
        let apply = effects::Apply::new(key, event, effects);
        if apply.is_empty() {
            return Ok(());
        }
        let spaces = self.spaces.clone();
        self.engine.transact(move |txn| apply.run(txn, &spaces)).await?
    }

    async fn raise(&self, key: &LogKey, through: Seq) -> StoreResult<()> {
        let (space, prefix) = (self.spaces.applied.clone(), codec::log_prefix(key));
        self.engine
            .transact(move |txn| -> StoreResult<()> {
                let stored = txn.get(&space, &prefix)?;
                let stored: Seq =
                    stored.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or(0);
                if through > stored {
                    txn.put(&space, &prefix, codec::encode(&through));
                }
                Ok(())
            })
            .await?
    }

    async fn cursors(&self, key: &LogKey, user: &UserId) -> StoreResult<Cursors> {
        let bytes = self.spaces.cursors.get(codec::user(key, user))?;
        bytes.map_or(Ok(Cursors::default()), |bytes| effects::cursors_of(&bytes))
    }

    async fn raise_cursors(
        &self,
        key: &LogKey,
        user: &UserId,
        to: Cursors,
    ) -> StoreResult<(Cursors, Cursors)> {
        let (spaces, row) = (self.spaces.clone(), codec::user(key, user));
        self.engine.transact(move |txn| effects::raise(txn, &spaces, &row, to)).await?
    }

    async fn list_cursors(
        &self,
        key: &LogKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Cursors)>> {
        let prefix = codec::log_prefix(key);
        let rows = effects::after(&self.spaces.cursors, &prefix, after, limit)?;
        rows.iter()
            .map(|(row, value)| {
                Ok((codec::user_at(row, prefix.len())?, effects::cursors_of(value)?))
            })
            .collect()
    }

    async fn list_reactions(
        &self,
        key: &LogKey,
        message: Seq,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Vec<String>)>> {
        let prefix = codec::row(key, message);
        let (mut found, mut after) = (Vec::new(), after.cloned());
        while found.len() < limit {
            let rows = effects::after(&self.spaces.reactions, &prefix, after.as_ref(), limit)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(codec::user_at(last, prefix.len())?);
            for (row, value) in &rows {
                let reactions: ReactionsRow = codec::decode(value)?;
                if !reactions.emoji.is_empty() && found.len() < limit {
                    found.push((codec::user_at(row, prefix.len())?, reactions.emoji));
                }
            }
        }
        Ok(found)
    }

    async fn list_thread(
        &self,
        key: &LogKey,
        root: Seq,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        if from > to {
            return Ok(Vec::new());
        }
        let range = codec::thread(key, root, from)..=codec::thread(key, root, to);
        let rows = self.spaces.threads.range(range, scan(direction), limit)?;
        rows.iter().map(|(row, _)| codec::seq_at_end(row)).collect()
    }

    async fn list_mentions(
        &self,
        key: &LogKey,
        user: &UserId,
        after: Seq,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        let from = codec::mention(key, user, after.saturating_add(1));
        let range = from..=codec::mention(key, user, Seq::MAX);
        let rows = self.spaces.mentions.range(range, Scan::Forward, limit)?;
        rows.iter().map(|(row, _)| codec::seq_at_end(row)).collect()
    }

    async fn marks(
        &self,
        after: Option<(u64, LogKey)>,
        limit: usize,
    ) -> StoreResult<Vec<(u64, LogKey)>> {
        let mut from = after.map_or_else(Vec::new, |(hour, key)| codec::mark(hour, &key));
        from.push(0);
        let rows = self.spaces.marks.range(from.., Scan::Forward, limit)?;
        rows.iter().map(|(row, _)| effects::mark_of(row)).collect()
    }

    async fn clear_mark(&self, hour: u64, key: &LogKey) -> StoreResult<()> {
        let (space, row) = (self.spaces.marks.clone(), codec::mark(hour, key));
        self.engine.transact(move |txn| txn.remove(&space, row)).await
    }
}
