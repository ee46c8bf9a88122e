//! Everything that can go wrong with a stream, and the reason each has in the
//! contract.

use std::time::Duration;

use confab_kit::error::{Coded, Error as Coding, Reason};
use confab_log::ConversationId;

use crate::store::StoreError;

/// Why a stream ends, or a part of it is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The first frame was another one, or there was none.
    #[error("the first frame must be a hello")]
    HelloExpected,
    /// Nothing came in time.
    #[error("no hello came in time")]
    HelloTimeout,
    /// One hello is enough.
    #[error("a stream has one hello")]
    SecondHello,
    /// The bytes are no message of the type.
    #[error("the frame is not a valid request")]
    MalformedFrame(#[source] prost::DecodeError),
    /// The bytes are no frame.
    #[error("{0}")]
    BrokenFrame(&'static str),
    /// The client says more at once than it may.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    FrameTooLarge {
        /// What the header says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Nothing is known of the session.
    #[error("the session is unknown; say hello with cursors")]
    SessionLost,
    /// Another stream took the session over.
    #[error("a newer stream of this session took over")]
    SessionFenced,
    /// Somebody who may do so has ended the session.
    #[error("the session was ended")]
    SessionEnded,
    /// The user has no such session.
    #[error("there is no such session")]
    SessionNotFound,
    /// Only a team's own backend and administrators name another user.
    #[error("a user's token can name no other user")]
    ForeignUser,
    /// The new token is somebody else's.
    #[error("the token is not of the stream's tenant, user, device and kind")]
    TokenMismatch,
    /// An ack for something else.
    #[error("the stream does not watch {0:?}")]
    NotWatched(String),
    /// A cursor beyond what there is, or beyond what was delivered.
    #[error("the cursor {cursor} is above {head}")]
    CursorAboveHead {
        /// What the client said.
        cursor: u64,
        /// What there is.
        head: u64,
    },
    /// The queue is full.
    #[error("the client reads slower than its conversations talk")]
    SlowConsumer,
    /// No such RPC, or not for streams.
    #[error("{0:?} is the request of no unary RPC")]
    UnknownCall(String),
    /// Too much at once.
    #[error("{0}")]
    Overloaded(&'static str),
    /// The process is about to end.
    #[error("the server is draining")]
    Draining {
        /// When to come back.
        retry_after: Duration,
    },
    /// The token that opened the stream is no longer good.
    #[error("the token has expired")]
    TokenExpired,
    /// The call's time is up.
    #[error("the call's time is up")]
    DeadlineExceeded,
    /// The conversation is not known to the user.
    #[error("no such conversation")]
    ConversationNotFound(ConversationId),
    /// The user has left, and has got everything up to there.
    #[error("the user is no longer a participant")]
    NotAParticipant(ConversationId),
    /// Another service's answer, or what is wrong with a field.
    #[error(transparent)]
    Coded(#[from] Coding),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for Error {
    fn to_error(&self) -> Coding {
        let coded = |reason: Reason| Coding::new(reason, self.to_string());
        match self {
            Self::HelloExpected => coded(Reason::HelloExpected),
            Self::HelloTimeout => coded(Reason::HelloTimeout),
            Self::SecondHello => coded(Reason::SecondHello),
            Self::MalformedFrame(_) | Self::BrokenFrame(_) => coded(Reason::MalformedRequest),
            Self::FrameTooLarge { limit, .. } => {
                coded(Reason::RequestTooLarge).with("limit_bytes", limit)
            }
            Self::SessionLost => coded(Reason::SessionLost),
            Self::SessionFenced => coded(Reason::SessionFenced),
            Self::SessionEnded => coded(Reason::SessionEnded),
            Self::SessionNotFound => coded(Reason::SessionNotFound),
            Self::ForeignUser => coded(Reason::CallerNotAllowed),
            Self::TokenMismatch => coded(Reason::TokenMismatch),
            Self::NotWatched(id) => coded(Reason::NotWatched).with("conversation_id", id),
            Self::CursorAboveHead { head, .. } => {
                coded(Reason::CursorAboveHead).with("head_seq", head)
            }
            Self::SlowConsumer => coded(Reason::SlowConsumer).retry_after(Duration::from_secs(1)),
            Self::UnknownCall(_) => coded(Reason::UnknownCall),
            Self::Overloaded(_) => coded(Reason::Overloaded).retry_after(Duration::from_secs(1)),
            Self::Draining { retry_after } => coded(Reason::Draining).retry_after(*retry_after),
            Self::TokenExpired => coded(Reason::TokenExpired),
            Self::DeadlineExceeded => coded(Reason::DeadlineExceeded),
            Self::ConversationNotFound(id) => {
                coded(Reason::ConversationNotFound).with("conversation_id", id)
            }
            Self::NotAParticipant(id) => coded(Reason::NotAParticipant).with("conversation_id", id),
            Self::Coded(error) => error.clone(),
            Self::Store(error) => store_error(error),
        }
    }
}

/// Tells the operator. That the store has stopped it has said itself.
pub(crate) fn tell(error: &StoreError, what: &'static str) {
    if matches!(error, StoreError::Failed { .. }) {
        tracing::debug!(%error, what, "the store has stopped");
    } else {
        tracing::warn!(%error, "{what}");
    }
}

fn store_error(error: &StoreError) -> Coding {
    match error {
        StoreError::Unavailable { .. } | StoreError::Failed { .. } => {
            tell(error, "realtime store failed");
            Coding::new(Reason::StoreUnavailable, "the store cannot be reached")
                .retry_after(Duration::from_secs(1))
        }
        StoreError::OutcomeUnknown { .. } => {
            tell(error, "realtime store failed");
            Coding::new(Reason::OutcomeUnknown, "the write may or may not have happened")
                .retry_after(Duration::from_secs(1))
        }
        other => Coding::internal(other.clone()),
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Coded(Coding::from_status(&status))
    }
}

impl Error {
    /// Whether the same question may be answered later. The others say that
    /// the user may not ask it.
    pub(crate) fn is_transient(&self) -> bool {
        use tonic::Code;
        !matches!(
            self.to_error().code(),
            Code::NotFound
                | Code::PermissionDenied
                | Code::FailedPrecondition
                | Code::InvalidArgument
                | Code::Unimplemented
                | Code::Unauthenticated
        )
    }

    /// Whether the token, not the question, is at fault.
    pub(crate) fn is_about_the_token(&self) -> bool {
        self.to_error().code() == tonic::Code::Unauthenticated
    }
}
