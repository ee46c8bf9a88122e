//! HTTP/2 connections: accepted, bounded, watched, drained, dropped.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use confab_log::mutant;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::{
    SharedRegistry, SpawnNamed as _, accept,
    arrivals::Arrivals,
    linger::{EndedWell, Lingering},
    pieces::Pieces,
    registry::{Entry, Registry},
    stall::{Stall, Watched},
    stream::{Stream, StreamExecutor},
};
use crate::{
    config::Limits,
    layers::{Layered, PeerAddress},
    lifecycle::Lifecycle,
};

/// Pings find a peer that is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Chat clients cancel often; hyper's default takes that for an attack.
const PENDING_RESET_STREAMS: usize = 1024;
const MAX_HEADER_BYTES: u32 = 32 * 1024;
const MAX_FRAME_BYTES: u32 = 16 * 1024;
/// Kept for a stream whose client does not read; hyper's default is 400 KiB.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Between the polite end of a connection on which nothing is open and its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a connection ends that its client would have kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It has to make room, or the process stops.
    Now,
    /// Its client takes nothing: not even the reset of a stream can be told.
    Stalled,
    /// The process drains: calls that are open may end.
    Draining,
    /// It has had its time and shown no token.
    NothingProven,
}

/// Accepts the connections of one port.
#[derive(Clone)]
pub(super) struct Acceptor {
    routes: Layered,
    limits: Limits,
    lifecycle: Lifecycle,
    connections: TaskTracker,
    registry: SharedRegistry,
    arrivals: Option<Arc<Arrivals>>,
}

impl Acceptor {
    pub(super) fn new(
        port: &'static str,
        routes: Layered,
        limits: Limits,
        lifecycle: Lifecycle,
        connections: TaskTracker,
    ) -> Self {
        let registry = Arc::new(Registry::new(port, limits.max_connections));
        Self { routes, limits, lifecycle, connections, registry, arrivals: None }
    }

    /// Limits the connections of each address.
    pub(super) fn limiting(mut self, arrivals: Arrivals) -> Self {
        self.arrivals = Some(Arc::new(arrivals));
        self
    }

    /// Accepts until draining begins; then the listener is closed.
    pub(super) async fn run(self, listener: TcpListener) {
        loop {
            let (stream, peer) = tokio::select! {
                accepted = accept(&listener) => accepted,
                () = self.lifecycle.draining() => return,
            };
            // Before the registry, where the newcomer would drive out another.
            let arrival = match &self.arrivals {
                Some(arrivals) => arrivals.admit(peer.ip()).map(Some),
                None => Ok(None),
            };
            let arrival = match arrival {
                Ok(arrival) => arrival,
                Err(cause) => {
                    self.registry.closed(cause);
                    continue;
                }
            };
            let Some(entry) = self.registry.enter() else {
                continue;
            };
            // Behind the mesh's port stand processes that speak for many.
            let peer = arrival.is_some().then(|| PeerAddress(peer.ip()));
            let serving = self.clone().serve(stream, peer, entry);
            self.connections.spawn_named("connection", serving.map(|()| drop(arrival)));
        }
    }

    async fn serve(self, stream: TcpStream, peer: Option<PeerAddress>, entry: Entry) {
        let routes = self.routes.clone();
        let proof = entry.proof.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(proof.clone());
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            answer(routes.clone(), request)
        });
        let (stream, ended_well) = Lingering::new(stream, self.connections.clone());
        let (stream, stall) = Watched::new(TokioIo::new(stream));
        let streams = StreamExecutor::new(patience(self.limits.answer_stall_seconds));
        let connection = self.builder(streams.clone()).serve_connection(stream, service);
        let mut connection = pin!(connection);
        // Polled when one of them woke it, not whenever the connection is: that
        // is for each frame, and asking all five costs as much as a small write.
        let mut ends: FuturesUnordered<_> = [self.end(&entry, &stall)].into_iter().collect();
        let end = tokio::select! {
            biased;
            outcome = connection.as_mut() => return ended(outcome, &ended_well),
            Some(end) = ends.next() => end,
        };
        match end {
            End::Now => return,
            End::Stalled => return self.registry.closed("takes nothing"),
            End::NothingProven => self.registry.closed("nothing proven"),
            End::Draining if mutant::is("drain-drops-calls") => return,
            End::Draining => {}
        }
        connection.as_mut().graceful_shutdown();
        let may_finish = end == End::Draining && entry.proof.is_proven();
        let grace = async {
            // While draining, open calls have until the hard stop.
            if may_finish {
                streams.idle().await;
            }
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            outcome = connection.as_mut() => ended(outcome, &ended_well),
            () = entry.evicted.cancelled() => {}
            () = self.lifecycle.stopped() => {}
            () = self.stalled(&stall) => self.registry.closed("takes nothing"),
            () = grace => {}
        }
    }

    /// Resolves when the connection has to end before its client ends it.
    async fn end(&self, entry: &Entry, stall: &Stall) -> End {
        tokio::select! {
            () = entry.evicted.cancelled() => End::Now,
            () = self.lifecycle.stopped() => End::Now,
            () = self.stalled(stall) => End::Stalled,
            () = self.lifecycle.draining() => End::Draining,
            () = self.proves_nothing(entry) => End::NothingProven,
        }
    }

    async fn stalled(&self, stall: &Stall) {
        stall.longer_than(patience(self.limits.write_stall_seconds)).await;
    }

    /// Resolves when the connection should have proven something by now.
    async fn proves_nothing(&self, entry: &Entry) {
        let patience = Duration::from_secs(self.limits.unauthenticated_idle_seconds);
        tokio::time::sleep(patience).await;
        if entry.proof.is_proven() {
            std::future::pending::<()>().await;
        }
    }

    fn builder(&self, streams: StreamExecutor) -> http2::Builder<StreamExecutor> {
        let mut builder = http2::Builder::new(streams);
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(self.limits.streams_per_connection)
            .max_pending_accept_reset_streams(PENDING_RESET_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES);
        builder
    }
}

/// Runs in the task of the request's stream.
async fn answer(
    routes: Layered,
    mut request: Request<Body>,
) -> Result<Response<Pieces>, Infallible> {
    let Stream { reset, stall } = Stream::current();
    request.extensions_mut().insert(reset);
    let response = routes.oneshot(request).await?;
    Ok(response.map(|body| Pieces::new(body, stall)))
}

fn patience(seconds: u64) -> Duration {
    if mutant::is("stall-unnoticed") {
        return Duration::from_hours(1);
    }
    Duration::from_secs(seconds)
}

fn ended(outcome: Result<(), hyper::Error>, ended_well: &EndedWell) {
    match outcome {
        Ok(()) => ended_well.set(),
        Err(error) => tracing::debug!(%error, "connection broke"),
    }
}
