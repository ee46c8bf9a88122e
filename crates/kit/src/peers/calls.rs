//! One unary call among the peers of a role: whom to ask, how often, and what to say
//! when nobody answers. It decides by how things stand at the moment of each try.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use confab_proto::method::Idempotency;
use http::Response;
use http_body_util::{BodyExt as _, Limited};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body};

use super::{
    Shared, choice,
    connection::Failed,
    endpoint::{Endpoint, Link, Standing},
    request::Unary,
};
use crate::{
    error::{Error, Reason},
    random,
    role::Role,
};

/// Calls of one process that one peer may have under way. More would only wait.
const MAX_IN_FLIGHT: usize = 1000;
/// How often a call is sent, the first time included.
pub(super) const MAX_TRIES: u32 = 3;
/// Before a call is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(25);
/// How long a call waits for a peer that is being connected to.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer of a unary call. It is taken in whole: on the connection
/// that all calls share nothing may wait for one slow reader.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Where a call can go now.
enum Picked {
    One(Arc<Endpoint>, Link),
    /// All that are ready have as much to do as they may.
    Busy,
    /// One will be ready soon, perhaps.
    Soon,
    Nobody,
}

impl Shared {
    /// Sends a call until it is answered, or nobody can be asked again.
    pub(super) async fn call(&self, call: &Unary) -> Result<Response<Body>, Status> {
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
    pub(super) async fn pick(
        &self,
        affinity: Option<u64>,
        tried: &[SocketAddr],
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

    fn choose(&self, affinity: Option<u64>, tried: &[SocketAddr]) -> Picked {
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

    pub(super) fn nobody(&self) -> Error {
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
pub(super) fn unanswered() -> Status {
    Error::new(Reason::OutcomeUnknown, "another process did not answer").into()
}
