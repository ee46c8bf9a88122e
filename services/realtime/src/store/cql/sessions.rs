//! Sessions: one row each, changed if it is still the one that was read.

use std::collections::BTreeSet;

use confab_log::{ConversationId, Micros, TenantId, UserId};
use confab_store::cql::{Conditional, Cql, OpenError, Read, limit as rows_at_most};
use futures_util::{FutureExt as _, TryStreamExt as _, future::BoxFuture};

use super::{MIGRATIONS, SERVICE, parsed};
use crate::store::{
    Acknowledged, Saved, SessionId, SessionKey, SessionRecord, SessionStore, StoreError, expired,
    value::{session, session_bytes},
};

/// See the module.
#[derive(Clone)]
pub struct CqlSessions {
    read: Read,
    after: Read,
    every: Read,
    add: Conditional,
    change: Conditional,
    remove: Conditional,
}

const ROW: &str = "WHERE tenant = ? AND user = ? AND session = ?";

impl CqlSessions {
    /// Opens the table, which must be migrated.
    ///
    /// # Errors
    /// When the keyspace cannot be used as it is.
    pub async fn open(cql: &Cql) -> Result<Self, OpenError> {
        cql.check_migrated(SERVICE, MIGRATIONS).await?;
        let change = format!(
            "UPDATE keyspace.realtime_sessions SET record = ?, version = ? {ROW} IF version = ?"
        );
        Ok(Self {
            read: cql.read(&format!("SELECT record, version FROM keyspace.realtime_sessions {ROW}")).await?,
            after: cql
                .read(
                    "SELECT session, record FROM keyspace.realtime_sessions \
                     WHERE tenant = ? AND user = ? AND session > ? LIMIT ?",
                )
                .await?,
            every: cql.read("SELECT tenant, user, session, record FROM keyspace.realtime_sessions").await?,
            add: cql
                .conditional(
                    "INSERT INTO keyspace.realtime_sessions (tenant, user, session, record, version) \
                     VALUES (?, ?, ?, ?, 1) IF NOT EXISTS",
                )
                .await?,
            change: cql.conditional(&change).await?,
            remove: cql
                .conditional(&format!("DELETE FROM keyspace.realtime_sessions {ROW} IF version = ?"))
                .await?,
        })
    }

    async fn stored(&self, key: &SessionKey) -> Result<Option<(SessionRecord, i64)>, StoreError> {
        let row: Option<(Vec<u8>, i64)> = self.read.first(names(key)).await?;
        row.map(|(record, version)| Ok((session(&record)?, version))).transpose()
    }

    /// Changes a session that is there; `None` when there is none.
    async fn change<R>(
        &self,
        key: &SessionKey,
        mut work: impl FnMut(&mut SessionRecord) -> Option<R> + Send,
    ) -> Result<Option<R>, StoreError> {
        loop {
            let Some((mut record, version)) = self.stored(key).await? else { return Ok(None) };
            let Some(changed) = work(&mut record) else { return Ok(None) };
            let (tenant, user, session) = names(key);
            let bytes = session_bytes(&record);
            let values = (bytes, version + 1, tenant, user, session, version);
            if self.change.run(values).await? {
                return Ok(Some(changed));
            }
        }
    }

    /// Removes a session of which this is so when it goes.
    async fn remove_where(
        &self,
        key: &SessionKey,
        wanted: impl Fn(&SessionRecord) -> bool + Send,
    ) -> Result<bool, StoreError> {
        loop {
            let Some((record, version)) = self.stored(key).await? else { return Ok(false) };
            if !wanted(&record) {
                return Ok(false);
            }
            let (tenant, user, session) = names(key);
            if self.remove.run((tenant, user, session, version)).await? {
                return Ok(true);
            }
        }
    }

    async fn page(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<&SessionId>,
        limit: usize,
        now: Micros,
    ) -> Result<Vec<(SessionId, SessionRecord)>, StoreError> {
        // Every session's id is above the empty text.
        let mut after = after.map_or_else(String::new, |id| id.as_str().to_owned());
        let mut listed = Vec::new();
        while listed.len() < limit {
            let most = rows_at_most(limit - listed.len());
            let values = (tenant.as_str(), user.as_str(), &after, most);
            let rows: Vec<(String, Vec<u8>)> = self.after.rows(values).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (id, record) in &rows {
                let (id, record) = (id_of(id)?, session(record)?);
                if !expired(record.last_seen, now) {
                    listed.push((id, record));
                }
            }
        }
        Ok(listed)
    }
}

fn names(key: &SessionKey) -> (String, String, String) {
    (key.tenant.to_string(), key.user.to_string(), key.session.as_str().to_owned())
}

fn id_of(text: &str) -> Result<SessionId, StoreError> {
    SessionId::parse(text).ok_or_else(|| StoreError::corrupt("a session of no id"))
}

impl SessionStore for CqlSessions {
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (tenant, user, session) = names(key);
        let values = (tenant, user, session, session_bytes(record));
        // Not applied: an earlier try was.
        async move { self.add.run(values).await.map(drop) }.boxed()
    }

    fn take_over<'a>(
        &'a self,
        key: &'a SessionKey,
        device_id: &'a str,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        self.change(key, move |record| {
            if expired(record.last_seen, now) || record.device_id != device_id {
                return None;
            }
            record.epoch += 1;
            record.last_seen = now;
            Some(record.clone())
        })
        .boxed()
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        async move {
            let stored = self.stored(key).await?.map(|(record, _)| record);
            Ok(stored.filter(|record| !expired(record.last_seen, now)))
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        after: Option<&'a SessionId>,
        limit: usize,
        now: Micros,
    ) -> BoxFuture<'a, Result<Vec<(SessionId, SessionRecord)>, StoreError>> {
        self.page(tenant, user, after, limit, now).boxed()
    }

    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
        set: &'a BTreeSet<ConversationId>,
    ) -> BoxFuture<'a, Result<Saved, StoreError>> {
        async move {
            let saved = self.change(key, |stored| {
                (stored.epoch == record.epoch).then(|| stored.replace(record, set))
            });
            Ok(saved.await?.map_or(Saved::Fenced, |()| Saved::Stored))
        }
        .boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        key: &'a SessionKey,
        acknowledged: &'a Acknowledged,
        now: Micros,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let raised = self.change(key, |record| {
                if expired(record.last_seen, now) {
                    return None;
                }
                record.raise(acknowledged);
                record.last_seen = now;
                Some(())
            });
            raised.await.map(drop)
        }
        .boxed()
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Micros,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.remove_where(key, move |record| !expired(record.last_seen, now)).boxed()
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
                let page = self.page(tenant, user, after.as_ref(), 1000, Micros::MIN).await?;
                let Some((last, _)) = page.last() else { return Ok(removed) };
                after = Some(last.clone());
                for (session, _) in page {
                    let (tenant, user) = (tenant.clone(), user.clone());
                    let key = SessionKey { tenant, user, session };
                    let of_login =
                        |record: &SessionRecord| login.is_none_or(|login| record.login == login);
                    removed += usize::from(self.remove_where(&key, of_login).await?);
                }
            }
        }
        .boxed()
    }

    fn sweep(&self, now: Micros) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let stale = move |record: &SessionRecord| expired(record.last_seen, now);
            let mut removed = 0;
            let mut rows = self.every.walk::<(String, String, String, Vec<u8>)>(()).await?;
            while let Some((tenant, user, id, record)) = rows.try_next().await? {
                // One that does not decode is left to whoever asks for it.
                if session(&record).is_ok_and(|record| stale(&record)) {
                    let (tenant, user) = parsed(&tenant, &user)?;
                    let key = SessionKey { tenant, user, session: id_of(&id)? };
                    removed += usize::from(self.remove_where(&key, stale).await?);
                }
            }
            Ok(removed)
        }
        .boxed()
    }
}
