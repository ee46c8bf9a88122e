//! The HTTP/2 channel with the caller's token on every request. It knows nothing
//! of what is asked through it, and never retries.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use tonic::{body::Body, transport::Endpoint};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use crate::{error::Error, token::Tokens};

/// What tower and tonic pass errors around as.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Inner = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// gRPC's number for UNAUTHENTICATED.
const UNAUTHENTICATED: &str = "16";

/// What the generated clients send through: cheap to clone, connects when first
/// used, reconnects by itself, authenticated.
#[derive(Clone)]
pub struct Transport {
    inner: Inner,
    tokens: Arc<Tokens>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Readiness is awaited inside the call, after the token.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let inner = self.inner.clone();
        let tokens = Arc::clone(&self.tokens);
        Box::pin(async move {
            let token = tokens.get().await?;
            if let Some(token) = &token {
                request.headers_mut().insert(header::AUTHORIZATION, bearer(token)?);
            }
            let response = inner.oneshot(request).await?;
            let status = response.headers().get("grpc-status");
            if let Some(token) = token
                && status.is_some_and(|status| status == UNAUTHENTICATED)
            {
                tokens.forget(&token).await;
            }
            Ok(response)
        })
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::Token("it holds characters that a header cannot".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where requests go.
#[derive(Clone)]
pub(crate) enum Target {
    /// To a server by HTTP/2.
    Endpoint(Box<Endpoint>),
    /// To whatever the application gave.
    Service(Inner),
}

impl Target {
    /// # Errors
    /// [`Error::InvalidOptions`] when the URI is none, or not `http`.
    pub(crate) fn endpoint(uri: &str, connect_timeout: Duration) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(uri.to_owned())
            .map_err(|error| Error::InvalidOptions(format!("{uri}: {error}")))?;
        if endpoint.uri().scheme_str() != Some("http") {
            return Err(Error::InvalidOptions(format!("{uri}: the scheme must be http")));
        }
        // Without keepalive a channel stays dead after a partition has healed.
        let endpoint = endpoint
            .user_agent(concat!("confab-client-rust/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| Error::InvalidOptions(error.to_string()))?
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        Ok(Self::Endpoint(Box::new(endpoint)))
    }

    pub(crate) fn service<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self::Service(BoxCloneSyncService::new(service.map_err(Into::into)))
    }

    /// A transport over a connection of its own.
    pub(crate) fn open(&self, tokens: &Arc<Tokens>) -> Transport {
        let inner = match self {
            Self::Endpoint(endpoint) => {
                BoxCloneSyncService::new(endpoint.connect_lazy().map_err(Into::into))
            }
            Self::Service(service) => service.clone(),
        };
        Transport { inner, tokens: Arc::clone(tokens) }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(endpoint) => write!(f, "{}", endpoint.uri()),
            Self::Service(_) => f.write_str("a service"),
        }
    }
}
