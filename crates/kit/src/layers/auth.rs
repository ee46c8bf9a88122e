//! Proofs of identity in the headers: the bearer token and the mesh
//! credential. Counts and times the outcomes; never logs or answers with a token.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use confab_log::{ids::TenantId, mutant};
use http::{HeaderMap, Request, header::AUTHORIZATION};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tonic::{Code, body::Body};

use super::LayerOptions;
use crate::{
    channel::MESH_HEADER,
    error::{Error, Reason},
    identity::{Caller, Credential},
};

/// Streams of health and reflection that one connection may have open.
const STREAMS_OF_ANYONE: usize = 16;

/// Whether any call on a connection has proven who makes it. The server puts
/// it into each request, and closes connections that never prove anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionProof(Arc<Proven>);

#[derive(Debug)]
struct Proven {
    is_proven: AtomicBool,
    /// Places for streams that need no proof.
    open_to_anyone: Arc<Semaphore>,
}

impl Default for Proven {
    fn default() -> Self {
        let open_to_anyone = Arc::new(Semaphore::new(STREAMS_OF_ANYONE));
        Self { is_proven: AtomicBool::new(false), open_to_anyone }
    }
}

impl ConnectionProof {
    pub(crate) fn is_proven(&self) -> bool {
        self.0.is_proven.load(Ordering::Relaxed)
    }

    /// A place for a stream that anyone may open: each holds memory, and its
    /// client need not read.
    pub(super) fn open_to_anyone(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.0.open_to_anyone).try_acquire_owned().map_err(|_| {
            let message = "too many streams of health and reflection on this connection";
            Error::new(Reason::TooManyStreams, message)
                .with("limit", STREAMS_OF_ANYONE)
                .retry_after(Duration::from_secs(1))
        })
    }
}

/// Where a call comes from, as the server sees it; calls within the process
/// come from nowhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// Who the bearer token speaks for, if it was not revoked.
pub(super) async fn prove_caller(
    request: &mut Request<Body>,
    options: &LayerOptions,
) -> Result<Caller, Error> {
    let begun = Instant::now();
    let peer = request.extensions().get::<PeerAddress>().copied();
    let outcome = match bearer(request.headers()) {
        Ok(token) => {
            let remembered = options.verifier.recall(token);
            let cached = if remembered.is_some() { "true" } else { "false" };
            let outcome = match remembered {
                Some(outcome) => outcome,
                None => verify_strange(token, peer, options).await,
            };
            let seconds = begun.elapsed().as_secs_f64();
            metrics::histogram!("confab_auth_seconds", "cached" => cached).record(seconds);
            outcome
        }
        Err(error) => Err(error),
    };
    let outcome = outcome.and_then(|caller| options.revocations.check(&caller).map(|()| caller));
    let mut caller = counted(request, outcome)?;
    if mutant::is("tenant-from-header") {
        let header = request.headers().get("x-tenant").and_then(|value| value.to_str().ok());
        caller.tenant = header.and_then(|text| TenantId::parse(text).ok()).unwrap_or(caller.tenant);
    }
    Ok(caller)
}

/// Verifies a token that has not been proven before, unless its address has
/// shown too many that prove nothing.
async fn verify_strange(
    token: &str,
    peer: Option<PeerAddress>,
    options: &LayerOptions,
) -> Result<Caller, Error> {
    let failures = options.budgets.failures();
    if let Some(PeerAddress(address)) = peer {
        failures.may_try(address)?;
    }
    let outcome = options.verifier.verify(token).await;
    if let (Some(PeerAddress(address)), Err(error)) = (peer, &outcome)
        && error.code() == Code::Unauthenticated
    {
        failures.note(address);
    }
    outcome
}

/// That another Confab process calls.
pub(super) fn prove_mesh(request: &Request<Body>, credential: &Credential) -> Result<(), Error> {
    let outcome = if shows_mesh(request.headers(), credential) {
        Ok(())
    } else {
        let message = "the mesh credential is missing or wrong";
        Err(Error::new(Reason::InvalidMeshCredential, message))
    };
    counted(request, outcome)
}

/// Whether the call carries the mesh credential.
pub(super) fn shows_mesh(headers: &HeaderMap, credential: &Credential) -> bool {
    headers.get(MESH_HEADER).is_some_and(|shown| credential.matches(shown.as_bytes()))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let missing =
        || Error::new(Reason::MissingToken, "send the header `authorization: Bearer <token>`");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Error::new(Reason::InvalidToken, "more than one `authorization` header"));
    }
    let text =
        value.to_str().map_err(|_| Error::new(Reason::InvalidToken, "the token is malformed"))?;
    let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

fn counted<T>(request: &Request<Body>, outcome: Result<T, Error>) -> Result<T, Error> {
    let reason = match &outcome {
        Ok(_) => "OK",
        Err(error) => error.reason_name(),
    };
    metrics::counter!("confab_auth_outcomes_total", "reason" => reason).increment(1);
    if let (Ok(_), Some(proof)) = (&outcome, request.extensions().get::<ConnectionProof>()) {
        proof.0.is_proven.store(true, Ordering::Relaxed);
    }
    outcome
}
