//! Errors survive every form they take.

use std::time::Duration;

use tonic::{Code, Status};

use super::*;

fn full() -> Error {
    let mut error = Error::invalid(vec![
        Violation { field: "content.text".into(), description: "must not be empty".into() },
        Violation { field: "request_id".into(), description: "must be a name".into() },
    ]);
    error = error.with("until", 17).with("etag", "4");
    error.retry_after(Duration::from_millis(1500))
}

#[test]
fn a_status_carries_everything() {
    let status = Status::from(full());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(Error::from_status(&status), full());
}

#[test]
fn a_failure_carries_everything() {
    let failure = full().to_failure();
    assert_eq!(failure.code, Code::InvalidArgument as i32);
    assert_eq!(failure.reason(), Reason::InvalidArgument);
    assert_eq!(Error::from_failure(&failure), full());
}

#[test]
fn every_reason_survives_with_its_code() {
    for number in 0..200 {
        let Ok(reason) = Reason::try_from(number) else {
            continue;
        };
        let error = Error::new(reason, "why");
        let again = Error::from_status(&Status::from(error.clone()));
        assert_eq!(again.reason(), reason);
        assert_eq!(again.code(), error.code());
        assert_eq!(Error::from_failure(&error.to_failure()).code(), error.code());
    }
}

#[test]
fn a_failure_without_details_keeps_its_reason() {
    let failure = Failure { details: Vec::new(), ..Error::new(Reason::Muted, "x").to_failure() };
    assert_eq!(Error::from_failure(&failure).reason(), Reason::Muted);
}

#[test]
fn violations_are_capped_by_number_and_bytes() {
    let many = |length: usize| {
        let one = Violation { field: "field".into(), description: "ä".repeat(length) };
        Error::invalid(vec![one; 50])
    };
    assert_eq!(many(3).violations().len(), MAX_VIOLATIONS);
    let bytes: usize =
        many(3000).violations().iter().map(|v| v.field.len() + v.description.len()).sum();
    assert!(bytes <= MAX_VIOLATION_BYTES);
    assert!(Status::from(many(3000)).details().len() < 6000);
    let message = "50 fields are wrong: field, field, field, field, field";
    assert_eq!(many(3).message(), message);
}

#[test]
fn what_may_pass_says_when_to_come_back() {
    for reason in
        [Reason::OutcomeUnknown, Reason::StoreUnavailable, Reason::Overloaded, Reason::Draining]
    {
        assert!(Error::new(reason, "later").retry_delay().is_some());
    }
    assert_eq!(Error::new(Reason::TooManyReactions, "never").retry_delay(), None);
}

#[test]
fn internal_shows_a_trace_id_and_nothing_else() {
    let secret = std::io::Error::other("password is 1234");
    let error = Error::internal(secret);
    assert_eq!(error.code(), Code::Internal);
    assert!(!error.message().contains("1234"));
    let trace_id = error.metadata("trace_id").expect("a trace id");
    assert_eq!(trace_id.len(), 32);
    assert!(error.message().contains(trace_id));
}

#[test]
fn foreign_statuses_keep_their_code() {
    for code in [Code::DataLoss, Code::Unknown, Code::NotFound, Code::PermissionDenied] {
        let error = Error::from_status(&Status::new(code, "foreign"));
        assert_eq!((error.code(), error.reason()), (code, Reason::Unspecified));
        let status = Status::from(error);
        assert_eq!(Error::from_status(&status).code(), code);
        // No reason is made up for it.
        assert!(!names_reason(&status));
        assert!(tonic_types::StatusExt::get_error_details(&status).error_info().is_none());
    }
}

#[test]
fn a_lost_connection_is_an_unknown_outcome() {
    let status = Status::from_error(Box::new(std::io::Error::other("reset")));
    assert_eq!(Error::from_status(&status).reason(), Reason::OutcomeUnknown);
    let status = Status::unavailable("tcp connect error");
    assert_eq!(Error::from_status(&status).reason(), Reason::OutcomeUnknown);
}

#[test]
fn foreign_details_are_not_taken_for_ours() {
    use tonic_types::{ErrorDetails, StatusExt as _};
    let details = ErrorDetails::with_error_info("MUTED", "example.com", []);
    let status = Status::with_error_details(Code::NotFound, "x", details);
    assert_eq!(Error::from_status(&status).reason(), Reason::Unspecified);
    let broken = Status::with_details(Code::NotFound, "x", bytes::Bytes::from_static(b"\xff\xff"));
    assert_eq!(Error::from_status(&broken).code(), Code::NotFound);
}
