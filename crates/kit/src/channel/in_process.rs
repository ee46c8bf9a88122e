//! The in-process half of channels: late binding, and the traps of calling a
//! router directly closed. Adds no policy of its own.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use tonic::{Status, body::Body};
use tower::{BoxError, Service, ServiceExt as _, util::BoxCloneSyncService};

use crate::{
    deadline::{self, EndingBody},
    error::{Error, Reason},
};

type Routes = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// What an in-process channel leads to, once it is known.
pub struct InProcess {
    slot: Arc<OnceLock<Routes>>,
}

impl InProcess {
    /// From now on the channel and all its clones reach these routes.
    pub fn serve<S>(self, routes: S)
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        // The slot is empty: `self` is the only one who fills it, once.
        let _ = self.slot.set(BoxCloneSyncService::new(routes));
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("bound", &self.slot.get().is_some()).finish()
    }
}

#[derive(Clone)]
pub(super) struct InProcessService {
    slot: Arc<OnceLock<Routes>>,
}

pub(super) fn pair() -> (InProcessService, InProcess) {
    let slot = Arc::new(OnceLock::new());
    (InProcessService { slot: Arc::clone(&slot) }, InProcess { slot })
}

impl Service<http::Request<Body>> for InProcessService {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The routes are cloned and awaited for each call, after binding.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let Some(routes) = self.slot.get().cloned() else {
            return Box::pin(async {
                let error = Error::new(Reason::StoreUnavailable, "the service is not serving yet");
                Ok(Status::from(error).into_http())
            });
        };
        // What the caller's side knows is not the callee's to see.
        request.extensions_mut().clear();
        let deadline = deadline::of_headers(request.headers());
        Box::pin(async move {
            let call = routes.oneshot(request);
            let Some(deadline) = deadline else {
                return call.await.map_err(|never| match never {});
            };
            match deadline::run(deadline, call).await {
                Ok(Ok(response)) => {
                    Ok(response.map(|body| Body::new(EndingBody::at_deadline(body, deadline))))
                }
                Ok(Err(never)) => match never {},
                Err(error) => Ok(Status::from(error).into_http()),
            }
        })
    }
}
