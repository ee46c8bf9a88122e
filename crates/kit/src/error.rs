//! The one shape of every refusal: a reason for programs, a message for
//! people, and the details of `google.rpc`. Knows no domain: each crate maps
//! its own error enum to this one through [`Coded`].

mod code;
mod wire;

use std::{collections::BTreeMap, fmt, time::Duration};

pub(crate) use wire::names_reason;

pub use confab_proto::errors::v1::{Failure, Reason};
use tonic::Code;

use crate::{random, trace};

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "confab";
/// Violations beyond this many are cut off.
pub const MAX_VIOLATIONS: usize = 20;
/// Violations beyond this many bytes in all are cut off: trailers are capped.
pub const MAX_VIOLATION_BYTES: usize = 4096;
/// A longer message is cut.
const MAX_MESSAGE_BYTES: usize = 1024;
/// What `RetryInfo` says when nobody said otherwise.
const DEFAULT_RETRY: Duration = Duration::from_secs(1);

/// Why a call is refused.
#[derive(Clone, PartialEq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    reason: Reason,
    /// Only of a foreign status that names no reason of ours.
    foreign_code: Option<Code>,
    message: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field: `content.text`.
    pub field: String,
    /// What is wrong, for people.
    pub description: String,
}

/// What each crate's error enum implements: its mapping to the wire.
pub trait Coded: std::error::Error {
    /// The refusal that a caller sees.
    fn to_error(&self) -> Error;
}

impl Error {
    /// A refusal. UNAVAILABLE and OVERLOADED get a retry delay of their own.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let transient = code::is_transient(reason);
        Self(Box::new(Inner {
            reason,
            foreign_code: None,
            message: cut(message.into(), MAX_MESSAGE_BYTES),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: transient.then(|| random::jitter(DEFAULT_RETRY)),
        }))
    }

    /// With one more entry of metadata.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the many callers")]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.0.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// `INVALID_ARGUMENT` with all that is wrong, capped to [`MAX_VIOLATIONS`]
    /// and [`MAX_VIOLATION_BYTES`].
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.description),
            many => {
                let names: Vec<&str> =
                    many.iter().take(5).map(|violation| violation.field.as_str()).collect();
                format!("{} fields are wrong: {}", many.len(), names.join(", "))
            }
        };
        let mut error = Self::new(Reason::InvalidArgument, message);
        error.0.violations = capped(violations);
        error
    }

    /// `INVALID_ARGUMENT` with one thing wrong.
    pub fn violation(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// With this delay before a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// A fault of ours: logged here, and shown to the caller as a trace id
    /// and nothing else.
    pub fn internal(error: impl std::error::Error) -> Self {
        Self::internal_text(&chain(&error))
    }

    /// As [`Error::internal`], for a fault that is no error value.
    pub fn internal_text(text: &str) -> Self {
        let trace_id = trace::current().unwrap_or_else(trace::TraceId::generate);
        tracing::error!(%trace_id, error = text, "internal error");
        Self::new(Reason::Internal, format!("internal error, trace id {trace_id}"))
            .with("trace_id", trace_id)
    }

    /// Why, for programs.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The reason's name on the wire: `MESSAGE_NOT_FOUND`.
    pub fn reason_name(&self) -> &'static str {
        code::name(self.0.reason)
    }

    /// The gRPC code that belongs to the reason.
    pub fn code(&self) -> Code {
        self.0.foreign_code.unwrap_or_else(|| code::of(self.0.reason))
    }

    /// Why, for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// One entry of the metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.0.metadata.get(key).map(String::as_str)
    }

    /// When a retry makes sense.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// All that is wrong with the request.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }
}

fn capped(violations: Vec<Violation>) -> Vec<Violation> {
    let mut left = MAX_VIOLATION_BYTES;
    let mut kept = Vec::new();
    for mut violation in violations.into_iter().take(MAX_VIOLATIONS) {
        violation.field = cut(violation.field, left.min(256));
        left -= violation.field.len();
        violation.description = cut(violation.description, left);
        left -= violation.description.len();
        kept.push(violation);
        if left == 0 {
            break;
        }
    }
    kept
}

fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", code::name(self.reason()), self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}

impl Coded for Error {
    fn to_error(&self) -> Error {
        self.clone()
    }
}

#[cfg(test)]
mod tests;
