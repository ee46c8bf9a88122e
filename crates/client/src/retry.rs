//! The one retry loop. It decides when to try again and when to stop; what a
//! try is, and that every try of a command carries the same ids, is the caller's.

use std::{future::Future, time::Duration};

use crate::{backoff::Backoff, error::Error, runtime, token::Tokens};

/// The longest that one try may take.
const ATTEMPT: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How a request ended that did not succeed.
pub(crate) struct GaveUp {
    /// How the last try ended.
    pub(crate) error: Error,
    /// Whether some try may have taken effect.
    pub(crate) outcome_open: bool,
}

/// Tries until an answer comes, a refusal that waiting cannot change, or the
/// budget is spent. `attempt` is given the time that it may take.
pub(crate) async fn retry<T, F, Fut>(
    budget: Duration,
    tokens: &Tokens,
    mut attempt: F,
) -> Result<T, GaveUp>
where
    F: FnMut(Duration) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let deadline = runtime::now() + budget;
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    let mut outcome_open = false;
    let mut token_renewed = false;
    loop {
        let limit = deadline.saturating_duration_since(runtime::now()).min(ATTEMPT);
        let answer = runtime::timeout(limit, attempt(limit)).await;
        let error = match answer.unwrap_or(Err(Error::TimedOut)) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // The transport has forgotten the token; the next try asks for another.
        let renew = error.is_unauthenticated() && tokens.can_refresh() && !token_renewed;
        token_renewed |= renew;
        if !renew && !error.is_retryable() {
            // A refusal after a look at the log: no earlier try took effect.
            return Err(GaveUp { error, outcome_open: false });
        }
        outcome_open |= error.leaves_outcome_open();
        let delay = match error.retry_after() {
            _ if renew => Duration::ZERO,
            Some(delay) => delay,
            None => backoff.advance(),
        };
        if runtime::now() + delay >= deadline {
            return Err(GaveUp { error, outcome_open });
        }
        tracing::debug!(%error, delay_ms = delay.as_millis(), "trying again");
        runtime::sleep(delay).await;
    }
}
