//! Inside of tonic-web, where a call is gRPC: on its way to the public port's layers,
//! and back.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use confab_kit::{
    error::{Error, Reason},
    layers::Layered,
};
use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};
use tower::Service;

use crate::{
    exchange::{Exchange, Fault},
    grpc_web::too_long,
};

/// See the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstream(Layered);

impl Upstream {
    pub(crate) fn new(public: Layered) -> Self {
        Self(public)
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Answer>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let exchange = request.extensions_mut().remove::<Arc<Exchange>>();
        // Only `GrpcWeb::call` comes here, with one.
        let exchange = exchange.unwrap_or_else(|| Arc::new(Exchange::new(0)));
        let asking = Arc::clone(&exchange);
        let request = request.map(|inner| Body::new(Asked { inner, exchange: asking }));
        let answered = self.0.call(request).map_ok(|response| {
            note_status(&exchange, response.headers());
            response.map(|inner| Answer { inner, exchange })
        });
        answered.boxed()
    }
}

fn note_status(exchange: &Exchange, headers: &HeaderMap) {
    if let Some(status) = headers.get("grpc-status") {
        exchange.note_status(tonic::Code::from_bytes(status.as_bytes()));
    }
}

pin_project_lite::pin_project! {
    /// What is asked, as gRPC. Its length is not that of the request which came: a
    /// connection to another process would announce it, and break.
    struct Asked {
        #[pin]
        inner: Body,
        exchange: Arc<Exchange>,
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        this.inner.poll_frame(cx).map_err(|status| match this.exchange.fault() {
            Some(Fault::TooLong) => too_long(this.exchange).into(),
            // The layers know what to make of a client that has gone.
            Some(Fault::BrokenOff) => status,
            None => Error::new(Reason::MalformedRequest, "the body is not base64").into(),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

pin_project_lite::pin_project! {
    /// What is answered, as gRPC. Its length is not that of the answer which goes:
    /// the trailers become part of that, and all of it may become base64.
    pub(crate) struct Answer {
        #[pin]
        inner: Body,
        exchange: Arc<Exchange>,
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            note_status(this.exchange, trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of a status alone there is no body to be wrong about.
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
