//! Proofs of identity in the headers: the bearer token and the mesh
//! credential. Counts the outcomes; never logs or answers with a token.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use confab_log::{ids::TenantId, mutant};
use http::{HeaderMap, Request, header::AUTHORIZATION};
use tonic::body::Body;

use super::LayerOptions;
use crate::{
    channel::MESH_HEADER,
    error::{Error, Reason},
    identity::{Caller, Credential},
};

/// Whether any call on a connection has proven who makes it. The server puts
/// it into each request, and closes connections that never prove anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionProof(Arc<AtomicBool>);

impl ConnectionProof {
    pub(crate) fn is_proven(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who the bearer token speaks for, if it was not revoked.
pub(super) fn prove_caller(
    request: &Request<Body>,
    options: &LayerOptions,
) -> Result<Caller, Error> {
    let verified = bearer(request.headers()).and_then(|token| options.verifier.verify(token));
    let outcome = verified.and_then(|caller| options.revocations.check(&caller).map(|()| caller));
    let mut caller = counted(request, outcome)?;
    if mutant::is("tenant-from-header") {
        let header = request.headers().get("x-tenant").and_then(|value| value.to_str().ok());
        caller.tenant = header.and_then(|text| TenantId::parse(text).ok()).unwrap_or(caller.tenant);
    }
    Ok(caller)
}

/// That another Confab process calls.
pub(super) fn prove_mesh(request: &Request<Body>, credential: &Credential) -> Result<(), Error> {
    let shown = request.headers().get(MESH_HEADER);
    let outcome = match shown {
        Some(shown) if credential.matches(shown.as_bytes()) => Ok(()),
        _ => Err(Error::new(
            Reason::InvalidMeshCredential,
            "the mesh credential is missing or wrong",
        )),
    };
    counted(request, outcome)
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
        proof.0.store(true, Ordering::Relaxed);
    }
    outcome
}
