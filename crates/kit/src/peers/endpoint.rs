//! One address of a role: a task connects to it, asks who is there, and keeps
//! the connection; calls find it ready, or leave it alone. It chooses nothing
//! between addresses.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use confab_proto::mesh::v1::{
    GreetRequest, GreetResponse, peers_service_client::PeersServiceClient,
};
use http::{Request, Response};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};
use tonic::body::Body;
use tower::{BoxError, ServiceExt as _};

use super::{
    Shared,
    breaker::Breaker,
    choice,
    connection::{Connection, Failed, Target},
    lanes::{Lanes, Place},
};
use crate::{channel::Channel, identity::Credential, random, role::Role};

/// How long a peer may take to say who it is.
const GREET_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two connections, at least.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
/// When a peer that does not fit is asked again.
const UNFIT_PAUSE: Duration = Duration::from_secs(5);
/// Between two tries to hear a peer.
const LISTEN_PAUSE: Duration = Duration::from_millis(500);
/// A call that gave its peer less time than this says nothing about the peer.
const MIN_SILENCE: Duration = Duration::from_secs(1);

/// How it stands with a peer.
#[derive(Clone)]
pub(super) enum Standing {
    /// Not there yet, but soon, or so it is hoped: calls may wait.
    Connecting,
    /// Calls can be sent.
    Ready(Link),
    /// It has failed too often and is left alone.
    Resting,
    /// It must not be used.
    Unfit(&'static str),
}

/// The way to a peer that is ready.
#[derive(Clone)]
pub(super) struct Link {
    way: Way,
    /// Which process it leads to.
    process_id: Arc<str>,
    /// Whether that knows everything that is revoked.
    keeps_revocations: bool,
    /// What it is chosen by, the same for every process.
    pub(super) weight: u64,
    /// Where its rows are.
    pub(super) store_id: Arc<str>,
}

#[derive(Clone)]
enum Way {
    Over(Connection),
    /// This very process. The connection only tells that it is the same still.
    Own {
        channel: Channel,
        _connection: Connection,
    },
}

/// See the module.
pub(super) struct Endpoint {
    pub(super) target: Target,
    shared: Arc<Shared>,
    standing: Mutex<Standing>,
    breaker: Mutex<Breaker>,
    tripped: Notify,
    in_flight: AtomicUsize,
    /// When it was heard of last, in microseconds since `begun`.
    heard: AtomicU64,
    begun: Instant,
    lanes: Lanes,
}

/// A call that has been sent to a peer and is not over yet.
pub(super) struct InFlight(Arc<Endpoint>);

impl Endpoint {
    pub(super) fn new(target: Target, shared: Arc<Shared>) -> Arc<Self> {
        let options = &shared.options;
        let breaker = Breaker::new(options.breaker_failures, options.breaker_open);
        Arc::new(Self {
            target,
            shared,
            standing: Mutex::new(Standing::Connecting),
            breaker: Mutex::new(breaker),
            tripped: Notify::new(),
            in_flight: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            begun: Instant::now(),
            lanes: Lanes::default(),
        })
    }

    pub(super) fn standing(&self) -> Standing {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match &standing {
            // Its task has not been told yet.
            Standing::Ready(Link { way: Way::Over(connection), .. }) if connection.is_closed() => {
                Standing::Connecting
            }
            _ => standing,
        }
    }

    fn stand(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
        self.shared.tell();
    }

    /// Calls that are under way.
    pub(super) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Sends a unary call.
    pub(super) async fn send(
        &self,
        link: &Link,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failed> {
        let answer = match &link.way {
            Way::Over(connection) => connection.send(request).await?,
            Way::Own { channel, .. } => own(channel, request).await?,
        };
        self.answered();
        Ok(answer)
    }

    /// Opens a stream, on a connection that no call uses.
    pub(super) async fn open(
        &self,
        link: &Link,
        request: Request<Body>,
    ) -> Result<(Response<Body>, Option<Place>), Failed> {
        let (answer, place) = match &link.way {
            Way::Own { channel, .. } => (own(channel, request).await?, None),
            Way::Over(_) => match self.lanes.take(&self.target).await {
                Ok((connection, place)) => (connection.send(request).await?, Some(place)),
                Err(error) => {
                    tracing::debug!(%error, peer = %self.target.address, "no connection for a stream");
                    return Err(Failed::NeverSent(Some(Box::new(request))));
                }
            },
        };
        self.answered();
        Ok((answer, place))
    }

    fn answered(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).succeed();
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A call that began so long ago ran out of time. If nothing at all has come
    /// from the peer meanwhile, the peer is to blame.
    pub(super) fn was_silent(&self, since: Instant) {
        let waited = since.elapsed();
        let heard = self.begun + Duration::from_micros(self.heard.load(Ordering::Relaxed));
        if waited < MIN_SILENCE || heard > since {
            return;
        }
        let opened = self.fail();
        if opened && matches!(self.standing(), Standing::Ready(_)) {
            self.stand(Standing::Resting);
            self.tripped.notify_one();
        }
    }

    /// Counts a failure; whether that has opened the breaker.
    fn fail(&self) -> bool {
        let opened = self.breaker.lock().unwrap_or_else(PoisonError::into_inner).fail();
        if opened {
            let role = self.shared.options.role.name();
            metrics::counter!("confab_peer_breaker_opened_total", "role" => role).increment(1);
        }
        opened
    }

    /// Keeps the connection, for ever.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            let pause = match self.greet().await {
                Ok((link, ended)) => {
                    self.breaker.lock().unwrap_or_else(PoisonError::into_inner).half_open();
                    self.ready(link.clone());
                    tokio::select! {
                        () = self.until_lost(ended) => {}
                        never = self.listen(&link) => match never {},
                    }
                    self.rest()
                }
                Err(Refused::Unfit(why)) => {
                    self.unfit(why);
                    UNFIT_PAUSE
                }
                Err(Refused::Unreachable(error)) => {
                    tracing::debug!(%error, peer = %self.target.address, "a peer cannot be reached");
                    self.fail();
                    self.rest()
                }
            };
            // A peer that lets go of every connection at once must not be hammered.
            tokio::time::sleep(random::jitter(pause.max(LEAST_PAUSE))).await;
        }
    }

    fn ready(&self, link: Link) {
        let (peer, role) = (self.target.address, self.shared.options.role.name());
        tracing::info!(%peer, role, "peer is ready");
        self.stand(Standing::Ready(link));
    }

    fn unfit(&self, why: &'static str) {
        let (peer, role) = (self.target.address, self.shared.options.role.name());
        if !matches!(self.standing(), Standing::Unfit(known) if known == why) {
            tracing::error!(%peer, role, "the peer {why}: it is not used");
        }
        self.stand(Standing::Unfit(why));
    }

    async fn until_lost(&self, ended: oneshot::Receiver<bool>) {
        tokio::select! {
            // A peer that said goodbye has not failed.
            well = ended => if well != Ok(true) { self.fail(); },
            () = self.tripped.notified() => {}
        }
        let (peer, role) = (self.target.address, self.shared.options.role.name());
        tracing::info!(%peer, role, "peer is lost");
    }

    /// Hears what happens there, unless it is this very process, or one that is
    /// heard already at another address or in another role.
    async fn listen(&self, link: &Link) -> Infallible {
        let options = &self.shared.options;
        let (Some(ear), Way::Over(_)) = (&options.ear, &link.way) else {
            return std::future::pending().await;
        };
        loop {
            if let Some(_claim) = ear.claim(&link.process_id) {
                match self.lanes.take(&self.target).await {
                    Ok((connection, _place)) => {
                        let channel = over(connection, &options.credential);
                        ear.listen(&channel, link.keeps_revocations).await;
                    }
                    Err(error) => tracing::debug!(%error, "no connection to listen on"),
                }
            }
            tokio::time::sleep(random::jitter(LISTEN_PAUSE)).await;
        }
    }

    /// How long to leave it alone.
    fn rest(&self) -> Duration {
        let breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, pause) = (breaker.is_open(), breaker.pause());
        drop(breaker);
        self.stand(if open { Standing::Resting } else { Standing::Connecting });
        pause
    }

    /// Connects and asks who is there.
    async fn greet(&self) -> Result<(Link, oneshot::Receiver<bool>), Refused> {
        let unreachable = |error: &dyn std::fmt::Display| Refused::Unreachable(error.to_string());
        let (connection, ended) =
            Connection::open(&self.target).await.map_err(|error| unreachable(&error))?;
        let channel = over(connection.clone(), &self.shared.options.credential);
        let mut client = PeersServiceClient::new(channel);
        let answer = timeout(GREET_TIMEOUT, client.greet(GreetRequest {})).await;
        let answer = match answer {
            Err(late) => return Err(unreachable(&late)),
            Ok(Err(status)) if status.code() == tonic::Code::Unauthenticated => {
                return Err(Refused::Unfit("has another mesh credential"));
            }
            Ok(Err(status)) => return Err(unreachable(&status)),
            Ok(Ok(answer)) => answer.into_inner(),
        };
        self.link(connection, &answer).map(|link| (link, ended))
    }

    fn link(&self, connection: Connection, answer: &GreetResponse) -> Result<Link, Refused> {
        let options = &self.shared.options;
        if let Some(why) = options.greeting.objection(options.role, answer) {
            return Err(Refused::Unfit(why));
        }
        if self.shared.has_other_store(self, &answer.store_id) {
            return Err(Refused::Unfit("has another store than the others of its role"));
        }
        let way = match &options.own {
            Some(own) if options.greeting.is_own(&answer.process_id) => {
                Way::Own { channel: own.clone(), _connection: connection }
            }
            _ => Way::Over(connection),
        };
        let weight = choice::hash(answer.process_id.as_bytes());
        let process_id = Arc::from(answer.process_id.as_str());
        let keeps_revocations = answer.roles.iter().any(|role| role == Role::Realtime.name());
        let store_id = Arc::from(answer.store_id.as_str());
        Ok(Link { way, process_id, keeps_revocations, weight, store_id })
    }
}

/// Why there is no link.
enum Refused {
    Unreachable(String),
    Unfit(&'static str),
}

/// The channel over one connection.
fn over(connection: Connection, credential: &Credential) -> Channel {
    let asked = tower::service_fn(move |request: Request<Body>| {
        let connection = connection.clone();
        async move { connection.send(request).await.map_err(|_| BoxError::from("no answer")) }
    });
    Channel::over(asked).with_mesh_credential(credential)
}

/// In process a request is taken or never made.
async fn own(channel: &Channel, request: Request<Body>) -> Result<Response<Body>, Failed> {
    channel.clone().oneshot(request).await.map_err(|_| Failed::NeverSent(None))
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
