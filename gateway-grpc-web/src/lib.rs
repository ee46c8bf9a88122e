//! The browsers' door: grpc-web for everything that the public port serves, the files
//! of the web client, and in dev mode a way to sign in. One address is all that a
//! browser needs. Knows no Protobuf message and no RPC: what it is asked goes, as gRPC
//! and in this process, to the same layers that the public port has, which know who
//! may call, for how long, and which process answers.
//!
//! From the outside in, and why in this order:
//!
//! 1. [`access`]: outermost, so that it counts and logs whatever anyone below answers.
//!    The request's body is bounded here, too: for all below alike.
//! 2. [`origin`]: before anything is answered, so that another site's page gets nothing:
//!    no call, no token, no file.
//! 3. [`cors`]: what an allowed site's page may ask beforehand, and see afterwards.
//! 4. The way: [`grpc_web`] by the content type, [`sign_in`] by the path, else
//!    [`assets`].
//! 5. For calls, the list of headers that pass (`grpc_web`), then tonic-web, and inside
//!    of that [`upstream`], which sees gRPC: it hides lengths that are true of one
//!    protocol only, and says in the contract's words what was wrong with a body.
//! 6. [`Layered`]: the public port's own layers. Deadlines are theirs, too: a unary call
//!    always has one, a stream only when its caller asks.

mod access;
mod assets;
mod cors;
mod exchange;
mod grpc_web;
mod origin;
mod plain;
mod sign_in;
mod upstream;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use confab_kit::{config::Origin, layers::Layered};
use http::{Method, Request, Response};
use tonic::body::Body;
use tower::Service;

pub use sign_in::SignIn;

use crate::{
    access::{Kind, Visit},
    assets::Assets,
    exchange::Exchange,
    grpc_web::GrpcWeb,
    origin::{Rules, Site},
};

/// What a gateway needs to know.
#[derive(Debug)]
pub struct GatewayOptions {
    /// The way to sign in of dev mode; outside of it there is none.
    pub sign_in: Option<SignIn>,
    /// Whose pages may call besides its own.
    pub allowed_origins: Vec<Origin>,
    /// The longest body of a request, in bytes as they come. A longer one is
    /// `REQUEST_TOO_LARGE`.
    pub body_bytes: u64,
}

/// Answers browsers; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<Parts>,
    grpc_web: GrpcWeb,
}

struct Parts {
    rules: Rules,
    sign_in: Option<SignIn>,
    assets: Assets,
    body_bytes: u64,
}

impl Gateway {
    /// Before the public port's services.
    pub fn new(options: GatewayOptions, public: Layered) -> Self {
        let rules = Rules::new(options.sign_in.is_some(), options.allowed_origins);
        let parts = Parts {
            rules,
            sign_in: options.sign_in,
            assets: Assets::embedded(),
            body_bytes: options.body_bytes,
        };
        Self { parts: Arc::new(parts), grpc_web: GrpcWeb::before(public) }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let exchange = Arc::new(Exchange::new(self.parts.body_bytes));
        let mut visit = Visit::begin(&request, Arc::clone(&exchange));
        let request = request.map(|body| exchange::arriving(body, Arc::clone(&exchange)));
        let response = match self.parts.rules.admit(&request) {
            Ok(site) => {
                let mut response = self.served(&site, request, &exchange, &mut visit).await;
                cors::expose(&site, response.headers_mut());
                response
            }
            Err(refusal) => {
                visit.kind = Kind::Refused;
                refusal.response()
            }
        };
        visit.leaving(response)
    }

    async fn served(
        self,
        site: &Site,
        request: Request<Body>,
        exchange: &Arc<Exchange>,
        visit: &mut Visit,
    ) -> Response<Body> {
        if request.method() == Method::OPTIONS {
            visit.kind = Kind::Preflight;
            return cors::preflight(site);
        }
        if let Some(encoding) = grpc_web::encoding(request.headers()) {
            visit.kind = encoding.kind();
            return self.grpc_web.call(encoding, request, exchange).await;
        }
        let path = request.uri().path();
        if grpc_web::is_rpc(path) {
            visit.kind = Kind::Other;
            return grpc_web::wrong_content_type();
        }
        if let Some(sign_in) = &self.parts.sign_in
            && sign_in::is_path(path)
        {
            visit.kind = Kind::Dev;
            return sign_in.answer(request).await;
        }
        visit.kind = Kind::File;
        self.parts.assets.answer(&request)
    }
}

impl Service<Request<Body>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move { Ok(gateway.answer(request).await) })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("rules", &self.parts.rules).finish_non_exhaustive()
    }
}
