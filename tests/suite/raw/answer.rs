//! One answer: its refusal must have the one shape that the contract promises.

use std::collections::HashMap;

use confab_kit::error::{Error, Failure, Reason};
use confab_tests::harness::{Checked, Violation};
use http::{HeaderMap, StatusCode};
use prost::{
    Message as _,
    bytes::{Buf as _, Bytes},
};
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};

/// Trailers beyond this are cut by proxies and clients.
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// The whole answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: StatusCode,
    status: Status,
    body: Bytes,
}

/// A refusal as it stands on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) fields: Vec<String>,
    /// What is wrong with the fields takes so many bytes.
    pub(crate) violation_bytes: usize,
    pub(crate) retry: bool,
}

impl Answer {
    pub(super) fn new(
        http: StatusCode,
        headers: &HeaderMap,
        trailers: &HeaderMap,
        body: Bytes,
    ) -> Checked<Self> {
        let status = Status::from_header_map(trailers).or_else(|| Status::from_header_map(headers));
        let status = status.ok_or_else(|| {
            Violation::broken(format!("an answer without a gRPC status: HTTP {http}, {headers:?}"))
        })?;
        let size: usize =
            trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        Violation::unless(size <= MAX_TRAILER_BYTES, || format!("{size} bytes of trailers"))?;
        Ok(Self { http, status, body })
    }

    /// The one message of a unary answer, or the refusal.
    pub(crate) fn unary(mut self) -> Checked<Result<Bytes, Refused>> {
        if self.status.code() != Code::Ok {
            return Ok(Err(Refused::of(&self.status)?));
        }
        let broken = || Violation::broken("an answer that is not one gRPC frame");
        if self.body.len() < 5 || self.body.get_u8() != 0 {
            return Err(broken());
        }
        let length = self.body.get_u32() as usize;
        if length != self.body.len() {
            return Err(broken());
        }
        Ok(Ok(self.body))
    }
}

impl Refused {
    /// Reads a failure inside a stream: the reason stands beside the details, and
    /// both say the same.
    pub(crate) fn of_failure(failure: &Failure) -> Checked<Self> {
        let rpc = pb::Status {
            code: failure.code,
            message: failure.message.clone(),
            details: failure.details.clone(),
        };
        let code = Code::from_i32(failure.code);
        let details = Bytes::from(rpc.encode_to_vec());
        let refused = Self::of(&Status::with_details(code, failure.message.clone(), details))?;
        let reason = reason_name(failure.reason());
        Violation::unless(refused.reason == reason, || format!("{reason} holds {refused:?}"))?;
        Ok(refused)
    }

    /// Reads a status: a reason of ours, with the code that belongs to it.
    pub(crate) fn of(status: &Status) -> Checked<Self> {
        let shapeless = |what: &str| Violation::broken(format!("a refusal {what}: {status:?}"));
        let details = status.get_error_details();
        let info = details.error_info().ok_or_else(|| shapeless("without ErrorInfo"))?;
        Violation::unless(info.domain == "confab", || format!("a foreign domain: {info:?}"))?;
        let reason = Reason::from_str_name(&format!("REASON_{}", info.reason))
            .ok_or_else(|| shapeless("of an unknown reason"))?;
        let declared = Error::new(reason, "").code();
        Violation::unless(declared == status.code(), || {
            format!("{} came with {:?} instead of {declared:?}", info.reason, status.code())
        })?;
        let retry = details.retry_info().is_some_and(|info| info.retry_delay.is_some());
        if status.code() == Code::Unavailable && !retry {
            return Err(shapeless("UNAVAILABLE without RetryInfo"));
        }
        let violations =
            details.bad_request().map(|bad| &bad.field_violations[..]).unwrap_or_default();
        let bytes = violations.iter().map(|one| one.field.len() + one.description.len());
        Ok(Self {
            code: status.code(),
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            metadata: info.metadata.clone(),
            fields: violations.iter().map(|one| one.field.clone()).collect(),
            violation_bytes: bytes.sum(),
            retry,
        })
    }
}

/// The name of a reason on the wire.
pub(crate) fn reason_name(reason: Reason) -> String {
    reason.as_str_name().trim_start_matches("REASON_").to_owned()
}
