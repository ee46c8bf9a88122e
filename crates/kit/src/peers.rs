//! The other processes of one role, as one service: a call goes to one of them, is
//! sent again elsewhere where that is safe, and is refused at once where nobody is
//! left to ask. It knows no message and holds no state that a call depends on.
//!
//! From the outside in: [`request`] takes the call in, [`choice`] picks one of the
//! [`endpoint`]s that are ready, whose task has made the [`connection`] and has asked
//! ([`greeting`]) who is there, and whose [`breaker`] leaves it alone when it fails;
//! streams have connections of their own ([`lanes`]). [`resolver`] says which
//! endpoints there are. What happens at each of them is heard by an [`ear`].
//!
//! Why not tower's `Balance` and tonic's `balance_list`: neither knows an affinity,
//! a breaker, or whether a request was ever sent (docs/adr/0040).

mod breaker;
mod choice;
mod connection;
mod ear;
mod endpoint;
mod greeting;
mod lanes;
mod request;
mod resolver;
mod streams;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use confab_proto::method::{Idempotency, Method};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, body::Body};
use tower::{BoxError, Service};

use crate::{
    channel::Channel,
    deadline,
    error::{Error, Reason},
    identity::Credential,
    random,
    role::Role,
    task,
};

use connection::Failed;
pub use ear::Ear;
use endpoint::{Endpoint, Link, Standing};
pub use greeting::{Fingerprint, Greeter, Greeting};
use request::Unary;

/// Calls of one process that one peer may have under way. More would only wait.
const MAX_IN_FLIGHT: usize = 1000;
/// How often a call is sent, the first time included.
const MAX_TRIES: u32 = 3;
/// Before a call is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(25);
/// How long a call waits for a peer that is being connected to.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer of a unary call. It is taken in whole: on the connection
/// that all calls share nothing may wait for one slow reader.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What a role's peers are known by.
#[derive(Clone, Debug)]
pub struct PeersOptions {
    /// Which role.
    pub role: Role,
    /// Where it is served: URIs of mesh ports.
    pub uris: Vec<String>,
    /// What this process shows them.
    pub credential: Credential,
    /// What it says of itself.
    pub greeting: Greeting,
    /// How it reaches itself, should it be among them.
    pub own: Option<Channel>,
    /// Hears what happens at each of them; nobody does when absent.
    pub ear: Option<Ear>,
    /// Between two lookups of the names.
    pub resolve_every: Duration,
    /// Failures in a row before a peer is left alone.
    pub breaker_failures: u32,
    /// For how long at most.
    pub breaker_open: Duration,
}

/// The peers of one role; cheap to clone. They are let go with the last clone.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
    _tasks: Arc<DropGuard>,
}

/// What the peers and their tasks share.
struct Shared {
    options: PeersOptions,
    endpoints: RwLock<Arc<[Arc<Endpoint>]>>,
    /// Moved on whenever one of them stands otherwise than before.
    changed: watch::Sender<u64>,
}

/// Where a call can go now.
enum Picked {
    One(Arc<Endpoint>, Link),
    /// All that are ready have as much to do as they may.
    Busy,
    /// One will be ready soon, perhaps.
    Soon,
    Nobody,
}

impl Peers {
    /// Begins to look them up and to connect. Must be called within a tokio runtime.
    pub fn new(options: PeersOptions) -> Self {
        let authorities = options.uris.iter().filter_map(|uri| resolver::authority(uri)).collect();
        let shared = Arc::new(Shared {
            options,
            endpoints: RwLock::new(Arc::from([])),
            changed: watch::Sender::new(0),
        });
        let stopped = CancellationToken::new();
        let resolving = resolver::keep_resolved(Arc::clone(&shared), authorities, stopped.clone());
        task::spawn("peers", resolving);
        Self { shared, _tasks: Arc::new(stopped.drop_guard()) }
    }

    /// The channel to them, with the mesh credential.
    pub fn channel(&self) -> Channel {
        Channel::over(self.clone()).with_mesh_credential(&self.shared.options.credential)
    }

    /// Whether one of them can be asked; the error says what is the matter with each.
    ///
    /// # Errors
    /// When none is ready.
    pub fn reachable(&self) -> Result<(), String> {
        let endpoints = self.shared.endpoints();
        let ready = |endpoint: &Arc<Endpoint>| matches!(endpoint.standing(), Standing::Ready(_));
        if endpoints.iter().any(ready) {
            return Ok(());
        }
        if endpoints.is_empty() {
            return Err(format!("no address of {} is known", self.shared.options.role));
        }
        let each = endpoints.iter().map(|endpoint| {
            let what = match endpoint.standing() {
                Standing::Unfit(why) => why,
                Standing::Resting => "has failed too often and is left alone for a while",
                _ => "is not connected",
            };
            format!("{} {what}", endpoint.target.address)
        });
        Err(each.collect::<Vec<_>>().join("; "))
    }

    /// Waits until one of them can be asked.
    pub async fn met(&self) {
        let mut changed = self.shared.changed.subscribe();
        while self.reachable().is_err() {
            // It ends with the peers themselves.
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether peers may be used at all.
    ///
    /// # Errors
    /// When none is ready and one must not be used: its keys or its store are not
    /// this process's.
    pub fn fitting(&self) -> Result<(), String> {
        let endpoints = self.shared.endpoints();
        let unfit = |one: &Arc<Endpoint>| matches!(one.standing(), Standing::Unfit(_));
        if endpoints.iter().any(unfit) { self.reachable() } else { Ok(()) }
    }

    async fn carry(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let method = Method::by_path(request.uri().path());
        let Some(method) = method else {
            return Err(Error::new(Reason::UnknownMethod, "there is no such RPC").into());
        };
        if method.client_streaming || method.server_streaming {
            return streams::open(&self.shared, request).await;
        }
        let call = Unary::of(method, request).await?;
        let answer = timeout_at(call.deadline, self.shared.call(&call)).await;
        answer.unwrap_or_else(|_| Err(deadline::exceeded().into()))
    }
}

impl Shared {
    fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, endpoints: Arc<[Arc<Endpoint>]>) {
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
        let endpoints = self.endpoints();
        let ready = endpoints.iter().filter(|one| matches!(one.standing(), Standing::Ready(_)));
        let ready = u32::try_from(ready.count()).unwrap_or(u32::MAX);
        let known = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let role = self.options.role.name();
        metrics::gauge!("confab_peers_ready", "role" => role).set(ready);
        metrics::gauge!("confab_peers_known", "role" => role).set(known);
    }

    /// Whether some other endpoint that is ready has its rows elsewhere.
    fn has_other_store(&self, one: &Endpoint, store_id: &str) -> bool {
        self.endpoints().iter().any(|other| {
            let other_one = other.target.address != one.target.address;
            other_one
                && matches!(other.standing(), Standing::Ready(link) if &*link.store_id != store_id)
        })
    }

    /// Sends a call until it is answered, or nobody can be asked again.
    async fn call(&self, call: &Unary) -> Result<Response<Body>, Status> {
        let mut tried = Vec::new();
        let mut outcome_open = false;
        loop {
            let (endpoint, link) = match self.pick(call.affinity, &tried, call.deadline).await {
                Ok(picked) => picked,
                // An earlier try may have been carried out.
                Err(_) if outcome_open => return Err(unanswered()),
                Err(error) => return Err(error.into()),
            };
            let in_flight = endpoint.enter();
            let answer = self.attempt(&endpoint, &link, call).await;
            drop(in_flight);
            let sent = match answer {
                Ok(answer) => return Ok(answer),
                Err(Failed::NeverSent(_)) => false,
                Err(Failed::Unanswered) => true,
            };
            outcome_open |= sent && call.method.idempotency != Idempotency::NoSideEffects;
            let again = !sent || call.method.idempotency != Idempotency::Unknown;
            tried.push(endpoint.target.address);
            let times = u32::try_from(tried.len()).unwrap_or(u32::MAX);
            if !again || times >= MAX_TRIES {
                return Err(if outcome_open { unanswered() } else { self.nobody().into() });
            }
            metrics::counter!("confab_peer_retries_total", "role" => self.options.role.name())
                .increment(1);
            tokio::time::sleep(random::jitter(RETRY_PAUSE * times)).await;
        }
    }

    /// Sends it once, and takes in the answer.
    async fn attempt(
        &self,
        endpoint: &Arc<Endpoint>,
        link: &Link,
        call: &Unary,
    ) -> Result<Response<Body>, Failed> {
        let silence = Silence { endpoint, begun: Instant::now(), answered: false };
        let (parts, body) = endpoint.send(link, call.copy()).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        silence.ended();
        match body {
            Ok(body) => {
                Ok(Response::from_parts(parts, Body::new(body.map_err(|never| match never {}))))
            }
            Err(_) => Err(Failed::Unanswered),
        }
    }

    /// Whom to ask next: somebody who was not asked yet, if there is one.
    async fn pick(
        &self,
        affinity: Option<u64>,
        tried: &[std::net::SocketAddr],
        deadline: Instant,
    ) -> Result<(Arc<Endpoint>, Link), Error> {
        let patience = deadline.min(Instant::now() + PATIENCE);
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            match self.choose(affinity, tried) {
                Picked::One(endpoint, link) => return Ok((endpoint, link)),
                Picked::Busy => return Err(self.busy()),
                Picked::Nobody => return Err(self.nobody()),
                Picked::Soon => {}
            }
            if timeout_at(patience, changed.changed()).await.is_err() {
                return Err(self.nobody());
            }
        }
    }

    fn choose(&self, affinity: Option<u64>, tried: &[std::net::SocketAddr]) -> Picked {
        let endpoints = self.endpoints();
        let mut soon = endpoints.is_empty();
        let mut ready = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints.iter() {
            match endpoint.standing() {
                Standing::Ready(link) => ready.push((endpoint, link)),
                Standing::Connecting => soon = true,
                Standing::Resting | Standing::Unfit(_) => {}
            }
        }
        if ready.is_empty() {
            return if soon { Picked::Soon } else { Picked::Nobody };
        }
        ready.retain(|(endpoint, _)| endpoint.load() < MAX_IN_FLIGHT);
        let untried = |one: &(&Arc<Endpoint>, Link)| !tried.contains(&one.0.target.address);
        if ready.iter().any(untried) {
            ready.retain(untried);
        }
        let affinity = affinity.filter(|_| self.options.role == Role::Messages);
        let place = if let Some(key) = affinity {
            choice::by_weight(key, ready.iter().map(|(_, link)| link.weight))
        } else {
            let loads: Vec<usize> = ready.iter().map(|(endpoint, _)| endpoint.load()).collect();
            let random = if loads.len() > 1 { u64::from_le_bytes(random::bytes()) } else { 0 };
            choice::by_load(random, &loads)
        };
        match place {
            None => Picked::Busy,
            Some(place) => {
                let (endpoint, link) = ready.swap_remove(place);
                Picked::One(Arc::clone(endpoint), link)
            }
        }
    }

    fn nobody(&self) -> Error {
        let role = self.options.role;
        metrics::counter!("confab_peer_unavailable_total", "role" => role.name()).increment(1);
        let message = format!("no process that serves {role} can be reached");
        Error::new(Reason::PeerUnavailable, message).with("role", role)
    }

    fn busy(&self) -> Error {
        let role = self.options.role;
        metrics::counter!("confab_peer_shed_total", "role" => role.name()).increment(1);
        Error::new(Reason::Overloaded, format!("all processes that serve {role} are busy"))
    }
}

/// A call that may end without an answer: dropped before, it asks whether the peer
/// was silent all the time.
struct Silence<'a> {
    endpoint: &'a Arc<Endpoint>,
    begun: Instant,
    answered: bool,
}

impl Silence<'_> {
    fn ended(mut self) {
        self.answered = true;
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.endpoint.was_silent(self.begun);
        }
    }
}

/// A call that was sent and not answered.
fn unanswered() -> Status {
    Error::new(Reason::OutcomeUnknown, "another process did not answer").into()
}

impl Service<Request<Body>> for Peers {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Who is ready is found out for each call, which may wait for it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peers = self.clone();
        Box::pin(async move { Ok(peers.carry(request).await.unwrap_or_else(Status::into_http)) })
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("role", &self.shared.options.role).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
