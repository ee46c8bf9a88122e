//! Real servers for tests: Redis and a CQL server, from ordinary packages, or
//! those that `CONFAB_TEST_REDIS` and `CONFAB_TEST_CQL` name. One of each is
//! started for a whole test run and shared; a test that stops or starves a server
//! starts its own. And a browser. What they are started from is described in `tests/backends`.
//!
//! It knows no driver: whoever talks to a server brings one.

pub mod cassandra;
mod chromium;
mod fetch;
pub mod redis;
mod server;

use std::{
    sync::{LazyLock, OnceLock},
    thread,
};

pub use cassandra::Cassandra;
pub use chromium::Chromium;
pub use redis::Redis;
pub use server::Server;

use super::skipped;

/// Why there is no server: the reason of a skip.
pub type Unavailable = String;

/// Addresses of a CQL server, `host:port` each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CqlAddresses(pub Vec<String>);

static CQL: LazyLock<Shared<CqlAddresses>> = LazyLock::new(Shared::default);
static REDIS: LazyLock<Shared<String>> = LazyLock::new(Shared::default);

/// Begins to start the servers, without waiting for them: a CQL server takes
/// 20 s, in which other tests can run.
pub fn begin() {
    thread::spawn(|| CQL.get(start_cql));
    thread::spawn(|| REDIS.get(start_redis));
}

/// The run's CQL server. Each test makes a keyspace of its own in it.
///
/// # Errors
/// Why there is none.
pub async fn cql() -> Result<CqlAddresses, Unavailable> {
    begin();
    wait_for(|| CQL.get(start_cql)).await
}

/// The address of the run's Redis. Each test takes a key prefix of its own.
///
/// # Errors
/// Why there is none.
pub async fn redis() -> Result<String, Unavailable> {
    wait_for(|| REDIS.get(start_redis)).await
}

/// The run's CQL server; without one the test is told as skipped.
pub async fn cql_or_skip(test: &str) -> Option<CqlAddresses> {
    cql().await.inspect_err(|why| skipped(test, why)).ok()
}

/// The run's Redis; without one the test is told as skipped.
pub async fn redis_or_skip(test: &str) -> Option<String> {
    redis().await.inspect_err(|why| skipped(test, why)).ok()
}

/// A Redis to do to as the test likes; without one the test is told as skipped.
pub async fn own_redis_or_skip(test: &str) -> Option<Redis> {
    wait_for(Redis::start).await.inspect_err(|why| skipped(test, why)).ok()
}

/// The processes behind the shared servers, if they are ours, never end before
/// this process does: its end closes their watchdogs' pipes.
struct Shared<T> {
    started: OnceLock<Result<T, Unavailable>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { started: OnceLock::new() }
    }
}

impl<T: Clone> Shared<T> {
    fn get(&self, start: fn() -> Result<T, Unavailable>) -> Result<T, Unavailable> {
        self.started.get_or_init(start).clone()
    }
}

fn start_cql() -> Result<CqlAddresses, Unavailable> {
    if let Some(given) = given("CONFAB_TEST_CQL") {
        return Ok(CqlAddresses(given.split(',').map(|one| one.trim().to_owned()).collect()));
    }
    let cassandra = Cassandra::start(1)?;
    let addresses = cassandra.addresses();
    std::mem::forget(cassandra);
    Ok(addresses)
}

fn start_redis() -> Result<String, Unavailable> {
    if let Some(given) = given("CONFAB_TEST_REDIS") {
        return Ok(given);
    }
    let redis = Redis::start()?;
    let address = redis.address().to_string();
    std::mem::forget(redis);
    Ok(address)
}

fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

async fn wait_for<T: Send + 'static>(
    start: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
) -> Result<T, Unavailable> {
    let started = tokio::task::spawn_blocking(start).await;
    started.unwrap_or_else(|panicked| Err(format!("the start panicked: {panicked}")))
}
