//! Who is where, in Redis: `rooms.lua` does all of it. A process has a new name after
//! each connection, so that what it said before, and what of it arrives late, ends by
//! itself.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use confab_kit::random;
use confab_log::{TenantId, UserId, mutant};
use confab_store::redis::{Redis, Script};
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{LIVES, Rooms, Said, Status, StoreError, Word};

const SCRIPT: &str = include_str!("redis/rooms.lua");
const PROCESSES: &str = "rooms";

/// See the module.
#[derive(Debug)]
pub struct RedisRooms {
    script: Script,
    lives: Duration,
    names: Mutex<Names>,
}

/// This process's name, and the one before; empty without one.
#[derive(Clone, Debug, Default)]
struct Names {
    now: String,
    before: String,
}

impl RedisRooms {
    /// For a process of this Redis. Connects to nothing.
    pub fn new(redis: &Redis) -> Self {
        Self::with_life(redis, LIVES)
    }

    /// The same, where processes that are silent are gone after another time than
    /// [`LIVES`]; all processes of a Redis need the same.
    pub fn with_life(redis: &Redis, lives: Duration) -> Self {
        Self { script: redis.script(SCRIPT), lives, names: Mutex::default() }
    }

    fn names(&self) -> Names {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs one part of the script. The answer without its first word.
    async fn run(
        &self,
        what: &str,
        names: &Names,
        users: &[String],
        more: &[&str],
    ) -> Result<Vec<Option<Said>>, StoreError> {
        let day = Duration::from_hours(24);
        let lives = if mutant::is("room-outlives-process") { day } else { self.lives };
        let lives = lives.as_micros().to_string();
        let keys: Vec<&str> =
            std::iter::once(PROCESSES).chain(users.iter().map(String::as_str)).collect();
        let arguments = [&[what, &names.now, &lives], more].concat();
        let answer = self.script.list(&keys, &arguments).await;
        let answer = answer.map_err(|error| StoreError::unavailable(error.to_string()))?;
        let (_, said) = answer
            .split_first()
            .ok_or_else(|| StoreError::unavailable("redis has forgotten this process"))?;
        let said: Vec<Option<Said>> = said.chunks(3).map(parse).collect();
        let complete = said.len() == users.len();
        complete.then_some(said).ok_or_else(|| StoreError::corrupt("an answer of rooms.lua"))
    }
}

impl Rooms for RedisRooms {
    fn enter(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let connected = self.script.connect().await;
            connected.map_err(|error| StoreError::unavailable(error.to_string()))?;
            let names = Names { now: random::uuid(), before: self.names().now };
            self.run("enter", &names, &[], &[]).await?;
            *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
            Ok(())
        }
        .boxed()
    }

    fn stay(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.run("stay", &self.names(), &[], &[]).await.map(drop) }.boxed()
    }

    fn tell<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        word: &'a Word,
    ) -> BoxFuture<'a, Result<Option<Said>, StoreError>> {
        async move {
            let names = self.names();
            let (kind, said) = match word {
                Word::Here(said) => ("here", said.as_ref()),
                Word::Gone => ("gone", None),
                Word::Says(said) => ("says", Some(said)),
            };
            let at = said.map(|said| said.at.to_string()).unwrap_or_default();
            let mut more = vec![names.before.as_str(), kind];
            if let Some(said) = said {
                more.extend([name(said.status), &said.text, &at]);
            }
            let answer = self.run("tell", &names, &[key(tenant, user)], &more).await?;
            Ok(answer.into_iter().next().flatten())
        }
        .boxed()
    }

    fn ask<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Option<Said>>, StoreError>> {
        async move {
            let keys: Vec<String> = users.iter().map(|user| key(tenant, user)).collect();
            self.run("ask", &self.names(), &keys, &[]).await
        }
        .boxed()
    }
}

/// No id holds a slash, so no two users share a key.
fn key(tenant: &TenantId, user: &UserId) -> String {
    format!("room/{tenant}/{user}")
}

fn name(status: Status) -> &'static str {
    match status {
        Status::Away => "away",
        Status::Online | Status::Offline => "online",
    }
}

/// Status, text and time of one user. What nobody can have written is not believed.
fn parse(fields: &[Vec<u8>]) -> Option<Said> {
    let [status, text, at] = fields else { return None };
    let status = match status.as_slice() {
        b"" => return None,
        b"away" => Status::Away,
        _ => Status::Online,
    };
    let at = std::str::from_utf8(at).ok().and_then(|at| at.parse().ok());
    let text = String::from_utf8_lossy(text).into_owned();
    Some(Said { status, text, at: at.unwrap_or(0) })
}
