//! One span, one trace id, and one count for each call: requests, errors,
//! durations. Sees headers and statuses, never content.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tonic::{Code, Status, body::Body};
use tracing::{Instrument as _, Span, field::Empty};

use super::errors::ShapedBody;
use crate::{error::Error, trace::TraceId};

/// A call from its first to its last byte.
pub(super) struct Call {
    trace: TraceId,
    span: Span,
    measure: Measure,
}

/// Counts the call when it ends; one that is dropped before was cancelled.
struct Measure {
    method: &'static str,
    begun: Instant,
    span: Span,
    in_flight: metrics::Gauge,
    counted: bool,
}

impl Call {
    #[expect(
        clippy::disallowed_methods,
        reason = "a duration for a metric, which no behaviour depends on"
    )]
    pub(super) fn begin(method: Option<&'static str>, headers: &HeaderMap) -> Self {
        let trace = TraceId::from_headers(headers).unwrap_or_else(TraceId::generate);
        // A path that nobody serves is the caller's text: no label of ours.
        let method = method.unwrap_or("unknown");
        let span = tracing::info_span!(
            parent: None, "rpc", method, trace_id = %trace, tenant = Empty, user = Empty
        );
        let in_flight = metrics::gauge!("confab_rpc_in_flight", "method" => method);
        in_flight.increment(1);
        let (begun, counted) = (Instant::now(), false);
        let measure = Measure { method, begun, span: span.clone(), in_flight, counted };
        Self { trace, span, measure }
    }

    /// Runs the call with its trace, and follows the answer to its end.
    pub(super) fn run(
        self,
        answer: impl Future<Output = Response<ShapedBody>>,
    ) -> impl Future<Output = Response<Body>> {
        let traced = self.trace.scope(answer.instrument(self.span.clone()));
        traced.map(|response| self.watch(response))
    }

    fn watch(mut self, response: Response<ShapedBody>) -> Response<Body> {
        if let Some(status) = Status::from_header_map(response.headers()) {
            self.measure.count(&status);
        }
        response.map(|inner| {
            let Self { trace, span, measure } = self;
            Body::new(TracedBody { inner, trace, span, measure })
        })
    }
}

impl Measure {
    fn count(&mut self, status: &Status) {
        if self.counted {
            return;
        }
        self.counted = true;
        let code = code_name(status.code());
        let reason = match status.code() {
            Code::Ok => "",
            _ => Error::from_status(status).reason_name(),
        };
        let seconds = self.begun.elapsed().as_secs_f64();
        let method = self.method;
        self.in_flight.decrement(1);
        metrics::histogram!("confab_rpc_duration_seconds", "method" => method).record(seconds);
        metrics::counter!(
            "confab_rpc_requests_total", "method" => method, "code" => code, "reason" => reason
        )
        .increment(1);
        tracing::debug!(parent: &self.span, code, reason, seconds, "call answered");
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.count(&Status::cancelled("the caller went away"));
    }
}

pin_project_lite::pin_project! {
    struct TracedBody {
        #[pin]
        inner: ShapedBody,
        trace: TraceId,
        span: Span,
        measure: Measure,
    }
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let entered = this.span.enter();
        let polled = this.trace.sync_scope(|| this.inner.poll_frame(cx));
        drop(entered);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let status = frame.trailers_ref().and_then(Status::from_header_map);
                if let Some(status) = status {
                    this.measure.count(&status);
                }
            }
            Poll::Ready(Some(Err(status))) => this.measure.count(status),
            Poll::Ready(None) => this.measure.count(&Status::unknown("no status was sent")),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
