//! The one way services call each other: a channel that generated clients
//! take, whether the other side is in this process or behind TCP. In-process
//! calls behave as calls over a wire do: nothing leaks but the message and the
//! headers, and deadlines hold.

mod in_process;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use tonic::{body::Body, transport::Endpoint};
use tower::{BoxError, Service, ServiceExt as _, util::BoxCloneSyncService};

pub use crate::identity::Credential;
pub use in_process::InProcess;

use crate::{deadline, error::Error, trace};

/// The header that carries the mesh credential.
pub const MESH_HEADER: HeaderName = HeaderName::from_static("x-confab-mesh");

type Boxed = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>;

/// Reaches a service; cheap to clone.
#[derive(Clone)]
pub struct Channel {
    inner: Boxed,
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl Channel {
    /// Over TCP: connects at the first call, again after a broken connection,
    /// and finds out within seconds that the other side is gone.
    pub fn tcp(uri: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(uri.to_owned())
            .map_err(|error| Error::violation("uri", error.to_string()))?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let service = endpoint.connect_lazy().map_err(BoxError::from);
        Ok(Self::boxed(BoxCloneSyncService::new(service)))
    }

    /// Within this process. Calls are `UNAVAILABLE` until the other half is
    /// given something to serve: two services that call each other can both
    /// be built.
    pub fn in_process() -> (Self, InProcess) {
        let (service, half) = in_process::pair();
        (Self::boxed(BoxCloneSyncService::new(service)), half)
    }

    /// Over any other way of carrying requests.
    pub(crate) fn over<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = BoxError>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self::boxed(BoxCloneSyncService::new(service))
    }

    /// The same channel on behalf of the caller with this token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header(&AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// The same channel as a Confab process.
    #[must_use]
    pub fn with_mesh_credential(&self, credential: &Credential) -> Self {
        self.with_header(&MESH_HEADER, credential.expose())
    }

    fn boxed(inner: Boxed) -> Self {
        Self { inner, headers: Arc::from([]) }
    }

    fn with_header(&self, name: &HeaderName, value: &str) -> Self {
        // Text that is no header value proves nothing: sent empty, refused there.
        let mut value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        let others = self.headers.iter().filter(|(other, _)| other != name).cloned();
        let headers = others.chain([(name.clone(), value)]).collect();
        Self { inner: self.inner.clone(), headers }
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        for (name, value) in self.headers.iter() {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        if let Some(header) = trace::current().and_then(trace::TraceId::to_header) {
            request.headers_mut().insert(trace::TRACEPARENT, header);
        }
        deadline::hand_on(request.headers_mut());
        self.inner.call(request)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Channel").field("headers", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
