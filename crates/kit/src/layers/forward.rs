//! Calls of services that this process does not serve: passed on, as raw bodies, to
//! one that does. Whoever calls has been proven here; what they may do, and what it
//! costs them, is for the process that serves it.

pub(super) mod tied;

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderName, HeaderValue, Request, Response};
use tonic::{Status, body::Body};
use tower::ServiceExt as _;

use self::tied::TiedBody;
use super::{
    LayerOptions, auth,
    drain::{DrainedBody, HalfBody},
    policy::Rpc,
};
use crate::{channel::Channel, channel::MESH_HEADER, role::Role, server::StreamReset};

/// Says, beside the mesh credential, that a call is a client's, which another
/// process has passed on: it is charged to its caller.
pub(super) const FORWARDED_HEADER: HeaderName = HeaderName::from_static("x-confab-forwarded");

/// Which services are elsewhere, and how they are reached; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere(Arc<BTreeMap<Role, Channel>>);

impl Elsewhere {
    /// These roles are. The channels carry the mesh credential.
    pub fn new(channels: BTreeMap<Role, Channel>) -> Self {
        Self(Arc::new(channels))
    }

    /// The way to the service of an RPC, if it is elsewhere.
    pub(super) fn of(&self, rpc: Rpc) -> Option<Channel> {
        self.0.get(&Role::of_path(rpc.path())?).cloned()
    }
}

/// Whether another process has passed the call on. Believed only on the mesh's
/// port, where nobody gets without the credential.
pub(super) fn was_forwarded(request: &Request<Body>) -> bool {
    request.headers().contains_key(FORWARDED_HEADER)
}

/// Passes the call on, and the answer back.
pub(super) async fn pass_on(
    rpc: Rpc,
    options: &LayerOptions,
    channel: Channel,
    mut request: Request<Body>,
) -> Response<Body> {
    // What Confab does on a user's behalf is not charged there either.
    let charged = !auth::shows_mesh(request.headers(), &options.credential);
    let headers = request.headers_mut();
    headers.remove(MESH_HEADER);
    headers.remove(FORWARDED_HEADER);
    if charged {
        headers.insert(FORWARDED_HEADER, HeaderValue::from_static("client"));
    }
    if !rpc.is_streaming() {
        // What is left of it by now is sent instead.
        headers.remove("grpc-timeout");
    }
    let client = request.extensions_mut().remove::<StreamReset>().unwrap_or_default();
    request.extensions_mut().clear();
    let mut half = None;
    if rpc.goes_both_ways() {
        request = request.map(|body| {
            let (body, ending) = HalfBody::new(body);
            half = Some(ending);
            Body::new(body)
        });
    }
    let mut tie = None;
    if rpc.is_streaming() {
        request = request.map(|body| {
            let (body, answers) = TiedBody::new(body, rpc.only_answers_stream(), client);
            tie = Some(answers);
            Body::new(body)
        });
    }
    let answer = channel.oneshot(request).await;
    let answer = answer.unwrap_or_else(|error| Status::from_error(error).into_http());
    if let Some(tie) = tie {
        let lifecycle = options.lifecycle.clone();
        return answer.map(|body| Body::new(DrainedBody::new(body, half, lifecycle).tied(tie)));
    }
    answer
}

#[cfg(test)]
mod tests;
