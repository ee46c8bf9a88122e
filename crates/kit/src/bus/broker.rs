//! What the bus needs of a broker: a port. It may lose anything, and forgets what was
//! followed when the connection ends.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Takes what arrives: a signal as it was published. Returns at once.
pub type Heard = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Why a broker does not do what it is asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(pub String);

/// Something that carries bytes to whoever follows a topic.
pub trait Broker: Send + Sync {
    /// Connects once. What arrives over this connection goes to `heard`.
    fn connect(&self, heard: Heard) -> BoxFuture<'_, Result<Box<dyn Line>, BrokerError>>;
}

/// One connection to it. Each call ends, within seconds; after one that failed the
/// connection is given up. Dropping it closes it.
pub trait Line: Send + Sync {
    /// Follows these topics: answered when whatever is published from then on arrives.
    fn subscribe(&self, topics: Vec<String>) -> BoxFuture<'_, Result<(), BrokerError>>;
    /// Follows them no more.
    fn unsubscribe(&self, topics: Vec<String>) -> BoxFuture<'_, Result<(), BrokerError>>;
    /// Publishes, in this order.
    fn publish(&self, signals: Vec<(String, Bytes)>) -> BoxFuture<'_, Result<(), BrokerError>>;
    /// Whether the other end still answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), BrokerError>>;
    /// Resolves when the connection is known to have ended.
    fn lost(&self) -> BoxFuture<'_, ()>;
}

impl fmt::Debug for dyn Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broker")
    }
}
