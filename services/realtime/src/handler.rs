//! The endpoint. Streams are raw HTTP in and out, because a response body of our
//! own shares each event's bytes among all of them, which a generated service
//! cannot; here a stream's task is started, and nothing else. The unary RPCs go
//! to the generated server around [`unary`].

mod unary;

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use confab_kit::{
    error::{Error as Coding, Reason},
    identity::Caller,
    server::StreamReset,
    task,
};
use confab_proto::realtime::v1::realtime_service_server::RealtimeServiceServer;
use futures_util::future::BoxFuture;
use http::{HeaderValue, header::CONTENT_TYPE};
use tonic::{Status, body::Body, server::NamedService};

use crate::{
    Shared,
    body::StreamBody,
    outbox::outbox,
    reader::FrameReader,
    session,
    source::{Source, Way},
};

/// Serves `confab.realtime.v1.RealtimeService`.
#[derive(Clone)]
pub struct RealtimeServer {
    shared: Arc<Shared>,
    unary: RealtimeServiceServer<unary::Unary>,
}

impl NamedService for RealtimeServer {
    const NAME: &'static str = "confab.realtime.v1.RealtimeService";
}

impl RealtimeServer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let unary = RealtimeServiceServer::new(unary::Unary::new(Arc::clone(&shared)));
        Self { shared, unary }
    }

    fn open(&self, way: Way, request: http::Request<Body>) -> Result<http::Response<Body>, Coding> {
        let (mut parts, body) = request.into_parts();
        let Some(caller) = parts.extensions.remove::<Caller>() else {
            return Err(Coding::new(Reason::MissingToken, "no token was verified for this stream"));
        };
        let limits = &self.shared.limits;
        let source = Source::new(way, FrameReader::new(body, limits.frame_bytes));
        let reset = parts.extensions.remove::<StreamReset>();
        let (outbox, outgoing) = outbox(limits.stream_queue_bytes, reset);
        metrics::counter!("confab_streams_opened_total", "rpc" => way.rpc()).increment(1);
        task::spawn(
            "realtime stream",
            session::run(Arc::clone(&self.shared), caller, source, outbox),
        );
        let mut response = http::Response::new(Body::new(StreamBody::new(outgoing)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(response)
    }
}

impl tower::Service<http::Request<Body>> for RealtimeServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Some(way) = Way::of_path(request.uri().path()) else {
            return self.unary.call(request);
        };
        let opened = self.open(way, request);
        let response = opened.unwrap_or_else(|error| Status::from(error).into_http());
        Box::pin(std::future::ready(Ok(response)))
    }
}

impl fmt::Debug for RealtimeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeServer").finish_non_exhaustive()
    }
}
