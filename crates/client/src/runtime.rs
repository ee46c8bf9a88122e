//! The only file of this crate that touches time, randomness and the executor.
//! It never decides anything: how long to wait is for `backoff` and the options.

#![expect(
    clippy::disallowed_methods,
    reason = "the client depends on nothing of the server, so this file is its kit"
)]

use std::{future::Future, time::Duration};

use rand::Rng as _;
use tokio::task::JoinHandle;

pub(crate) use tokio::time::{Instant, error::Elapsed};

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits.
pub(crate) async fn sleep(delay: Duration) {
    tokio::time::sleep(delay).await;
}

/// Waits until a point in time.
pub(crate) async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
}

/// Gives a future so much time.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(limit, future).await
}

/// Runs a future beside the caller.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(future)
}

/// Between half and one and a half of `delay`, so that clients that lost one
/// server do not come back in step.
pub(crate) fn jitter(delay: Duration) -> Duration {
    delay.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// A fresh request id.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
