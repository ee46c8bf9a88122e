//! The connection to a Redis, 7.0 or later (or a Valkey): for what may be lost.
//! Nothing durable is kept there, and no promise rests on it.
//!
//! It owns how to connect, how long an answer may take, and what is sent: sharded
//! publish and subscribe ([`Line`]), scripts ([`Script`]) and values ([`Values`]). It never knows what the
//! bytes mean. One server, or whatever looks like one: it follows no redirection of a
//! Redis Cluster.

mod held;
mod line;
mod script;
mod values;

use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    ProtocolVersion, RedisError, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

pub use self::{line::Line, script::Script, values::Values};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Why Redis does not do what it is asked. Whether it did it all the same is not
/// known.
#[derive(Clone, Debug, thiserror::Error)]
#[error("redis: {0}")]
pub struct Error(String);

impl Error {
    /// Of what the driver says; its text never holds the password.
    fn of(error: &RedisError) -> Self {
        Self(error.to_string())
    }
}

/// Where a Redis is, and who Confab is to it. Opens nothing by itself.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    /// In front of all keys and topics, with a slash.
    prefix: String,
}

impl Redis {
    /// At `redis://user:password@host:port/`; all keys and topics begin with the prefix.
    ///
    /// # Errors
    /// When the URL is none of a Redis.
    pub fn new(url: &str, prefix: &str) -> Result<Self, Error> {
        let info = url.into_connection_info().map_err(|error| Error::of(&error))?;
        let client = Client::open(settings(info)?).map_err(|error| Error::of(&error))?;
        Ok(Self { client, prefix: format!("{prefix}/") })
    }

    /// A connection. An answer that takes longer is an error.
    async fn connect(
        &self,
        config: AsyncConnectionConfig,
        patience: Duration,
    ) -> Result<MultiplexedConnection, Error> {
        let config =
            config.set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(patience));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config);
        connected.await.map_err(|error| Error::of(&error))
    }

    /// The name of a key or topic in this Redis.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Messages come as pushes, which only the protocol's third version has.
fn settings(info: ConnectionInfo) -> Result<ConnectionInfo, Error> {
    if !matches!(info.addr(), ConnectionAddr::Tcp(..)) {
        return Err(Error("is not at redis://host:port".to_owned()));
    }
    let redis = info.redis_settings().clone();
    let redis = redis.set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    Ok(info.set_redis_settings(redis).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// Shows no password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
