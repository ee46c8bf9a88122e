//! Deadlines: a test that hangs fails and says where.

use std::{future::Future, time::Duration};

use super::{Checked, Violation};

/// Between two looks of [`eventually`].
const POLL: Duration = Duration::from_millis(5);

/// Waits for a future; that it does not end is a violation.
///
/// # Errors
/// [`Violation::Broken`] after `limit`.
pub async fn within<F: Future>(limit: Duration, what: &str, future: F) -> Checked<F::Output> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Violation::broken(format!("no end within {limit:?}: {what}")))
}

/// Asks again until there is an answer.
///
/// # Errors
/// [`Violation::Broken`] after `limit`, or whatever asking fails with.
pub async fn eventually<T, F, Fut>(limit: Duration, what: &str, mut ask: F) -> Checked<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Checked<Option<T>>>,
{
    let asking = async {
        loop {
            if let Some(found) = ask().await? {
                return Ok(found);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    within(limit, what, asking).await?
}
