//! Why this service says no, and how that reads on the wire. What the log or
//! the admission refused passes through with its own reason.

use std::time::Duration;

use confab_kit::error::{Coded, Error as KitError, Reason};
use confab_store::StoreError;
use tonic::Status;

/// When to try again what could not be done just now.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request, the admission or the log said no.
    #[error("{0}")]
    Refused(#[from] KitError),
    /// The store could not do it.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// Another service, or this one, answered with what it must not.
    #[error("the contract was broken: {0}")]
    Contract(&'static str),
}

impl Error {
    /// The reason that another service gave, where one did.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(error) => Some(error.reason()),
            Self::Store(_) | Self::Contract(_) => None,
        }
    }
}

impl Coded for Error {
    fn to_error(&self) -> KitError {
        match self {
            Self::Refused(error) => error.clone(),
            Self::Store(error) => store_error(error),
            Self::Contract(_) => KitError::internal(self),
        }
    }
}

fn store_error(error: &StoreError) -> KitError {
    match error {
        StoreError::OutcomeUnknown { .. } => outcome_unknown(),
        StoreError::Unavailable { .. } | StoreError::Failed { .. } => unavailable(),
        _ => KitError::internal(error),
    }
}

fn outcome_unknown() -> KitError {
    let error = KitError::new(Reason::OutcomeUnknown, "the write may or may not have happened");
    error.retry_after(RETRY_AFTER)
}

fn unavailable() -> KitError {
    let error = KitError::new(Reason::StoreUnavailable, "the store cannot be used");
    error.retry_after(RETRY_AFTER)
}

/// What a write at another service failed with. Where nobody says why, whether
/// it was carried out is unknown.
pub(crate) fn unresolved(status: &Status) -> Error {
    upstream(status, outcome_unknown)
}

/// What a read at another service failed with. A read has no outcome to be
/// unsure of: it may simply be tried again.
pub(crate) fn unanswered(status: &Status) -> Error {
    match upstream(status, unavailable) {
        Error::Refused(error) if error.reason() == Reason::OutcomeUnknown => {
            Error::Refused(unavailable())
        }
        error => error,
    }
}

fn upstream(status: &Status, unexplained: fn() -> KitError) -> Error {
    let error = KitError::from_status(status);
    match error.reason() {
        Reason::Unspecified => Error::Refused(unexplained()),
        Reason::InvalidMeshCredential | Reason::UnknownMethod | Reason::MalformedRequest => {
            Error::Contract("another service does not take our calls")
        }
        _ => Error::Refused(error),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.to_error().into()
    }
}
