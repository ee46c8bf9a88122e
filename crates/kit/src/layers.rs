//! What every call passes on its way to a handler, and every answer on its
//! way back. Holds no domain rule: what is about a conversation is proven by
//! `admission`, after decoding.
//!
//! From the outside in, and why in this order:
//!
//! 1. [`trace`]: outermost, so that it sees, counts and times whatever anyone
//!    below answers, and so that every log line below has the trace id.
//! 2. [`errors`]: outside of all that refuses, so that every refusal, tonic's
//!    own and a panic's too, leaves in the one shape.
//! 3. [`policy`] with [`auth`]: before anything of the body is read, so that
//!    who may not call costs nothing.
//! 4. [`budget`]: as soon as it is known who calls, and still before anything
//!    of the body is read: a refusal costs next to nothing.
//! 5. [`limits`]: around the body that the handler reads.
//! 6. [`deadline`]: innermost, so that what is cut off is the handler and
//!    nothing that has to shape, count or log the refusal.
//!
//! What another process serves is passed on ([`forward`]) in the handler's place, and
//! charged there: whoever serves it knows what the caller has used up.

mod auth;
mod budget;
mod deadline;
mod drain;
mod errors;
mod forward;
mod limits;
mod policy;
mod trace;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use tonic::{Status, body::Body, service::Routes};
use tower::{Service, ServiceExt as _};

pub(crate) use auth::{ConnectionProof, PeerAddress};
pub use forward::Elsewhere;

use crate::{
    channel::Channel,
    config::Limits,
    error::{Error, Reason},
    identity::{Credential, Revocations, Verifier},
    lifecycle::Lifecycle,
    rates::Budgets,
};

/// Which of a server's ports a call came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Clients'. Mesh RPCs do not exist here.
    Public,
    /// Other Confab processes'. Everything but health needs the credential.
    Mesh,
}

/// What the layers need to know.
#[derive(Clone, Debug)]
pub struct LayerOptions {
    /// Verifies tokens.
    pub verifier: Verifier,
    /// Knows which of the verified ones must not pass.
    pub revocations: Revocations,
    /// What Confab processes show each other.
    pub credential: Credential,
    /// Sizes and times.
    pub limits: Limits,
    /// How much each caller may ask for.
    pub budgets: Budgets,
    /// Ends the standard streams when the process drains.
    pub lifecycle: Lifecycle,
    /// What clients may call here although another process serves it.
    pub elsewhere: Elsewhere,
}

/// Routes with all layers around them; cheap to clone. Serve it on a port or
/// bind an in-process channel to it.
#[derive(Clone)]
pub struct Layered {
    port: Port,
    options: Arc<LayerOptions>,
    routes: Routes,
}

/// Puts the layers around the routes of one port.
pub fn layered(port: Port, options: LayerOptions, routes: Routes) -> Layered {
    Layered { port, options: Arc::new(options), routes: routes.prepare() }
}

impl Layered {
    /// No `async fn`, nor are the wrappers in it: each would hold the whole call
    /// below it twice, and the future is allocated for every call.
    fn answer(self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send + use<> {
        let rpc = policy::find(self.port, request.uri().path());
        let call = trace::Call::begin(rpc.map(policy::Rpc::path), request.headers());
        call.run(errors::shaped(self.guarded(rpc, request)))
    }

    async fn guarded(
        self,
        rpc: Option<policy::Rpc>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let rpc = rpc.ok_or_else(|| Error::new(Reason::UnknownMethod, "there is no such RPC"))?;
        if !is_grpc(request.headers()) {
            return Ok(not_grpc());
        }
        policy::admit(rpc, self.port, &self.options, &mut request).await?;
        if let Some(channel) = self.elsewhere(rpc) {
            // Apart, or every call would take as much memory as this one.
            return Box::pin(self.passed_on(rpc, channel, request)).await;
        }
        let slot = budget::charge(rpc, self.port, &self.options, &mut request).await?;
        let request = limits::bounded(rpc, &self.options.limits, request);
        let deadline = deadline::of(rpc, &self.options.limits, request.headers());
        let routes = self.routes.oneshot(request);
        let answer = deadline::bounded(rpc, deadline, &self.options.lifecycle, routes).await?;
        Ok(budget::holding(slot, answer))
    }

    async fn passed_on(
        self,
        rpc: policy::Rpc,
        channel: Channel,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let Self { options, .. } = self;
        // A stream's frames are bounded where it is served: only there can it be ended
        // with a reason, and nothing of it is held here.
        let request = if rpc.is_streaming() {
            request
        } else {
            limits::bounded(rpc, &options.limits, request)
        };
        let deadline = deadline::of(rpc, &options.limits, request.headers());
        let passed = forward::pass_on(rpc, &options, channel, request);
        deadline::bounded(rpc, deadline, &options.lifecycle, async { Ok(passed.await) }).await
    }

    /// The mesh's port passes nothing on: no call goes round in circles.
    fn elsewhere(&self, rpc: policy::Rpc) -> Option<Channel> {
        if self.port == Port::Mesh { None } else { self.options.elsewhere.of(rpc) }
    }
}

/// gRPC over Protobuf, by the content type; tonic takes anything for it.
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mime = value.split(';').next().unwrap_or("").trim();
    mime.eq_ignore_ascii_case("application/grpc")
        || mime.eq_ignore_ascii_case("application/grpc+proto")
}

/// Says so to gRPC clients by its status and to all others by HTTP's.
fn not_grpc() -> Response<Body> {
    let error = Error::new(Reason::MalformedRequest, "the content type must be application/grpc");
    let mut response = Status::from(error).into_http();
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

impl Service<Request<Body>> for Layered {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request).map(Ok))
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("port", &self.port).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
