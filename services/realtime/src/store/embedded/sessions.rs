//! Sessions: one row per session. Key: tenant, user, session id.

use std::{collections::BTreeSet, ops::Bound};

use bytes::Bytes;
use confab_log::{ConversationId, Micros, TenantId, UserId};
use confab_store::embedded::{Direction, Engine, Keyspace, Transaction};
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{key, names, next_rows};
use crate::store::{
    Acknowledged, Saved, SessionId, SessionKey, SessionRecord, SessionStore, StoreError, expired,
    value::{session as record, session_bytes as stored},
};

/// The keyspace, for ever.
pub const KEYSPACE: &str = "realtime_sessions";

/// See the module.
#[derive(Clone, Debug)]
pub struct EmbeddedSessions {
    engine: Engine,
    rows: Keyspace,
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
        set: &'a BTreeSet<ConversationId>,
    ) -> BoxFuture<'a, Result<Saved, StoreError>> {
        let (record, set) = (record.clone(), set.clone());
        let saved = self.change(key, move |stored| {
            (stored.epoch == record.epoch).then(|| stored.replace(&record, &set))
        });
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
