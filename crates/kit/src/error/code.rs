//! Which gRPC code belongs to which reason: the comments of `errors.proto` in
//! code. Nothing else decides a code.

use tonic::Code;

use super::Reason;

/// The code of a reason.
pub(super) fn of(reason: Reason) -> Code {
    match reason {
        Reason::Unspecified => Code::Unknown,
        Reason::InvalidArgument
        | Reason::MalformedRequest
        | Reason::InvalidPageToken
        | Reason::AfterSeqAboveHead
        | Reason::CursorAboveHead
        | Reason::HelloExpected
        | Reason::SecondHello
        | Reason::NotWatched
        | Reason::ContentRefused
        | Reason::UnknownCall => Code::InvalidArgument,
        Reason::RequestTooLarge
        | Reason::TooManyParticipants
        | Reason::TooManyReactions
        | Reason::TooManyEdits
        | Reason::TooManyPins
        | Reason::Overloaded
        | Reason::RateLimited
        | Reason::TooManyStreams
        | Reason::SlowConsumer => Code::ResourceExhausted,
        Reason::UnknownMethod => Code::Unimplemented,
        Reason::MissingToken
        | Reason::InvalidToken
        | Reason::TokenExpired
        | Reason::WrongAudience
        | Reason::InvalidMeshCredential
        | Reason::SessionRevoked => Code::Unauthenticated,
        Reason::CallerNotAllowed
        | Reason::MissingScope
        | Reason::TokenMismatch
        | Reason::NotAParticipant
        | Reason::RoleTooLow
        | Reason::Muted
        | Reason::Banned
        | Reason::ConversationNotPublic
        | Reason::Blocked
        | Reason::NotTheSender => Code::PermissionDenied,
        Reason::ConversationNotFound
        | Reason::ParticipantNotFound
        | Reason::MessageNotFound
        | Reason::ReactionNotFound
        | Reason::UserNotFound
        | Reason::ReportNotFound
        | Reason::UnknownName
        | Reason::SessionLost
        | Reason::SessionNotFound => Code::NotFound,
        Reason::BackupFailed
        | Reason::ConversationArchived
        | Reason::ConversationDeleted
        | Reason::NoChange
        | Reason::DirectConversation
        | Reason::OwnerMustTransfer
        | Reason::TargetIsCaller
        | Reason::NotAThreadRoot
        | Reason::MessageDeleted
        | Reason::SessionEnded => Code::FailedPrecondition,
        Reason::EtagMismatch | Reason::SessionFenced => Code::Aborted,
        Reason::AlreadyAParticipant | Reason::ReactionExists | Reason::RequestIdReused => {
            Code::AlreadyExists
        }
        Reason::OutcomeUnknown | Reason::StoreUnavailable | Reason::Draining => Code::Unavailable,
        Reason::DeadlineExceeded | Reason::HelloTimeout => Code::DeadlineExceeded,
        Reason::Internal => Code::Internal,
        Reason::Cancelled => Code::Cancelled,
    }
}

/// Whether the same call may well succeed a little later.
pub(super) fn is_transient(reason: Reason) -> bool {
    of(reason) == Code::Unavailable
        || matches!(
            reason,
            Reason::Overloaded
                | Reason::RateLimited
                | Reason::TooManyStreams
                | Reason::SlowConsumer
        )
}

/// The reason on the wire: without its prefix.
pub(super) fn name(reason: Reason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("REASON_").unwrap_or(name)
}

/// The reason of a name on the wire.
pub(super) fn from_name(name: &str) -> Option<Reason> {
    Reason::from_str_name(&format!("REASON_{name}"))
}
