//! One connection as hyper serves it, and the bounds of its protocol. On most ports
//! clients speak HTTP/2; on the gateway's also HTTP/1.1, and their first bytes tell.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::HttpService};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tower::BoxError;

use super::{pieces::Pieces, secured::Secured, stall::Watched, stream::StreamExecutor};
use crate::config::Limits;

/// Pings find a peer that is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Chat clients cancel often; hyper's default takes that for an attack.
const PENDING_RESET_STREAMS: usize = 1024;
const MAX_HEADER_BYTES: u32 = 32 * 1024;
const MAX_FRAME_BYTES: u32 = 16 * 1024;
/// Kept for a stream whose client does not read; hyper's default is 400 KiB.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Over HTTP/1.1, how long a connection may idle between two requests, and a request's
/// head may take.
const HEAD_PATIENCE: Duration = Duration::from_mins(1);

type Bytestream = Watched<TokioIo<Secured>>;

pin_project_lite::pin_project! {
    /// See the module.
    #[project = Projected]
    pub(super) enum Serving<S>
    where
        S: HttpService<Incoming>,
    {
        Http2 {
            #[pin]
            connection: http2::Connection<Bytestream, S, StreamExecutor>,
        },
        // Apart, or every connection of the other ports would take as much memory.
        Any {
            connection: Pin<Box<auto::Connection<'static, Bytestream, S, StreamExecutor>>>,
        },
    }
}

/// Both builders of HTTP/2 have these, and no trait.
macro_rules! bounded {
    ($builder:expr, $limits:expr) => {
        $builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams($limits.streams_per_connection)
            .max_pending_accept_reset_streams(PENDING_RESET_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
    };
}

impl<S, F> Serving<S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Pieces>, Future = F>,
    S: 'static,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<Pieces>, S::Error>> + Send + 'static,
{
    /// HTTP/2 and nothing else.
    pub(super) fn http2(
        stream: Bytestream,
        service: S,
        streams: StreamExecutor,
        limits: &Limits,
    ) -> Self {
        let mut builder = http2::Builder::new(streams);
        bounded!(builder, limits);
        Self::Http2 { connection: builder.serve_connection(stream, service) }
    }

    /// HTTP/1.1, or HTTP/2 with the same bounds.
    pub(super) fn any(
        stream: Bytestream,
        service: S,
        streams: StreamExecutor,
        limits: &Limits,
    ) -> Self {
        let mut builder = auto::Builder::new(streams);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(SEND_BUFFER_BYTES);
        bounded!(builder.http2(), limits);
        let connection = builder.serve_connection(stream, service).into_owned();
        Self::Any { connection: Box::pin(connection) }
    }

    /// Takes no more requests, and ends when those that are open have ended.
    pub(super) fn graceful_shutdown(self: Pin<&mut Self>) {
        match self.project() {
            Projected::Http2 { connection } => connection.graceful_shutdown(),
            Projected::Any { connection } => connection.as_mut().graceful_shutdown(),
        }
    }
}

impl<S, F> Future for Serving<S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Pieces>, Future = F>,
    S: 'static,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<Pieces>, S::Error>> + Send + 'static,
{
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Http2 { connection } => {
                Poll::Ready(ready!(connection.poll(cx)).map_err(BoxError::from))
            }
            Projected::Any { connection } => connection.as_mut().poll(cx),
        }
    }
}
