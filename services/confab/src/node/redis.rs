//! Redis as the broker of the bus, as the place of budgets and of what is remembered, and
//! as where processes tell each other who is here: the ports of the kit and of realtime,
//! on the store's connections.

use std::sync::Arc;

#[cfg(not(feature = "redis"))]
use confab_kit::config::Config;
use confab_kit::{bus::Broker, rates::SharedBudgets, shared_cache::Values};
use confab_realtime::store::Rooms;

#[cfg(not(feature = "redis"))]
use super::StartError;

/// What a Redis is used as.
pub struct Parts {
    /// Between the buses of processes.
    pub broker: Arc<dyn Broker>,
    /// Users' budgets.
    pub budgets: Arc<dyn SharedBudgets>,
    /// Who is at which process.
    pub rooms: Arc<dyn Rooms>,
    /// What is remembered for all processes.
    pub values: Arc<dyn Values>,
}

/// The Redis of the configuration, if there is one. Connects to nothing.
///
/// # Errors
/// [`StartError`] when it cannot be used as it is configured.
#[cfg(not(feature = "redis"))]
pub fn open(config: &Config) -> Result<Option<Parts>, StartError> {
    if config.redis.is_configured() {
        let problem = "is set, but this program was built without the feature redis";
        return Err(StartError::Redis(problem.to_owned()));
    }
    Ok(None)
}

#[cfg(feature = "redis")]
pub use adapter::open;

#[cfg(feature = "redis")]
mod adapter;
