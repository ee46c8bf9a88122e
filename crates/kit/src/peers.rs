//! The other processes of one role, as one service: a call goes to one of them, is
//! sent again elsewhere where that is safe, and is refused at once where nobody is
//! left to ask. It knows no message and holds no state that a call depends on.
//!
//! From the outside in: [`request`] takes the call in, [`calls`] sends it, [`choice`]
//! picks one of the [`endpoint`]s that are ready, whose task has made the
//! [`connection`] and has asked ([`greeting`]) who is there, and whose [`breaker`]
//! leaves it alone when it fails; [`streams`] have connections of their own
//! ([`lanes`]). [`resolver`] says which endpoints there are. What happens at each of
//! them is heard by an [`ear`].
//!
//! Why not tower's `Balance` and tonic's `balance_list`: neither knows an affinity,
//! a breaker, or whether a request was ever sent (docs/adr/0040).

mod breaker;
mod calls;
mod choice;
mod connection;
mod direct;
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

use confab_proto::method::Method;
use http::{Request, Response};
use tokio::{sync::watch, time::timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, body::Body};
use tower::{BoxError, Service};

use crate::{
    channel::Channel,
    deadline,
    error::{Error, Reason},
    identity::Credential,
    mesh_tls::MeshTls,
    role::Role,
    task,
};

pub use direct::direct;
pub use ear::Ear;
use endpoint::{Endpoint, Standing};
pub use greeting::{Fingerprint, Greeter, Greeting};
use request::Unary;

/// What a role's peers are known by.
#[derive(Clone, Debug)]
pub struct PeersOptions {
    /// Which role.
    pub role: Role,
    /// Where it is served: URIs of mesh ports.
    pub uris: Vec<String>,
    /// What this process shows them.
    pub credential: Credential,
    /// What the connections to them are inside of.
    pub tls: Option<MeshTls>,
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
