//! Deadlines of calls: reads `grpc-timeout` and ends what is late, bodies
//! included, with `DEADLINE_EXCEEDED`. Chooses no deadline: `layers::deadline`
//! does.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::{Status, body::Body};

use crate::error::{Error, Reason};

const GRPC_TIMEOUT: &str = "grpc-timeout";

tokio::task_local! {
    static CURRENT: Instant;
}

/// The refusal of a call that is too late.
pub(crate) fn exceeded() -> Error {
    Error::new(Reason::DeadlineExceeded, "the call's deadline passed")
}

/// When the caller stops waiting; `None` when it does not say or says it in a
/// form that gRPC does not know.
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<Instant> {
    Instant::now().checked_add(timeout_of(headers)?)
}

/// How long the caller waits.
pub(crate) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Gives a call what is left of the deadline of the call that it is made for,
/// unless it has a deadline of its own.
pub(crate) fn hand_on(headers: &mut HeaderMap) {
    let Ok(deadline) = CURRENT.try_with(|deadline| *deadline) else {
        return;
    };
    if headers.contains_key(GRPC_TIMEOUT) {
        return;
    }
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    if let Ok(value) = HeaderValue::from_str(&format!("{}m", left.min(99_999_999))) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

/// Runs the future until the deadline; calls made by it inherit the deadline.
pub(crate) fn run<F: Future>(
    deadline: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, Error>> {
    tokio::time::timeout_at(deadline, CURRENT.scope(deadline, future))
        .map(|outcome| outcome.map_err(|_| exceeded()))
}

type End = Pin<Box<dyn Future<Output = Error> + Send>>;

pin_project_lite::pin_project! {
    /// A body that ends with an error when the future says so, unless it has
    /// ended before.
    pub(crate) struct EndingBody {
        #[pin]
        inner: Body,
        end: Option<End>,
    }
}

impl EndingBody {
    /// Ends at the deadline.
    pub(crate) fn at_deadline(inner: Body, deadline: Instant) -> Self {
        let sleep = tokio::time::sleep_until(deadline);
        Self::new(inner, async move {
            sleep.await;
            exceeded()
        })
    }

    /// Ends with what the future says.
    pub(crate) fn new(inner: Body, end: impl Future<Output = Error> + Send + 'static) -> Self {
        Self { inner, end: Some(Box::pin(end)) }
    }
}

impl http_body::Body for EndingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let Some(end) = this.end else {
            return Poll::Ready(None);
        };
        if let ready @ Poll::Ready(_) = this.inner.poll_frame(cx) {
            return ready;
        }
        let Poll::Ready(error) = end.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        *this.end = None;
        Poll::Ready(Some(trailers_of(&error.into()).map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The trailers that carry a status.
pub(crate) fn trailers_of(status: &Status) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::new();
    match status.add_header(&mut trailers) {
        Ok(()) => Ok(trailers),
        Err(unprintable) => Err(unprintable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read() {
        let read = |text: &'static str| {
            timeout_of(&HeaderMap::from_iter([(
                http::HeaderName::from_static(GRPC_TIMEOUT),
                http::HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("1H"), Some(Duration::from_hours(1)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        for nonsense in ["", "m", "12", "-1S", "1.5S", "999999999S", "1x", "1\u{e4}"] {
            let value = http::HeaderValue::from_bytes(nonsense.as_bytes()).expect("a header");
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, value);
            assert_eq!(timeout_of(&headers), None, "{nonsense}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_inherit_what_is_left() {
        let timeout = |mut headers: HeaderMap| {
            hand_on(&mut headers);
            timeout_of(&headers)
        };
        assert_eq!(timeout(HeaderMap::new()), None);
        let deadline = Instant::now() + Duration::from_secs(4);
        let inside = run(deadline, async {
            tokio::time::advance(Duration::from_secs(1)).await;
            let mut own = HeaderMap::new();
            own.insert(GRPC_TIMEOUT, HeaderValue::from_static("9S"));
            (timeout(HeaderMap::new()), timeout(own))
        });
        let (inherited, own) = inside.await.expect("in time");
        assert_eq!(inherited, Some(Duration::from_secs(3)));
        assert_eq!(own, Some(Duration::from_secs(9)));
        let late = run(deadline, std::future::pending::<()>()).await;
        assert_eq!(late.expect_err("too late").reason(), Reason::DeadlineExceeded);
    }
}
