//! What the end of a connection means for the stream. Pure.

use std::time::Duration;

use confab_proto::errors::v1::Reason;
use tonic::Code;

use crate::error::Error;

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The application closed or dropped the stream.
    Closed,
    /// The connection is gone, for this reason. The server may have said when to
    /// come back.
    Lost {
        /// Why.
        reason: Error,
        /// From a goodbye.
        retry_after: Option<Duration>,
    },
}

impl End {
    pub(crate) fn lost(reason: Error) -> Self {
        let retry_after = reason.retry_after();
        Self::Lost { reason, retry_after }
    }
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Connect again after the server's delay, or else after one of ours.
    Reconnect,
    /// Ask for another token, then connect again.
    RenewToken,
    /// The session is gone: connect again by cursors.
    DropSession,
    /// The stream ends with the error.
    Stop,
}

/// Judges why a connection was lost.
pub(crate) fn judge(reason: &Error, retry_after: Option<Duration>) -> Verdict {
    let refusal = match reason {
        // A hole or a frame that makes no sense: going on could hide a loss.
        Error::Protocol(_) | Error::InvalidOptions(_) | Error::Closed => return Verdict::Stop,
        Error::Refused(refusal) => refusal,
        _ => return Verdict::Reconnect,
    };
    match (refusal.reason, refusal.code) {
        (Reason::SessionLost, _) => Verdict::DropSession,
        // A newer stream goes on; somebody wants this one to be over.
        (Reason::SessionFenced | Reason::SessionEnded, _) => Verdict::Stop,
        (_, Code::Unauthenticated) => Verdict::RenewToken,
        _ if retry_after.is_some() => Verdict::Reconnect,
        (reason, code) if passes(reason, code) => Verdict::Reconnect,
        _ => Verdict::Stop,
    }
}

/// Whether another connection may do better although nobody changed anything.
fn passes(reason: Reason, code: Code) -> bool {
    // An ack crossed the end of its watch; the next connection knows better.
    reason == Reason::NotWatched
        || matches!(
            code,
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::Cancelled
                | Code::Internal
                | Code::Unknown
        )
}
