//! What can go wrong in the messages service, and what callers are told.

use std::time::Duration;

use confab_kit::{
    clock,
    error::{Coded, Error as KitError, Reason},
};
use confab_log::{Micros, Refusal};
use confab_store::StoreError;

/// An error of the messages service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log refused the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command may or may not have happened.
    #[error("the outcome is not known yet: retry with the same request id")]
    OutcomeUnknown,
    /// The store does not answer; the command has not happened.
    #[error("the store is not available")]
    Unavailable,
    /// Too many commands of this conversation are waiting.
    #[error("too many commands of this conversation are waiting")]
    Overloaded,
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another service, or a check of the kit's, said no.
    #[error(transparent)]
    Kit(#[from] KitError),
    /// There is none, or the caller may not see it.
    #[error("there is no such message")]
    MessageNotFound,
    /// A cursor points past the end.
    #[error("the cursor is above the head, which is {head}")]
    CursorAboveHead {
        /// The head.
        head: u64,
    },
}

impl Coded for Error {
    fn to_error(&self) -> KitError {
        let text = self.to_string();
        match self {
            Self::Refused(refusal) => refused(refusal),
            Self::OutcomeUnknown | Self::Store(StoreError::OutcomeUnknown { .. }) => {
                KitError::new(Reason::OutcomeUnknown, text).retry_after(Duration::from_millis(200))
            }
            Self::Store(error @ (StoreError::Corrupt { .. } | StoreError::Panicked)) => {
                KitError::internal(error)
            }
            Self::Unavailable | Self::Store(_) => {
                KitError::new(Reason::StoreUnavailable, "the store is not available")
                    .retry_after(Duration::from_secs(1))
            }
            Self::Overloaded => {
                KitError::new(Reason::Overloaded, text).retry_after(Duration::from_millis(500))
            }
            Self::Kit(error) => error.clone(),
            Self::MessageNotFound => KitError::new(Reason::MessageNotFound, text),
            Self::CursorAboveHead { head } => {
                KitError::new(Reason::CursorAboveHead, text).with("head", head)
            }
        }
    }
}

impl From<Error> for KitError {
    fn from(error: Error) -> Self {
        error.to_error()
    }
}

fn refused(refusal: &Refusal) -> KitError {
    match refusal {
        Refusal::UntilPassed { now } => {
            let now = clock::timestamp(*now);
            let problem = format!("must lie in the future; the conversation's time is {now}");
            return KitError::violation("until", problem);
        }
        Refusal::OnlyChannels => {
            return KitError::violation("update.public", "only a channel can be public");
        }
        _ => {}
    }
    let error = KitError::new(reason_of(refusal), refusal.to_string());
    let until = |error: KitError, until: Option<Micros>| match until {
        Some(until) => error.with("until", clock::timestamp(until)),
        None => error,
    };
    match refusal {
        Refusal::AfterSeqAboveHead { head } => error.with("head", head),
        Refusal::Muted { until: end } => until(error, *end),
        Refusal::Banned { user, until: end } => until(error.with("user", user), *end),
        Refusal::EtagMismatch { version } => error.with("etag", version),
        Refusal::ParticipantNotFound { user }
        | Refusal::AlreadyAParticipant { user }
        | Refusal::Blocked { user } => error.with("user", user),
        Refusal::ContentRefused { rule } => error.with("rule", rule),
        _ => error,
    }
}

fn reason_of(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::RequestIdReused => Reason::RequestIdReused,
        Refusal::AfterSeqAboveHead { .. } => Reason::AfterSeqAboveHead,
        Refusal::ConversationNotFound => Reason::ConversationNotFound,
        Refusal::NotAParticipant => Reason::NotAParticipant,
        Refusal::RoleTooLow => Reason::RoleTooLow,
        Refusal::Muted { .. } => Reason::Muted,
        Refusal::Banned { .. } => Reason::Banned,
        Refusal::Archived => Reason::ConversationArchived,
        Refusal::Deleted => Reason::ConversationDeleted,
        Refusal::EtagMismatch { .. } => Reason::EtagMismatch,
        Refusal::UntilPassed { .. } | Refusal::OnlyChannels => Reason::InvalidArgument,
        Refusal::NoChange => Reason::NoChange,
        Refusal::DirectConversation => Reason::DirectConversation,
        Refusal::TooManyParticipants => Reason::TooManyParticipants,
        Refusal::ParticipantNotFound { .. } => Reason::ParticipantNotFound,
        Refusal::AlreadyAParticipant { .. } => Reason::AlreadyAParticipant,
        Refusal::OwnerMustTransfer => Reason::OwnerMustTransfer,
        Refusal::TargetIsCaller => Reason::TargetIsCaller,
        Refusal::MessageNotFound => Reason::MessageNotFound,
        Refusal::MessageDeleted => Reason::MessageDeleted,
        Refusal::NotTheSender => Reason::NotTheSender,
        Refusal::ReactionExists => Reason::ReactionExists,
        Refusal::ReactionNotFound => Reason::ReactionNotFound,
        Refusal::TooManyReactions => Reason::TooManyReactions,
        Refusal::TooManyEdits => Reason::TooManyEdits,
        Refusal::NotAThreadRoot => Reason::NotAThreadRoot,
        Refusal::TooManyPins => Reason::TooManyPins,
        Refusal::NotPublic => Reason::ConversationNotPublic,
        Refusal::Blocked { .. } => Reason::Blocked,
        Refusal::ContentRefused { .. } => Reason::ContentRefused,
    }
}
