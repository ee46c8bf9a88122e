//! Stores in memory, for tests under paused time, where nothing may wait for a
//! real disk. They pass the conformance suites as the real ones do.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use confab_kit::identity::{Revocation, RevokedTokens};
use confab_log::{ConversationId, TenantId, UserId};
use confab_realtime::store::{
    Acknowledged, LastSeenStore, RevocationStore, SESSION_TTL, Saved, SessionId, SessionKey,
    SessionRecord, SessionStore, StoreError,
};
use futures_util::{FutureExt as _, future::BoxFuture};

/// Sessions.
#[derive(Clone, Default)]
pub(crate) struct MemorySessions {
    rows: Arc<Mutex<HashMap<SessionKey, SessionRecord>>>,
    pub(crate) saves: Arc<Mutex<usize>>,
}

impl MemorySessions {
    /// How often a record was saved.
    pub(crate) fn saves(&self) -> usize {
        *self.saves.lock().expect("not poisoned")
    }

    fn with<R>(&self, work: impl FnOnce(&mut HashMap<SessionKey, SessionRecord>) -> R) -> R {
        work(&mut self.rows.lock().expect("not poisoned"))
    }
}

fn lives(record: &SessionRecord, now: i64) -> bool {
    now - record.last_seen <= i64::try_from(SESSION_TTL.as_micros()).expect("fits")
}

impl SessionStore for MemorySessions {
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|rows| rows.insert(key.clone(), record.clone()));
        async { Ok(()) }.boxed()
    }

    fn take_over<'a>(
        &'a self,
        key: &'a SessionKey,
        device_id: &'a str,
        now: i64,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        let taken = self.with(|rows| {
            let record = rows.get_mut(key)?;
            if !lives(record, now) || record.device_id != device_id {
                return None;
            }
            record.epoch += 1;
            record.last_seen = now;
            Some(record.clone())
        });
        async move { Ok(taken) }.boxed()
    }

    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        now: i64,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>> {
        let loaded = self.with(|rows| rows.get(key).filter(|record| lives(record, now)).cloned());
        async move { Ok(loaded) }.boxed()
    }

    fn list<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        after: Option<&'a SessionId>,
        limit: usize,
        now: i64,
    ) -> BoxFuture<'a, Result<Vec<(SessionId, SessionRecord)>, StoreError>> {
        let mut listed: Vec<_> = self.with(|rows| {
            let own = rows.iter().filter(|(key, _)| key.tenant == *tenant && key.user == *user);
            let own = own.filter(|(_, record)| lives(record, now));
            own.map(|(key, record)| (key.session.clone(), record.clone())).collect()
        });
        listed.retain(|(id, _)| after.is_none_or(|after| id.as_str() > after.as_str()));
        listed.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        listed.truncate(limit);
        async move { Ok(listed) }.boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        key: &'a SessionKey,
        acknowledged: &'a Acknowledged,
        now: i64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|rows| {
            if let Some(record) = rows.get_mut(key).filter(|record| lives(record, now)) {
                record.raise(acknowledged);
                record.last_seen = now;
            }
        });
        async { Ok(()) }.boxed()
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        now: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let removed = self.with(|rows| rows.remove(key)).is_some_and(|record| lives(&record, now));
        async move { Ok(removed) }.boxed()
    }

    fn remove_all<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        login: Option<&'a str>,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        let removed = self.with(|rows| {
            let before = rows.len();
            rows.retain(|key, record| {
                let own = key.tenant == *tenant && key.user == *user;
                !own || login.is_some_and(|login| record.login != login)
            });
            before - rows.len()
        });
        async move { Ok(removed) }.boxed()
    }

    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
        set: &'a BTreeSet<ConversationId>,
    ) -> BoxFuture<'a, Result<Saved, StoreError>> {
        *self.saves.lock().expect("not poisoned") += 1;
        let saved = self.with(|rows| match rows.get_mut(key) {
            Some(stored) if stored.epoch == record.epoch => {
                stored.replace(record, set);
                Saved::Stored
            }
            _ => Saved::Fenced,
        });
        async move { Ok(saved) }.boxed()
    }

    fn sweep(&self, now: i64) -> BoxFuture<'_, Result<usize, StoreError>> {
        let removed = self.with(|rows| {
            let before = rows.len();
            rows.retain(|_, record| lives(record, now));
            before - rows.len()
        });
        async move { Ok(removed) }.boxed()
    }
}

/// What was revoked.
#[derive(Clone, Default)]
pub(crate) struct MemoryRevocations {
    rows: Arc<Mutex<HashMap<Tokens, (i64, i64)>>>,
}

/// Of whom, and of which login session; none for all tokens up to a time.
type Tokens = (TenantId, UserId, Option<Arc<str>>);

impl RevocationStore for MemoryRevocations {
    fn keep<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreError>> {
        let (login, second) = match &revocation.tokens {
            RevokedTokens::OfSession(login) => (Some(Arc::clone(login)), 0),
            RevokedTokens::IssuedThrough(second) => (None, *second),
        };
        let key = (revocation.tenant.clone(), revocation.user.clone(), login);
        let mut rows = self.rows.lock().expect("not poisoned");
        let known = rows.entry(key).or_default();
        *known = (second, revocation.until).max(*known);
        async { Ok(()) }.boxed()
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Revocation>, StoreError>> {
        let rows = self.rows.lock().expect("not poisoned");
        let revocation = |((tenant, user, login), (second, until)): (&Tokens, &(i64, i64))| {
            let tokens = match login {
                Some(login) => RevokedTokens::OfSession(Arc::clone(login)),
                None => RevokedTokens::IssuedThrough(*second),
            };
            Revocation { tenant: tenant.clone(), user: user.clone(), tokens, until: *until }
        };
        let all = rows.iter().map(revocation).collect();
        async move { Ok(all) }.boxed()
    }

    fn sweep(&self, now: i64) -> BoxFuture<'_, Result<usize, StoreError>> {
        let mut rows = self.rows.lock().expect("not poisoned");
        let before = rows.len();
        rows.retain(|_, (_, until)| *until > now);
        let removed = before - rows.len();
        async move { Ok(removed) }.boxed()
    }
}

/// When users were last here.
#[derive(Clone, Default)]
pub(crate) struct MemoryLastSeen {
    rows: Arc<Mutex<HashMap<(TenantId, UserId), i64>>>,
    /// Whom it was told of, in order.
    noted: Arc<Mutex<Vec<UserId>>>,
}

impl MemoryLastSeen {
    /// How often it was told of this user.
    pub(crate) fn noted(&self, name: &str) -> usize {
        let noted = self.noted.lock().expect("not poisoned");
        noted.iter().filter(|user| user.as_str() == name).count()
    }
}

impl LastSeenStore for MemoryLastSeen {
    fn note<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        time: i64,
        slack: i64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.noted.lock().expect("not poisoned").push(user.clone());
        let mut rows = self.rows.lock().expect("not poisoned");
        let known = rows.entry((tenant.clone(), user.clone())).or_default();
        if time > *known + slack {
            *known = time;
        }
        async { Ok(()) }.boxed()
    }

    fn times<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<i64>, StoreError>> {
        let rows = self.rows.lock().expect("not poisoned");
        let time = |user: &UserId| rows.get(&(tenant.clone(), user.clone())).copied();
        let times = users.iter().map(|user| time(user).unwrap_or(0)).collect();
        async move { Ok(times) }.boxed()
    }
}
