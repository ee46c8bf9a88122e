//! A Redis in memory, as far as rooms need one: under paused time, and away, slow or
//! empty whenever a test says so. It passes the conformance suite as the real one does.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use confab_log::{TenantId, UserId};
use confab_realtime::store::{LIVES, Rooms, Said, StoreError, Word};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::{Instant, sleep};

type Who = (TenantId, UserId);

/// What all processes share.
#[derive(Clone, Default)]
pub(crate) struct MemoryRedis(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The names that live, and until when.
    living: HashMap<u64, Instant>,
    rooms: HashMap<Who, Room>,
    names: u64,
    clock: i64,
    away: bool,
    latency: Duration,
}

#[derive(Default)]
struct Room {
    places: Vec<u64>,
    said: Option<Said>,
}

/// One process's way to it.
#[derive(Clone)]
pub(crate) struct MemoryRooms {
    redis: MemoryRedis,
    /// The name, and the one before; 0 without one.
    names: Arc<Mutex<(u64, u64)>>,
    cut: Arc<AtomicBool>,
}

impl MemoryRedis {
    pub(crate) fn process(&self) -> MemoryRooms {
        MemoryRooms { redis: self.clone(), names: Arc::default(), cut: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("not poisoned")
    }

    /// FLUSHALL.
    pub(crate) fn flush(&self) {
        let mut inner = self.lock();
        inner.living.clear();
        inner.rooms.clear();
    }

    /// From now on it answers nobody, or everybody.
    pub(crate) fn is_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// From now on each answer takes so long.
    pub(crate) fn is_slow(&self, latency: Duration) {
        self.lock().latency = latency;
    }
}

impl MemoryRooms {
    /// The process is killed, as far as the others see it.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Does something in it, by the names that this process had when it asked.
    async fn with<T>(
        &self,
        work: impl FnOnce(&mut Inner, (u64, u64)) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let names = *self.names.lock().expect("not poisoned");
        let latency = self.redis.lock().latency;
        sleep(latency).await;
        let mut inner = self.redis.lock();
        if inner.away || self.cut.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("away"));
        }
        let now = Instant::now();
        inner.living.retain(|_, until| *until > now);
        work(&mut inner, names)
    }
}

impl Inner {
    fn live(&mut self, name: u64) {
        self.living.insert(name, Instant::now() + LIVES);
    }

    fn lives(&self, name: u64) -> Result<(), StoreError> {
        let known = self.living.contains_key(&name);
        known.then_some(()).ok_or_else(|| StoreError::unavailable("forgotten"))
    }

    /// What is known of a user whom a process that lives has.
    fn said(&self, who: &Who) -> Option<Said> {
        let room = self.rooms.get(who)?;
        let here = room.places.iter().any(|place| self.living.contains_key(place));
        here.then(|| room.said.clone().unwrap_or_else(Said::nothing))
    }

    fn tell(&mut self, who: &Who, (now, before): (u64, u64), word: &Word) -> Option<Said> {
        if self.said(who).is_none() {
            self.rooms.remove(who);
        }
        self.clock += 1;
        let clock = 1_700_000_000_000_000 + self.clock;
        let room = self.rooms.entry(who.clone()).or_default();
        if !matches!(word, Word::Says(_)) {
            room.places.retain(|place| ![now, before].contains(place));
        }
        if let Word::Here(_) = word {
            room.places.push(now);
        }
        if let Word::Here(Some(said)) | Word::Says(said) = word {
            let known = room.said.as_ref().map_or(0, |said| said.at);
            let at = if said.at == 0 { clock.max(known + 1) } else { said.at };
            if at >= known {
                room.said = Some(Said { at, ..said.clone() });
            }
        }
        let said = self.said(who);
        if said.is_none() {
            self.rooms.remove(who);
        }
        said
    }
}

impl Rooms for MemoryRooms {
    fn enter(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let entered = self.with(|inner, _| {
                inner.names += 1;
                inner.live(inner.names);
                Ok(inner.names)
            });
            let name = entered.await?;
            let mut names = self.names.lock().expect("not poisoned");
            *names = (name, names.0);
            Ok(())
        }
        .boxed()
    }

    fn stay(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(|inner, (now, _)| inner.lives(now).map(|()| inner.live(now))).boxed()
    }

    fn tell<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        word: &'a Word,
    ) -> BoxFuture<'a, Result<Option<Said>, StoreError>> {
        let who = (tenant.clone(), user.clone());
        self.with(move |inner, names| {
            inner.lives(names.0)?;
            Ok(inner.tell(&who, names, word))
        })
        .boxed()
    }

    fn ask<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Option<Said>>, StoreError>> {
        self.with(move |inner, (now, _)| {
            inner.lives(now)?;
            Ok(users.iter().map(|user| inner.said(&(tenant.clone(), user.clone()))).collect())
        })
        .boxed()
    }
}
