//! Connections: accepted, bounded, watched, drained, dropped. HTTP/2, and on the
//! gateway's port HTTP/1.1, too.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use confab_log::mutant;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use http::{Request, Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::BoxError;

use super::{
    SharedRegistry, SpawnNamed as _, accept,
    arrivals::Arrivals,
    linger::{EndedWell, Lingering},
    pieces::Pieces,
    registry::{Entry, Registry},
    secured::Secured,
    serving::Serving,
    stall::{Stall, Watched},
    stream::{Stream, StreamExecutor, StreamReset},
    web::Answers,
};
use crate::{config::Limits, layers::PeerAddress, lifecycle::Lifecycle};

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
    answers: Answers,
    limits: Limits,
    lifecycle: Lifecycle,
    connections: TaskTracker,
    registry: SharedRegistry,
    arrivals: Option<Arc<Arrivals>>,
    tls: Option<TlsAcceptor>,
}

impl Acceptor {
    pub(super) fn new(
        port: &'static str,
        answers: Answers,
        limits: Limits,
        lifecycle: Lifecycle,
        connections: TaskTracker,
    ) -> Self {
        let registry = Arc::new(Registry::new(port, limits.max_connections));
        Self { answers, limits, lifecycle, connections, registry, arrivals: None, tls: None }
    }

    /// Limits the connections of each address.
    pub(super) fn limiting(mut self, arrivals: Arc<Arrivals>) -> Self {
        self.arrivals = Some(arrivals);
        self
    }

    /// Speaks TLS.
    pub(super) fn inside(mut self, tls: Option<TlsAcceptor>) -> Self {
        self.tls = tls;
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
        let answers = self.answers.clone();
        let proof = entry.proof.clone();
        let streams = StreamExecutor::new(patience(self.limits.answer_stall_seconds));
        let calls = Calls { whole: Stream::default(), streams: streams.clone() };
        let whole = calls.whole.reset.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(proof.clone());
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            answer(answers.clone(), calls.clone(), request)
        });
        let (stream, ended_well) = Lingering::new(stream, self.connections.clone());
        let stream = match Secured::accept(stream, self.tls.as_ref()).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "no handshake");
                return self.registry.closed("no handshake");
            }
        };
        let (stream, stall) = Watched::new(TokioIo::new(stream));
        let serving = match &self.answers {
            Answers::Grpc(_) => Serving::http2(stream, service, streams.clone(), &self.limits),
            Answers::Web(_) => Serving::any(stream, service, streams.clone(), &self.limits),
        };
        let mut connection = pin!(serving);
        // Polled when one of them woke it, not whenever the connection is: that
        // is for each frame, and asking all five costs as much as a small write.
        let mut ends: FuturesUnordered<_> =
            [self.end(&entry, &stall, &whole)].into_iter().collect();
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
            () = whole.asked() => {}
            () = self.stalled(&stall) => self.registry.closed("takes nothing"),
            () = grace => {}
        }
    }

    /// Resolves when the connection has to end before its client ends it.
    async fn end(&self, entry: &Entry, stall: &Stall, whole: &StreamReset) -> End {
        tokio::select! {
            () = entry.evicted.cancelled() => End::Now,
            () = self.lifecycle.stopped() => End::Now,
            () = whole.asked() => End::Now,
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
}

/// What the calls on a connection have in common.
#[derive(Clone)]
struct Calls {
    /// Over HTTP/1.1 one call at a time is all of the connection: to reset it is to
    /// end that.
    whole: Stream,
    streams: StreamExecutor,
}

/// Over HTTP/2 this runs in the task of the request's stream.
async fn answer(
    answers: Answers,
    calls: Calls,
    mut request: Request<Body>,
) -> Result<Response<Pieces>, Infallible> {
    let (stream, open) = if request.version() == Version::HTTP_2 {
        (Stream::current(), None)
    } else {
        (calls.whole, Some(calls.streams.count()))
    };
    request.extensions_mut().insert(stream.reset);
    let response = answers.answer(request).await?;
    Ok(response.map(|body| Pieces::new(body, stream.stall, open)))
}

fn patience(seconds: u64) -> Duration {
    if mutant::is("stall-unnoticed") {
        return Duration::from_hours(1);
    }
    Duration::from_secs(seconds)
}

fn ended(outcome: Result<(), BoxError>, ended_well: &EndedWell) {
    match outcome {
        Ok(()) => ended_well.set(),
        Err(error) => tracing::debug!(%error, "connection broke"),
    }
}
