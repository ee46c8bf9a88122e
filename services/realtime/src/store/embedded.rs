//! Sessions on the embedded engine: one row per session.
//!
//! Key: tenant, a zero byte, user, a zero byte, session id (no name contains a
//! zero byte). Value: a format byte, then CBOR.

use std::collections::BTreeMap;

use bytes::Bytes;
use confab_log::{ConversationId, Micros};
use confab_store::embedded::{Direction, Engine, Keyspace, Transaction};
use futures_util::{FutureExt as _, future::BoxFuture};
use minicbor::{Decode, Encode};

use super::{Saved, SessionKey, SessionRecord, SessionStore, StoreError, expired};

/// The keyspace, for ever.
pub const KEYSPACE: &str = "realtime_sessions";

const FORMAT: u8 = 1;
/// Rows looked at by one transaction of a sweep: the committer must not wait.
const SWEEP_ROWS: usize = 1000;

/// See the module.
#[derive(Clone, Debug)]
pub struct EmbeddedSessions {
    engine: Engine,
    rows: Keyspace,
}

#[derive(Encode, Decode)]
struct StoredSession {
    #[n(0)]
    device_id: String,
    #[n(1)]
    watch: Vec<StoredCursor>,
    #[n(2)]
    inbox_seq: u64,
    #[n(3)]
    epoch: u64,
    #[n(4)]
    last_seen: Micros,
}

#[derive(Encode, Decode)]
struct StoredCursor {
    #[n(0)]
    conversation: ConversationId,
    #[n(1)]
    seq: u64,
}

impl EmbeddedSessions {
    /// Opens the keyspace. Blocks for an fsync the first time.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self { rows: engine.keyspace(KEYSPACE)?, engine: engine.clone() })
    }
}

impl SessionStore for EmbeddedSessions {
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (rows, key, value) = (self.rows.clone(), row_key(key), encode(record));
        self.engine.transact(move |writes| writes.put(&rows, key, value)).boxed()
    }

    fn take_over<'a>(
        &'a self,
        key: &'a SessionKey,
        device_id: &'a str,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        let (rows, key) = (self.rows.clone(), row_key(key));
        let device_id = device_id.to_owned();
        let work = self.engine.transact(move |writes| {
            let Some(mut record) = load(writes, &rows, &key)? else {
                return Ok(None);
            };
            if expired(record.last_seen, now) || record.device_id != device_id {
                return Ok(None);
            }
            record.epoch += 1;
            record.last_seen = now;
            writes.put(&rows, &key, encode(&record));
            Ok(Some(record))
        });
        async move { work.await? }.boxed()
    }

    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Saved, StoreError>> {
        let (rows, key, record) = (self.rows.clone(), row_key(key), record.clone());
        let work = self.engine.transact(move |writes| {
            let Some(stored) = load(writes, &rows, &key)? else {
                return Ok(Saved::Fenced);
            };
            if stored.epoch != record.epoch {
                return Ok(Saved::Fenced);
            }
            writes.put(&rows, &key, encode(&record));
            Ok(Saved::Stored)
        });
        async move { work.await? }.boxed()
    }

    fn sweep(&self, now: Micros) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let mut removed = 0;
            let mut from = Vec::new();
            loop {
                let rows = self.rows.range(from.., Direction::Forward, SWEEP_ROWS)?;
                let Some((last, _)) = rows.last() else {
                    return Ok(removed);
                };
                from = [last.as_ref(), &[0]].concat();
                let stale: Vec<Bytes> = rows
                    .iter()
                    .filter(|(_, value)| decode(value).is_ok_and(|r| expired(r.last_seen, now)))
                    .map(|(key, _)| key.clone())
                    .collect();
                removed += self.remove(stale, now).await?;
            }
        }
        .boxed()
    }
}

impl EmbeddedSessions {
    /// Removes those that are still stale when the transaction sees them.
    async fn remove(&self, keys: Vec<Bytes>, now: Micros) -> Result<usize, StoreError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let rows = self.rows.clone();
        let work = self.engine.transact(move |writes| {
            let mut removed = 0;
            for key in keys {
                if load(writes, &rows, &key)?.is_some_and(|r| expired(r.last_seen, now)) {
                    writes.remove(&rows, &key);
                    removed += 1;
                }
            }
            Ok(removed)
        });
        work.await?
    }
}

fn row_key(key: &SessionKey) -> Vec<u8> {
    [key.tenant.as_str(), key.user.as_str(), key.session.as_str()].join("\0").into_bytes()
}

fn load(
    writes: &mut Transaction<'_>,
    rows: &Keyspace,
    key: &[u8],
) -> Result<Option<SessionRecord>, StoreError> {
    writes.get(rows, key)?.map(|value| decode(&value)).transpose()
}

fn encode(record: &SessionRecord) -> Bytes {
    let stored = StoredSession {
        device_id: record.device_id.clone(),
        watch: record
            .watch
            .iter()
            .map(|(id, seq)| StoredCursor { conversation: id.clone(), seq: *seq })
            .collect(),
        inbox_seq: record.inbox_seq,
        epoch: record.epoch,
        last_seen: record.last_seen,
    };
    let mut value = vec![FORMAT];
    // Writing to a Vec cannot fail, and the types hold nothing that CBOR lacks.
    minicbor::encode(&stored, &mut value).expect("a session encodes");
    value.into()
}

fn decode(value: &[u8]) -> Result<SessionRecord, StoreError> {
    let Some((&FORMAT, cbor)) = value.split_first() else {
        return Err(StoreError::corrupt("a session of an unknown format"));
    };
    let stored: StoredSession = minicbor::decode(cbor)
        .map_err(|error| StoreError::corrupt(format!("a session: {error}")))?;
    let watch: BTreeMap<_, _> =
        stored.watch.into_iter().map(|cursor| (cursor.conversation, cursor.seq)).collect();
    Ok(SessionRecord {
        device_id: stored.device_id,
        watch,
        inbox_seq: stored.inbox_seq,
        epoch: stored.epoch,
        last_seen: stored.last_seen,
    })
}
