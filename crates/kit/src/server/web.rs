//! What answers on a port: RPCs behind their layers, or what the gateway makes of
//! browsers' requests.

use std::{convert::Infallible, fmt};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use crate::layers::Layered;

/// Answers browsers; cheap to clone.
#[derive(Clone)]
pub struct Web(BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>);

impl Web {
    /// Of a service. It is given each request with what the server knows of its
    /// connection in the extensions: a [`Layered`] behind it finds it there.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(service))
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

/// See the module.
#[derive(Clone)]
pub(super) enum Answers {
    Grpc(Layered),
    Web(Web),
}

impl Answers {
    pub(super) async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        match self {
            Self::Grpc(layered) => layered.oneshot(request).await,
            Self::Web(Web(service)) => service.oneshot(request).await,
        }
    }
}

#[cfg(test)]
mod tests;
