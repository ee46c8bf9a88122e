//! Sharded publish and subscribe over one connection. What arrives is handed on by
//! the driver's own task: who is too slow for it fills the socket, and is cut off by
//! Redis (`client-output-buffer-limit pubsub`).

use std::{fmt, time::Duration};

use redis::{AsyncConnectionConfig, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::watch;

use super::{Error, Redis};

/// How long an answer may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// One connection. It ends when it is dropped, or with the first error.
pub struct Line {
    redis: Redis,
    connection: redis::aio::MultiplexedConnection,
    ended: watch::Receiver<bool>,
}

impl Redis {
    /// Connects; whatever arrives of subscribed topics goes to `heard`, which returns at
    /// once.
    ///
    /// # Errors
    /// When nobody answers, or not as Redis does.
    pub async fn line(&self, heard: impl Fn(&[u8]) + Send + Sync + 'static) -> Result<Line, Error> {
        let (end, ended) = watch::channel(false);
        let config = AsyncConnectionConfig::new().set_push_sender(move |push: PushInfo| {
            match (push.kind, push.data.last()) {
                (PushKind::SMessage, Some(Value::BulkString(bytes))) => heard(bytes),
                (PushKind::Disconnection, _) => {
                    end.send_replace(true);
                }
                _ => {}
            }
            Ok::<(), ()>(())
        });
        let connection = self.connect(config, PATIENCE).await?;
        Ok(Line { redis: self.clone(), connection, ended })
    }
}

impl Line {
    /// Subscribes; answered when all of it is in effect.
    ///
    /// # Errors
    /// When the answer fails, or takes too long.
    pub async fn subscribe(&self, topics: &[String]) -> Result<(), Error> {
        self.each("SSUBSCRIBE", topics).await
    }

    /// Ends subscriptions.
    ///
    /// # Errors
    /// When the answer fails, or takes too long.
    pub async fn unsubscribe(&self, topics: &[String]) -> Result<(), Error> {
        self.each("SUNSUBSCRIBE", topics).await
    }

    /// Publishes messages to topics, in this order.
    ///
    /// # Errors
    /// When the answer fails, or takes too long.
    pub async fn publish<M: AsRef<[u8]>>(&self, messages: &[(String, M)]) -> Result<(), Error> {
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for (topic, message) in messages {
            pipeline.cmd("SPUBLISH").arg(self.redis.name(topic)).arg(message.as_ref());
        }
        self.run(&pipeline).await
    }

    /// Asks whether the server is there.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("PING");
        self.run(&pipeline).await
    }

    /// Resolves when the server has closed the connection.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // The sender is the driver's: gone, it has ended, too.
        let _gone = ended.wait_for(|ended| *ended).await.is_err();
    }

    /// A command for each topic, because the answer to one is one confirmation for each
    /// of its topics, and the driver counts one for each command.
    async fn each(&self, command: &str, topics: &[String]) -> Result<(), Error> {
        let mut pipeline = Pipeline::with_capacity(topics.len());
        for topic in topics {
            pipeline.cmd(command).arg(self.redis.name(topic));
        }
        self.run(&pipeline).await
    }

    async fn run(&self, pipeline: &Pipeline) -> Result<(), Error> {
        let done = pipeline.exec_async(&mut self.connection.clone()).await;
        done.map_err(|error| Error::of(&error))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("redis", &self.redis).finish_non_exhaustive()
    }
}
