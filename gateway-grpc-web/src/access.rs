//! One line and one count for each request, when its answer has ended. Sees paths,
//! lengths and statuses; never a token, a query or content.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::{Status, body::Body};

use crate::exchange::Exchange;

/// The path is the caller's text: so much of it is logged.
const LOGGED_PATH_BYTES: usize = 128;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    GrpcWeb,
    GrpcWebText,
    /// Of the web client.
    File,
    /// The sign-in of dev mode.
    Dev,
    Preflight,
    /// Refused before it was looked at.
    Refused,
    /// An RPC in a protocol that is not spoken here.
    Other,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::GrpcWeb => "grpc_web",
            Self::GrpcWebText => "grpc_web_text",
            Self::File => "file",
            Self::Dev => "dev",
            Self::Preflight => "preflight",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

/// One request from its head to the last byte of its answer; counted when dropped.
pub(crate) struct Visit {
    pub(crate) kind: Kind,
    method: Method,
    path: String,
    version: Version,
    exchange: Arc<Exchange>,
    begun: Instant,
    status: Option<StatusCode>,
    went: u64,
    ended: bool,
}

impl Visit {
    pub(crate) fn begin<B>(request: &Request<B>, exchange: Arc<Exchange>) -> Self {
        metrics::gauge!("confab_gateway_requests_open").increment(1);
        let path = request.uri().path();
        Self {
            kind: Kind::Other,
            method: request.method().clone(),
            path: path[..path.floor_char_boundary(LOGGED_PATH_BYTES)].to_owned(),
            version: request.version(),
            exchange,
            begun: Instant::now(),
            status: None,
            went: 0,
            ended: false,
        }
    }

    /// The answer, followed to its end.
    pub(crate) fn leaving(mut self, response: Response<Body>) -> Response<Body> {
        self.status = Some(response.status());
        self.ended = http_body::Body::is_end_stream(response.body());
        response.map(|inner| Body::new(Leaving { inner, visit: self }))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let kind = self.kind.name();
        // The browser has gone before there was an answer, or before its end.
        let status = self.status.filter(|_| self.ended).map_or(499, |status| status.as_u16());
        let came = self.exchange.came();
        let grpc = self.exchange.status().map_or("", |code| code.description());
        metrics::gauge!("confab_gateway_requests_open").decrement(1);
        metrics::counter!(
            "confab_gateway_requests_total", "kind" => kind, "status" => status.to_string()
        )
        .increment(1);
        metrics::counter!("confab_gateway_bytes_total", "direction" => "in").increment(came);
        metrics::counter!("confab_gateway_bytes_total", "direction" => "out").increment(self.went);
        tracing::debug!(
            kind,
            method = %self.method,
            path = self.path,
            version = ?self.version,
            status,
            grpc,
            came,
            went = self.went,
            seconds = self.begun.elapsed().as_secs_f64(),
            "answered"
        );
    }
}

pin_project_lite::pin_project! {
    struct Leaving {
        #[pin]
        inner: Body,
        visit: Visit,
    }
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let polled = this.inner.as_mut().poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.visit.went += frame.data_ref().map_or(0, |data| data.len() as u64);
                // Then hyper asks for no more.
                this.visit.ended = this.inner.is_end_stream();
            }
            Poll::Ready(None) => this.visit.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
