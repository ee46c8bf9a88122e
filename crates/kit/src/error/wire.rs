//! [`Error`] ↔ `tonic::Status` ↔ `confab.errors.v1.Failure`. Loses nothing in
//! either direction; invents a reason only for statuses that are not ours.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, RpcStatusExt as _, pb};

use super::{DOMAIN, Error, Failure, Reason, Violation, capped, code, cut};

impl Error {
    /// The refusal that a status carries. A status that is not ours keeps its
    /// code where no reason fits it; a broken transport is `OUTCOME_UNKNOWN`,
    /// because nobody knows whether the call was served.
    pub fn from_status(status: &Status) -> Self {
        let details = pb::Status::decode(status.details()).unwrap_or_default();
        let rpc = pb::Status { message: status.message().to_owned(), ..details };
        if let Some(error) = from_rpc_status(&rpc) {
            return error;
        }
        let broken = std::error::Error::source(status).is_some();
        foreign(status.code(), status.message(), broken)
    }

    /// The same refusal for inside a stream.
    pub fn to_failure(&self) -> Failure {
        let rpc = self.to_rpc_status();
        Failure {
            code: rpc.code,
            message: rpc.message,
            reason: self.reason().into(),
            details: rpc.details,
        }
    }

    /// The refusal that a failure inside a stream carries.
    pub fn from_failure(failure: &Failure) -> Self {
        let rpc = pb::Status {
            code: failure.code,
            message: failure.message.clone(),
            details: failure.details.clone(),
        };
        if let Some(error) = from_rpc_status(&rpc) {
            return error;
        }
        match Reason::try_from(failure.reason) {
            Ok(reason) if reason != Reason::Unspecified => Self::new(reason, rpc.message),
            _ => foreign(Code::from_i32(rpc.code), &rpc.message, false),
        }
    }

    fn to_rpc_status(&self) -> pb::Status {
        let metadata: HashMap<String, String> = self.0.metadata.clone().into_iter().collect();
        let mut details = ErrorDetails::new();
        // A foreign refusal has no reason of ours, and none is made up for it.
        if self.reason() != Reason::Unspecified {
            details.set_error_info(code::name(self.reason()), DOMAIN, metadata);
        }
        if !self.0.violations.is_empty() {
            let violations = self.0.violations.iter();
            details.set_bad_request(
                violations
                    .map(|one| FieldViolation::new(&one.field, &one.description))
                    .collect::<Vec<_>>(),
            );
        }
        if self.0.retry_after.is_some() {
            details.set_retry_info(self.0.retry_after);
        }
        let status = <Status as tonic_types::StatusExt>::with_error_details(
            self.code(),
            self.message(),
            details,
        );
        pb::Status::decode(status.details()).unwrap_or_default()
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let details = Bytes::from(error.to_rpc_status().encode_to_vec());
        Status::with_details(error.code(), error.message(), details)
    }
}

/// Whether the status names a reason of ours.
pub(crate) fn names_reason(status: &Status) -> bool {
    pb::Status::decode(status.details()).is_ok_and(|rpc| from_rpc_status(&rpc).is_some())
}

fn from_rpc_status(rpc: &pb::Status) -> Option<Error> {
    let details = rpc.get_error_details();
    let info = details.error_info().filter(|info| info.domain == DOMAIN)?;
    let reason = code::from_name(&info.reason)?;
    if reason == Reason::Unspecified {
        return None;
    }
    let mut error = Error::new(reason, rpc.message.clone());
    error.0.metadata = info.metadata.clone().into_iter().collect();
    error.0.retry_after = details.retry_info().and_then(|info| info.retry_delay);
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    error.0.violations = capped(
        violations
            .into_iter()
            .flatten()
            .map(|one| Violation { field: one.field, description: one.description })
            .collect(),
    );
    Some(error)
}

fn foreign(code: Code, message: &str, broken_transport: bool) -> Error {
    let message = cut(message.to_owned(), 256);
    match code {
        Code::DeadlineExceeded => Error::new(Reason::DeadlineExceeded, message),
        Code::Cancelled if message == "Timeout expired" => {
            Error::new(Reason::DeadlineExceeded, message)
        }
        Code::Unavailable => Error::new(Reason::OutcomeUnknown, message),
        _ if broken_transport => Error::new(Reason::OutcomeUnknown, message),
        Code::Cancelled => Error::new(Reason::Cancelled, message),
        Code::InvalidArgument => Error::new(Reason::InvalidArgument, message),
        Code::Unimplemented => Error::new(Reason::UnknownMethod, message),
        Code::Internal => Error::new(Reason::Internal, message),
        other => {
            let mut error = Error::new(Reason::Unspecified, message);
            error.0.foreign_code = Some(other);
            error
        }
    }
}
