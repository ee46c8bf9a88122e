//! Values by their names, each for a time, over one connection at a time.

use std::{fmt, time::Duration};

use redis::{Cmd, FromRedisValue, RedisResult, cmd};

use super::{Error, Redis, held::Held};

/// Names that are looked through at a time for those to be removed.
const SCAN: usize = 1000;

/// See the module. Not connected at first.
pub struct Values {
    redis: Redis,
    connection: Held,
}

impl Redis {
    /// Values that may be lost at any time.
    pub fn values(&self) -> Values {
        Values { redis: self.clone(), connection: Held::default() }
    }
}

impl Values {
    /// Connects anew.
    ///
    /// # Errors
    /// When nobody answers, or not as Redis does.
    pub async fn connect(&self) -> Result<(), Error> {
        self.connection.hold(Held::open(&self.redis).await?);
        Ok(())
    }

    /// A value, if there is one; none where somebody has put something else there.
    ///
    /// # Errors
    /// When it is not connected, or the answer fails or takes too long.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.ask(cmd("GET").arg(self.redis.name(name))).await? {
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
            answer => answer.map_err(|error| Error::of(&error)),
        }
    }

    /// Keeps a value for so long, to the millisecond.
    ///
    /// # Errors
    /// As [`Self::get`]; it may be kept then.
    pub async fn put(&self, name: &str, value: &[u8], time: Duration) -> Result<(), Error> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        self.run(cmd("SET").arg(self.redis.name(name)).arg(value).arg("PX").arg(millis)).await
    }

    /// Removes values.
    ///
    /// # Errors
    /// As [`Self::get`]; some may be removed then.
    pub async fn remove(&self, names: &[String]) -> Result<(), Error> {
        let names: Vec<String> = names.iter().map(|name| self.redis.name(name)).collect();
        self.unlink(&names).await
    }

    /// Removes all values whose names begin so, and were there before the call. It looks
    /// through all names of the server.
    ///
    /// # Errors
    /// As [`Self::get`]; some may be removed then.
    pub async fn remove_all(&self, beginning: &str) -> Result<(), Error> {
        // Names hold nothing that means something in a pattern.
        let pattern = format!("{}*", self.redis.name(beginning));
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN);
            let (next, names): (u64, Vec<String>) = self.run(&scan).await?;
            self.unlink(&names).await?;
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn unlink(&self, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        self.run(cmd("UNLINK").arg(names)).await
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.ask(command).await?.map_err(|error| Error::of(&error))
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<RedisResult<T>, Error> {
        let mut connection = self.connection.get()?;
        Ok(command.query_async(&mut connection).await)
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("redis", &self.redis).finish_non_exhaustive()
    }
}
