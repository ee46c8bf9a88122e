//! Sessions in memory, for tests under paused time, where nothing may wait for
//! a real disk. It passes the conformance suite as the real one does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use confab_realtime::store::{
    SESSION_TTL, Saved, SessionKey, SessionRecord, SessionStore, StoreError,
};
use futures_util::{FutureExt as _, future::BoxFuture};

/// See the module.
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

    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Saved, StoreError>> {
        *self.saves.lock().expect("not poisoned") += 1;
        let saved = self.with(|rows| match rows.get_mut(key) {
            Some(stored) if stored.epoch == record.epoch => {
                *stored = record.clone();
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
