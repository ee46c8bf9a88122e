//! The ports and the connection, put together.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use confab_kit::{
    bus::{Broker, BrokerError, Heard, Line},
    config::Config,
    link::Away,
    rates::{BudgetKey, SharedBudgets, gcra::Quota},
    shared_cache::Values,
};
use confab_realtime::store::redis::RedisRooms;
use confab_store::redis::{self as store, Redis, Script};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::{super::StartError, Parts};

const BUDGETS: &str = include_str!("budgets.lua");
/// More than a century in microseconds: Lua's numbers are whole up to 2^53.
const MAX_MICROS: u64 = 1 << 52;

/// The Redis of the configuration, if there is one. Connects to nothing.
///
/// # Errors
/// [`StartError`] when it cannot be used as it is configured.
pub fn open(config: &Config) -> Result<Option<Parts>, StartError> {
    let Some(url) = config.redis_url()? else { return Ok(None) };
    let redis = Redis::new(&url, &config.redis.prefix);
    let redis = redis.map_err(|error| StartError::Redis(error.to_string()))?;
    let budgets = Arc::new(RedisBudgets(redis.script(BUDGETS)));
    let rooms = Arc::new(RedisRooms::new(&redis));
    let values = Arc::new(RedisValues(redis.values()));
    Ok(Some(Parts { broker: Arc::new(RedisBroker(redis)), budgets, rooms, values }))
}

struct RedisBroker(Redis);

struct RedisLine(store::Line);

struct RedisBudgets(Script);

struct RedisValues(store::Values);

impl Broker for RedisBroker {
    fn connect(&self, heard: Heard) -> BoxFuture<'_, Result<Box<dyn Line>, BrokerError>> {
        async move {
            let line =
                self.0.line(move |bytes| heard(bytes)).await.map_err(|error| broken(&error))?;
            Ok(Box::new(RedisLine(line)) as Box<dyn Line>)
        }
        .boxed()
    }
}

impl Line for RedisLine {
    fn subscribe(&self, topics: Vec<String>) -> BoxFuture<'_, Result<(), BrokerError>> {
        async move { self.0.subscribe(&topics).await.map_err(|error| broken(&error)) }.boxed()
    }

    fn unsubscribe(&self, topics: Vec<String>) -> BoxFuture<'_, Result<(), BrokerError>> {
        async move { self.0.unsubscribe(&topics).await.map_err(|error| broken(&error)) }.boxed()
    }

    fn publish(&self, signals: Vec<(String, Bytes)>) -> BoxFuture<'_, Result<(), BrokerError>> {
        async move { self.0.publish(&signals).await.map_err(|error| broken(&error)) }.boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BrokerError>> {
        async move { self.0.ping().await.map_err(|error| broken(&error)) }.boxed()
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        self.0.ended().boxed()
    }
}

impl SharedBudgets for RedisBudgets {
    fn connect(&self) -> BoxFuture<'_, Result<(), Away>> {
        async move { self.0.connect().await.map_err(|error| away(&error)) }.boxed()
    }

    fn take(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> BoxFuture<'_, Result<Result<(), Duration>, Away>> {
        async move {
            // One key, so that both budgets are in one place in any kind of Redis. The
            // tenant and the user are in its hash.
            let key = format!("budget/{}", hex::encode(key.0));
            let numbers = quotas.map(numbers).concat();
            match self.0.run(&key, &numbers).await.map_err(|error| away(&error))? {
                0 => Ok(Ok(())),
                early => Ok(Err(Duration::from_micros(early))),
            }
        }
        .boxed()
    }
}

impl Values for RedisValues {
    fn connect(&self) -> BoxFuture<'_, Result<(), Away>> {
        async move { self.0.connect().await.map_err(|error| away(&error)) }.boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Away>> {
        async move { self.0.get(name).await.map_err(|error| away(&error)) }.boxed()
    }

    fn put(&self, name: String, value: Bytes, time: Duration) -> BoxFuture<'_, Result<(), Away>> {
        async move { self.0.put(&name, &value, time).await.map_err(|error| away(&error)) }.boxed()
    }

    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), Away>> {
        async move { self.0.remove(&names).await.map_err(|error| away(&error)) }.boxed()
    }

    fn remove_all<'a>(&'a self, beginning: &'a str) -> BoxFuture<'a, Result<(), Away>> {
        async move { self.0.remove_all(beginning).await.map_err(|error| away(&error)) }.boxed()
    }
}

/// Interval and tolerance in microseconds; no interval is no limit.
fn numbers(quota: Option<Quota>) -> [u64; 2] {
    let Some(quota) = quota else { return [0, 0] };
    // Rounded up, as in the kit, and the tolerance with it: the whole burst passes.
    let interval = quota.interval().as_nanos().div_ceil(1000);
    let interval = u64::try_from(interval).unwrap_or(MAX_MICROS).min(MAX_MICROS);
    [interval, interval.saturating_mul(quota.burst()).min(MAX_MICROS)]
}

fn broken(error: &store::Error) -> BrokerError {
    BrokerError(error.to_string())
}

fn away(error: &store::Error) -> Away {
    Away(error.to_string())
}
