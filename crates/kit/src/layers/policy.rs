//! The first of the policy's three places: from the headers alone, whether
//! this caller may use this RPC on this port. Knows no conversation.

use std::{collections::HashMap, sync::LazyLock};

use confab_log::mutant;
use confab_proto::method::{Caller as Allowed, METHODS, Method, Policy};
use http::Request;
use tonic::body::Body;

use super::{LayerOptions, Port, auth};
use crate::{
    error::{Error, Reason},
    identity::{Caller, CallerKind},
    policy::StandardMethod,
};

static BY_PATH: LazyLock<HashMap<&'static str, &'static Method>> =
    LazyLock::new(|| METHODS.iter().map(|method| (method.path, method)).collect());

/// An RPC that this port serves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rpc {
    /// One of the contract.
    Contract(&'static Method),
    /// One of the standard services.
    Standard(&'static StandardMethod),
}

impl Rpc {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Contract(method) => method.path,
            Self::Standard(method) => method.path,
        }
    }

    pub(super) fn is_streaming(self) -> bool {
        match self {
            Self::Contract(method) => method.client_streaming || method.server_streaming,
            Self::Standard(method) => method.streaming,
        }
    }

    /// Whether one request has many answers.
    pub(super) fn only_answers_stream(self) -> bool {
        matches!(self, Self::Contract(method) if !method.client_streaming && method.server_streaming)
    }

    /// Whether its client may go on asking while it is answered.
    pub(super) fn goes_both_ways(self) -> bool {
        matches!(self, Self::Contract(method) if method.client_streaming && method.server_streaming)
    }
}

/// Finds an RPC; on the public port the mesh's do not exist.
pub(super) fn find(port: Port, path: &str) -> Option<Rpc> {
    if let Some(method) = BY_PATH.get(path) {
        let hidden = port == Port::Public && method.is_mesh();
        return (!hidden).then_some(Rpc::Contract(method));
    }
    StandardMethod::by_path(path).map(Rpc::Standard)
}

/// Proves who calls, refuses who may not, and leaves the [`Caller`] in the
/// request's extensions.
pub(super) async fn admit(
    rpc: Rpc,
    port: Port,
    options: &LayerOptions,
    request: &mut Request<Body>,
) -> Result<(), Error> {
    let Rpc::Contract(method) = rpc else {
        return Ok(());
    };
    let Some(policy) = &method.policy else {
        return Err(not_allowed());
    };
    if port == Port::Mesh {
        auth::prove_mesh(request, &options.credential)?;
    }
    if policy.callers.contains(&Allowed::Public) {
        return Ok(());
    }
    let caller = if method.is_mesh() {
        Caller::mesh().ok_or_else(not_allowed)?
    } else {
        auth::prove_caller(request, options).await?
    };
    check(policy, &caller)?;
    let span = tracing::Span::current();
    span.record("tenant", caller.tenant.as_str()).record("user", caller.user.as_str());
    request.extensions_mut().insert(caller);
    Ok(())
}

fn check(policy: &Policy, caller: &Caller) -> Result<(), Error> {
    let kind = match caller.kind {
        CallerKind::User => Allowed::User,
        CallerKind::Application => Allowed::Application,
        CallerKind::TenantAdmin => Allowed::TenantAdmin,
        CallerKind::Mesh => Allowed::Mesh,
    };
    if !policy.callers.contains(&kind) && !mutant::is("policy-skip-caller-kind") {
        return Err(not_allowed());
    }
    if !policy.scope.is_empty() && !caller.has_scope(policy.scope) {
        let error = Error::new(Reason::MissingScope, "the token lacks the scope of this RPC");
        return Err(error.with("scope", policy.scope));
    }
    Ok(())
}

fn not_allowed() -> Error {
    Error::new(Reason::CallerNotAllowed, "this kind of caller may not use the RPC")
}

#[cfg(test)]
mod tests {
    use confab_proto::method::Target;

    use super::*;
    use crate::identity::{Claims, DevKey};

    #[tokio::test]
    async fn a_scope_is_needed_when_the_policy_names_one() {
        let key = DevKey::ephemeral().expect("a key");
        let verifier = key.verifier().expect("a verifier");
        let policy = Policy {
            callers: &[Allowed::Application],
            scope: "import",
            rate_class: "write",
            target: Target::Own,
        };
        let outcome = async |scope: Option<&str>| {
            let scope = scope.map(str::to_owned);
            let claims = Claims { scope, ..Claims::application("acme", "bot") };
            let caller = verifier.verify(&key.sign(claims)).await.expect("passes");
            check(&policy, &caller).map_err(|error| error.reason())
        };
        assert_eq!(outcome(Some("export import")).await, Ok(()));
        assert_eq!(outcome(Some("imports")).await, Err(Reason::MissingScope));
        assert_eq!(outcome(None).await, Err(Reason::MissingScope));
    }
}
