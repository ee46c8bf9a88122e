//! A script that runs in Redis, on one connection at a time: as a whole or not at all,
//! and nobody else's command in between.

use std::fmt;

use redis::{FromRedisValue, ToRedisArgs};

use super::{Error, Redis, held::Held};

/// See the module. Not connected at first.
pub struct Script {
    redis: Redis,
    lua: redis::Script,
    connection: Held,
}

impl Redis {
    /// A script in Lua. All keys that it touches must be among those it is called with.
    pub fn script(&self, lua: &str) -> Script {
        let lua = redis::Script::new(lua);
        Script { redis: self.clone(), lua, connection: Held::default() }
    }
}

impl Script {
    /// Connects anew, and puts the script into Redis.
    ///
    /// # Errors
    /// When nobody answers, or not as Redis does.
    pub async fn connect(&self) -> Result<(), Error> {
        let mut connection = Held::open(&self.redis).await?;
        let loaded = self.lua.load_async(&mut connection).await;
        loaded.map_err(|error| Error::of(&error))?;
        self.connection.hold(connection);
        Ok(())
    }

    /// Runs it with one key; its answer.
    ///
    /// # Errors
    /// When it is not connected, or the answer fails or takes too long. It may have run
    /// then.
    pub async fn run(&self, key: &str, arguments: &[u64]) -> Result<u64, Error> {
        self.invoke(&[key], arguments).await
    }

    /// Runs it with several keys; its answer is a list.
    ///
    /// # Errors
    /// As [`Script::run`].
    pub async fn list(&self, keys: &[&str], arguments: &[&str]) -> Result<Vec<Vec<u8>>, Error> {
        self.invoke(keys, arguments).await
    }

    async fn invoke<A: ToRedisArgs, R: FromRedisValue>(
        &self,
        keys: &[&str],
        arguments: &[A],
    ) -> Result<R, Error> {
        let mut connection = self.connection.get()?;
        let mut call = self.lua.prepare_invoke();
        for key in keys {
            call.key(self.redis.name(key));
        }
        for argument in arguments {
            call.arg(argument);
        }
        call.invoke_async(&mut connection).await.map_err(|error| Error::of(&error))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("redis", &self.redis).finish_non_exhaustive()
    }
}
