//! Why this service says no, and how that reads on the wire. What the log or
//! the admission refused passes through with its own reason.

use std::time::Duration;

use confab_kit::error::{Coded, Error as KitError, Reason};
use confab_store::StoreError;
use tonic::Status;

/// When to try again what a store could not do just now.
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
    /// The command removes its sender, who is to leave instead.
    #[error("the command would act on the caller")]
    TargetIsCaller,
    /// Another service answered with what it must not.
    #[error("another service broke the contract: {0}")]
    Contract(&'static str),
}

impl Coded for Error {
    fn to_error(&self) -> KitError {
        match self {
            Self::Refused(error) => error.clone(),
            Self::Store(error) => store_error(error),
            Self::TargetIsCaller => KitError::new(Reason::TargetIsCaller, self.to_string()),
            Self::Contract(_) => KitError::internal(self),
        }
    }
}

fn store_error(error: &StoreError) -> KitError {
    match error {
        StoreError::OutcomeUnknown { .. } => {
            KitError::new(Reason::OutcomeUnknown, "the write may or may not have happened")
                .retry_after(RETRY_AFTER)
        }
        StoreError::Unavailable { .. } | StoreError::Failed { .. } => {
            KitError::new(Reason::StoreUnavailable, "the store cannot be used")
                .retry_after(RETRY_AFTER)
        }
        _ => KitError::internal(error),
    }
}

/// What an append failed with, as our caller may see it. Where nobody says why,
/// whether it was carried out is unknown.
pub(crate) fn upstream(status: &Status) -> Error {
    let error = KitError::from_status(status);
    match error.reason() {
        Reason::Unspecified => {
            let error = KitError::new(Reason::OutcomeUnknown, "the log cannot be reached");
            Error::Refused(error.retry_after(RETRY_AFTER))
        }
        Reason::InvalidMeshCredential | Reason::UnknownMethod | Reason::MalformedRequest => {
            Error::Contract("it does not take our calls")
        }
        _ => Error::Refused(error),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.to_error().into()
    }
}
