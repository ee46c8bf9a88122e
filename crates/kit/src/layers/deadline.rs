//! Chooses each call's deadline and holds it: a unary call always has one, a
//! stream only when its caller asks. Also ends the standard services' streams
//! when the process drains; our own say goodbye themselves.

use std::{convert::Infallible, future::Future, time::Duration};

use http::{HeaderMap, Response};
use tokio::time::Instant;
use tonic::body::Body;

use super::policy::Rpc;
use crate::{
    config::Limits,
    deadline::{self, EndingBody},
    error::{Error, Reason},
    lifecycle::Lifecycle,
};

/// Watchers of health get to see that it is gone before their stream ends.
const LAST_WORD: Duration = Duration::from_secs(1);

/// When the call must have ended.
pub(super) fn of(rpc: Rpc, limits: &Limits, headers: &HeaderMap) -> Option<Instant> {
    let asked = deadline::timeout_of(headers);
    let timeout = if rpc.is_streaming() {
        asked?
    } else {
        let default = Duration::from_millis(limits.default_deadline_ms);
        asked.unwrap_or(default).min(Duration::from_millis(limits.max_deadline_ms))
    };
    Instant::now().checked_add(timeout)
}

/// Runs the handler until the deadline.
pub(super) async fn bounded(
    rpc: Rpc,
    deadline: Option<Instant>,
    lifecycle: &Lifecycle,
    handler: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Result<Response<Body>, Error> {
    let answered = match deadline {
        Some(deadline) => deadline::run(deadline, handler).await?,
        None => handler.await,
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if !rpc.is_streaming() {
        return Ok(response);
    }
    if let Some(deadline) = deadline {
        response = response.map(|body| Body::new(EndingBody::at_deadline(body, deadline)));
    }
    if let Rpc::Standard(_) = rpc {
        let lifecycle = lifecycle.clone();
        let end = async move {
            lifecycle.draining().await;
            tokio::time::sleep(LAST_WORD).await;
            Error::new(Reason::Draining, "the server is draining")
        };
        response = response.map(|body| Body::new(EndingBody::new(body, end)));
    }
    Ok(response)
}
