//! A connection that is made again when it is broken, and used by many at once.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};

use super::{Error, Redis};

/// How long an answer may take at most; whoever has less patience drops the call.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module. None at first.
#[derive(Default)]
pub(super) struct Held(RwLock<Option<MultiplexedConnection>>);

impl Held {
    /// A new one, which nobody else has yet.
    ///
    /// # Errors
    /// When nobody answers, or not as Redis does.
    pub(super) async fn open(redis: &Redis) -> Result<MultiplexedConnection, Error> {
        redis.connect(AsyncConnectionConfig::new(), PATIENCE).await
    }

    /// From now on this one is used.
    pub(super) fn hold(&self, connection: MultiplexedConnection) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// The one that is held.
    ///
    /// # Errors
    /// When there was none yet.
    pub(super) fn get(&self) -> Result<MultiplexedConnection, Error> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        held.ok_or_else(|| Error("not connected".to_owned()))
    }
}
