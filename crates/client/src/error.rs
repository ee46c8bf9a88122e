//! The crate's error, and how a gRPC status or an in-stream failure becomes one.
//! It never retries anything; it says what may be retried.

use std::{collections::BTreeMap, fmt, time::Duration};

use confab_proto::errors::v1::{Failure, Reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt as _, StatusExt as _};

/// The domain of Confab's `google.rpc.ErrorInfo`.
const DOMAIN: &str = "confab";

/// What can go wrong between an application and Confab.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server said no, and why. Match on [`Refusal::reason`].
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The server could not be reached, or the connection broke. A request that
    /// was on its way may or may not have been carried out.
    #[error("the server cannot be reached: {0}")]
    Transport(String),
    /// No answer came in time. As with [`Error::Transport`], what was asked may
    /// have happened.
    #[error("no answer came in time")]
    TimedOut,
    /// A command's deadline passed while nobody knew whether it took effect.
    /// Repeat it with the ids in here and it is settled.
    #[error(transparent)]
    Unsettled(Box<Unsettled>),
    /// The server broke the contract: a hole in a stream, a frame that may not
    /// come here, an answer without its content.
    #[error("the server broke the contract: {0}")]
    Protocol(String),
    /// The token source gave no token.
    #[error("no token: {0}")]
    Token(String),
    /// The options cannot work: not a URI, too many watched conversations.
    #[error("invalid options: {0}")]
    InvalidOptions(String),
    /// The stream is closed.
    #[error("the stream is closed")]
    Closed,
    /// The chat could not read its input or write its output.
    #[error("the terminal failed: {0}")]
    Terminal(String),
}

/// A refusal with everything that the server said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// For programs. `Unspecified` when the answer did not come from Confab
    /// itself, or from a newer one.
    pub reason: Reason,
    /// For people; it may change.
    pub message: String,
    /// What the reason's documentation promises: `until`, `etag`, `trace_id` …
    pub metadata: BTreeMap<String, String>,
    /// Which fields are wrong.
    pub violations: Vec<Violation>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path.
    pub field: String,
    /// What is wrong.
    pub description: String,
}

/// A command whose outcome is not known, with what settles it.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The request id that every try carried.
    pub request_id: String,
    /// The `after_seq` that every try carried.
    pub after_seq: u64,
    /// How the last try ended.
    pub last: Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.reason.as_str_name().trim_start_matches("REASON_");
        write!(f, "{} ({name})", self.message)?;
        for violation in &self.violations {
            let text = format!("{}: {}", violation.field, violation.description);
            // The only one is the message already.
            if text != self.message {
                write!(f, "; {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the outcome of request {} is not known: {}", self.request_id, self.last)
    }
}

impl std::error::Error for Unsettled {}

impl Error {
    /// The gRPC code, when the server gave one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Unsettled(unsettled) => unsettled.last.code(),
            _ => None,
        }
    }

    /// Why the server said no, when it did.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refusal) => Some(refusal.reason),
            Self::Unsettled(_) => Some(Reason::OutcomeUnknown),
            _ => None,
        }
    }

    /// A value that the server gave with the reason, such as `etag` or `until`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.metadata.get(key).map(String::as_str),
            _ => None,
        }
    }

    /// When the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Whether the same request, with the same ids, can succeed later without
    /// anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) | Self::TimedOut | Self::Unsettled(_) => true,
            Self::Refused(refusal) => match refusal.code {
                Code::Unavailable | Code::DeadlineExceeded => true,
                Code::ResourceExhausted => refusal.retry_after.is_some(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a command that ended so may have taken effect.
    pub(crate) fn leaves_outcome_open(&self) -> bool {
        match self {
            Self::Transport(_) | Self::TimedOut | Self::Unsettled(_) => true,
            Self::Refused(refusal) => {
                refusal.reason == Reason::OutcomeUnknown || refusal.code == Code::DeadlineExceeded
            }
            _ => false,
        }
    }

    /// Whether the token was not accepted.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.code() == Some(Code::Unauthenticated)
    }

    /// Decodes a failure that came inside a stream.
    pub fn from_failure(failure: &Failure) -> Self {
        let status = tonic_types::pb::Status {
            code: failure.code,
            message: failure.message.clone(),
            details: failure.details.clone(),
        };
        let details = status.get_error_details();
        let mut refusal = refusal(Code::from_i32(failure.code), &failure.message, &details);
        if failure.reason() != Reason::Unspecified {
            refusal.reason = failure.reason();
        }
        Self::Refused(Box::new(refusal))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // Ours, on its way through tonic: the token source failed.
        let source = std::error::Error::source(&status);
        if let Some(error) = source.and_then(|source| source.downcast_ref::<Self>()) {
            return error.clone();
        }
        let details = status.get_error_details();
        let from_confab = details.error_info().is_some_and(|info| info.domain == DOMAIN);
        if !from_confab {
            match status.code() {
                // Made by the transport or by something on the way.
                Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => {
                    return Self::Transport(whole_story(&status));
                }
                Code::DeadlineExceeded => return Self::TimedOut,
                _ => {}
            }
        }
        Self::Refused(Box::new(refusal(status.code(), status.message(), &details)))
    }
}

impl From<tonic::transport::Error> for Error {
    fn from(error: tonic::transport::Error) -> Self {
        Self::Transport(causes(&error))
    }
}

fn refusal(code: Code, message: &str, details: &ErrorDetails) -> Refusal {
    let info = details.error_info().filter(|info| info.domain == DOMAIN);
    let reason = info
        .and_then(|info| Reason::from_str_name(&format!("REASON_{}", info.reason)))
        .unwrap_or(Reason::Unspecified);
    let metadata = info.map(|info| info.metadata.clone().into_iter().collect());
    let violations = details.bad_request().map(|bad| {
        bad.field_violations
            .iter()
            .map(|violation| Violation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            })
            .collect()
    });
    Refusal {
        code,
        reason,
        message: message.to_owned(),
        metadata: metadata.unwrap_or_default(),
        violations: violations.unwrap_or_default(),
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
    }
}

fn whole_story(status: &Status) -> String {
    with_causes(status.message(), std::error::Error::source(status))
}

/// An error and its causes in one line: hyper's own text says next to nothing.
fn causes(error: &dyn std::error::Error) -> String {
    with_causes(&error.to_string(), error.source())
}

/// tonic and hyper tell their causes in part themselves, and tonic puts one in
/// between that says nothing.
fn with_causes(text: &str, mut source: Option<&(dyn std::error::Error + 'static)>) -> String {
    let mut text = text.to_owned();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !text.contains(&told) && told != "transport error" {
            text.push_str(": ");
            text.push_str(&told);
        }
        source = cause.source();
    }
    text
}
