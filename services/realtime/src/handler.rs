//! The endpoint: raw HTTP in and out, because a response body of our own
//! shares each event's bytes among all streams, which a generated service
//! cannot. It starts the stream's task and does nothing else.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use confab_kit::{
    error::{Error as Coding, Reason},
    identity::Caller,
    server::StreamReset,
    task,
};
use http::{HeaderValue, header::CONTENT_TYPE};
use tonic::{Status, body::Body, server::NamedService};

use crate::{Shared, body::StreamBody, outbox::outbox, reader::FrameReader, session};

/// Serves `confab.realtime.v1.RealtimeService`.
#[derive(Clone)]
pub struct RealtimeServer {
    shared: Arc<Shared>,
}

impl NamedService for RealtimeServer {
    const NAME: &'static str = "confab.realtime.v1.RealtimeService";
}

impl RealtimeServer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn connect(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Coding> {
        if request.uri().path() != "/confab.realtime.v1.RealtimeService/Connect" {
            return Err(Coding::new(Reason::UnknownMethod, "there is no such RPC"));
        }
        let (mut parts, body) = request.into_parts();
        let Some(caller) = parts.extensions.remove::<Caller>() else {
            return Err(Coding::new(Reason::MissingToken, "no token was verified for this stream"));
        };
        let limits = &self.shared.limits;
        let reader = FrameReader::new(body, limits.frame_bytes);
        let reset = parts.extensions.remove::<StreamReset>();
        let (outbox, outgoing) = outbox(limits.stream_queue_bytes, reset);
        task::spawn(
            "realtime stream",
            session::run(Arc::clone(&self.shared), caller, reader, outbox),
        );
        let mut response = http::Response::new(Body::new(StreamBody::new(outgoing)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(response)
    }
}

impl tower::Service<http::Request<Body>> for RealtimeServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        ready(Ok(self.connect(request).unwrap_or_else(|error| Status::from(error).into_http())))
    }
}

impl fmt::Debug for RealtimeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeServer").finish_non_exhaustive()
    }
}
