//! Deadlines of calls: reads `grpc-timeout` and ends what is late, bodies
//! included, with `DEADLINE_EXCEEDED`. Chooses no deadline: `layers::deadline`
//! does.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::error::{Error, Reason};

const GRPC_TIMEOUT: &str = "grpc-timeout";

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

pin_project_lite::pin_project! {
    /// A body that ends at a deadline.
    pub(crate) struct DeadlineBody<B> {
        #[pin]
        inner: B,
        #[pin]
        sleep: Sleep,
    }
}

impl<B> DeadlineBody<B> {
    pub(crate) fn new(inner: B, deadline: Instant) -> Self {
        Self {
            inner,
            sleep: tokio::time::sleep_until(deadline),
        }
    }
}

impl<B: Body<Data = Bytes, Error = Status>> Body for DeadlineBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if let ready @ Poll::Ready(_) = this.inner.poll_frame(cx) {
            return ready;
        }
        if this.sleep.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let mut trailers = HeaderMap::new();
        match Status::from(exceeded()).add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(status) => Poll::Ready(Some(Err(status))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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
        assert_eq!(read("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        for nonsense in ["", "m", "12", "-1S", "1.5S", "999999999S", "1x", "1\u{e4}"] {
            let value = http::HeaderValue::from_bytes(nonsense.as_bytes()).expect("a header");
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, value);
            assert_eq!(timeout_of(&headers), None, "{nonsense}");
        }
    }
}
