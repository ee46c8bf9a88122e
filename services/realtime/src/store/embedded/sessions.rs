//! Sessions: one row per session. Key: tenant, user, session id.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use confab_log::{ConversationId, Micros, TenantId, UserId};
use confab_store::embedded::{Direction, Engine, Keyspace, Transaction};
use futures_util::{FutureExt as _, future::BoxFuture};
use minicbor::{Decode, Encode};

use super::{decode, encode, key, names, next_rows};
use crate::store::{
    Acknowledged, Saved, SessionId, SessionKey, SessionRecord, SessionStore, StoreError, expired,
};

/// The keyspace, for ever.
pub const KEYSPACE: &str = "realtime_sessions";

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
    /// Absent in what the first version wrote.
    #[n(5)]
    login: Option<String>,
    /// Absent in what the first version wrote.
    #[n(6)]
    created: Option<Micros>,
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

    /// Changes a session that is there; `None` when there is none.
    fn change<R, F>(
        &self,
        key: &SessionKey,
        work: F,
    ) -> BoxFuture<'_, Result<Option<R>, StoreError>>
    where
        R: Send + 'static,
        F: FnOnce(&mut SessionRecord) -> Option<R> + Send + 'static,
    {
        let (rows, key) = (self.rows.clone(), row_key(key));
        let work = self.engine.transact(move |writes| {
            let Some(mut record) = load(writes, &rows, &key)? else {
                return Ok(None);
            };
            let changed = work(&mut record);
            if changed.is_some() {
                writes.put(&rows, &key, stored(&record));
            }
            Ok(changed)
        });
        async move { work.await? }.boxed()
    }

    /// Removes those of which this is still so when the transaction sees them.
    async fn remove_where(
        &self,
        keys: Vec<Bytes>,
        wanted: impl Fn(&SessionRecord) -> bool + Send + 'static,
    ) -> Result<usize, StoreError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let rows = self.rows.clone();
        let work = self.engine.transact(move |writes| {
            let mut removed = 0;
            for key in keys {
                if load(writes, &rows, &key)?.as_ref().is_some_and(&wanted) {
                    writes.remove(&rows, &key);
                    removed += 1;
                }
            }
            Ok(removed)
        });
        work.await?
    }
}

impl SessionStore for EmbeddedSessions {
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (rows, key, value) = (self.rows.clone(), row_key(key), stored(record));
        self.engine.transact(move |writes| writes.put(&rows, key, value)).boxed()
    }

    fn take_over<'a>(
        &'a self,
        key: &'a SessionKey,
        device_id: &'a str,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        let device_id = device_id.to_owned();
        self.change(key, move |record| {
            if expired(record.last_seen, now) || record.device_id != device_id {
                return None;
            }
            record.epoch += 1;
            record.last_seen = now;
            Some(record.clone())
        })
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        let loaded = self.rows.get(row_key(key)).and_then(|value| match value {
            Some(value) => Ok(Some(record(&value)?).filter(|r| !expired(r.last_seen, now))),
            None => Ok(None),
        });
        async move { loaded }.boxed()
    }

    fn list<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        after: Option<&'a SessionId>,
        limit: usize,
        now: Micros,
    ) -> BoxFuture<'a, Result<Vec<(SessionId, SessionRecord)>, StoreError>> {
        let listed = list(&self.rows, tenant, user, after, limit, now);
        async move { listed }.boxed()
    }

    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Saved, StoreError>> {
        let record = record.clone();
        let saved = self
            .change(key, move |stored| (stored.epoch == record.epoch).then(|| *stored = record));
        async move { Ok(saved.await?.map_or(Saved::Fenced, |()| Saved::Stored)) }.boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        key: &'a SessionKey,
        acknowledged: &'a Acknowledged,
        now: Micros,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let acknowledged = acknowledged.clone();
        let raised = self.change(key, move |record| {
            if expired(record.last_seen, now) {
                return None;
            }
            record.raise(&acknowledged);
            record.last_seen = now;
            Some(())
        });
        async move { raised.await.map(|_| ()) }.boxed()
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Micros,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let lives = move |record: &SessionRecord| !expired(record.last_seen, now);
        let keys = vec![row_key(key).into()];
        async move { Ok(self.remove_where(keys, lives).await? > 0) }.boxed()
    }

    fn remove_all<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        login: Option<&'a str>,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        async move {
            let (mut removed, mut after) = (0, None);
            loop {
                let page = list(&self.rows, tenant, user, after.as_ref(), 1000, Micros::MIN)?;
                let Some((last, _)) = page.last() else {
                    return Ok(removed);
                };
                after = Some(last.clone());
                let of = |id: &SessionId| key(&[tenant.as_str(), user.as_str(), id.as_str()]);
                let keys = page.iter().map(|(id, _)| of(id).into()).collect();
                let login = login.map(str::to_owned);
                let wanted = move |record: &SessionRecord| {
                    login.as_ref().is_none_or(|login| record.login == *login)
                };
                removed += self.remove_where(keys, wanted).await?;
            }
        }
        .boxed()
    }

    fn sweep(&self, now: Micros) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let (mut removed, mut from) = (0, Vec::new());
            loop {
                let rows = next_rows(&self.rows, &mut from)?;
                if rows.is_empty() {
                    return Ok(removed);
                }
                let stale = move |record: &SessionRecord| expired(record.last_seen, now);
                let found =
                    rows.into_iter().filter(|(_, value)| record(value).is_ok_and(|r| stale(&r)));
                let keys = found.map(|(key, _)| key).collect();
                removed += self.remove_where(keys, stale).await?;
            }
        }
        .boxed()
    }
}

/// A page of a user's sessions.
fn list(
    rows: &Keyspace,
    tenant: &TenantId,
    user: &UserId,
    after: Option<&SessionId>,
    limit: usize,
    now: Micros,
) -> Result<Vec<(SessionId, SessionRecord)>, StoreError> {
    let of_user = |id: &str| key(&[tenant.as_str(), user.as_str(), id]);
    let mut after = of_user(after.map_or("", SessionId::as_str));
    // Above every id: they are of hexadecimal digits and dashes.
    let end = of_user("~");
    let mut listed = Vec::new();
    while listed.len() < limit {
        let range = (Bound::Excluded(after), Bound::Excluded(end.clone()));
        let page = rows.range(range, Direction::Forward, limit - listed.len())?;
        let Some((last, _)) = page.last() else { break };
        after = last.to_vec();
        for (key, value) in &page {
            let [_, _, id] = names(key)?;
            let id = SessionId::parse(id).ok_or_else(|| StoreError::corrupt("a session's key"))?;
            let record = record(value)?;
            if !expired(record.last_seen, now) {
                listed.push((id, record));
            }
        }
    }
    Ok(listed)
}

fn row_key(session: &SessionKey) -> Vec<u8> {
    key(&[session.tenant.as_str(), session.user.as_str(), session.session.as_str()])
}

fn load(
    writes: &mut Transaction<'_>,
    rows: &Keyspace,
    key: &[u8],
) -> Result<Option<SessionRecord>, StoreError> {
    writes.get(rows, key)?.map(|value| record(&value)).transpose()
}

fn stored(record: &SessionRecord) -> Bytes {
    let cursor =
        |(id, seq): (&ConversationId, &u64)| StoredCursor { conversation: id.clone(), seq: *seq };
    encode(&StoredSession {
        device_id: record.device_id.clone(),
        watch: record.watch.iter().map(cursor).collect(),
        inbox_seq: record.inbox_seq,
        epoch: record.epoch,
        last_seen: record.last_seen,
        login: Some(record.login.clone()),
        created: Some(record.created),
    })
}

fn record(value: &[u8]) -> Result<SessionRecord, StoreError> {
    let stored: StoredSession = decode(value)?;
    let watch: BTreeMap<_, _> =
        stored.watch.into_iter().map(|cursor| (cursor.conversation, cursor.seq)).collect();
    Ok(SessionRecord {
        device_id: stored.device_id,
        login: stored.login.unwrap_or_default(),
        created: stored.created.unwrap_or(stored.last_seen),
        watch,
        inbox_seq: stored.inbox_seq,
        epoch: stored.epoch,
        last_seen: stored.last_seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    /// What any version has written must be read for ever.
    #[test]
    fn sessions_that_were_written_before_are_read() {
        let without_login = "01856570686f6e658182782030313031303130313031303130313031303130313031303130313031303130310704021b00060a24181e4000";
        let with_login = "01876570686f6e658182782030313031303130313031303130313031303130313031303130313031303130310704021b00060a24181e4000656c6f67696e1b0005af3107a40000";
        let watch = BTreeMap::from([(ConversationId::from_bytes([1; 16]), 7)]);
        let due = SessionRecord {
            device_id: "phone".to_owned(),
            login: "login".to_owned(),
            created: 1_600_000_000_000_000,
            watch,
            inbox_seq: 4,
            epoch: 2,
            last_seen: 1_700_000_000_000_000,
        };
        assert_eq!(record(&bytes(with_login)).expect("read"), due);
        assert_eq!(stored(&due).as_ref(), bytes(with_login), "and is written so now");
        let due = SessionRecord { login: String::new(), created: due.last_seen, ..due };
        assert_eq!(record(&bytes(without_login)).expect("read"), due);
        assert!(record(&[2]).is_err() && record(&[]).is_err(), "of an unknown format");
    }
}
