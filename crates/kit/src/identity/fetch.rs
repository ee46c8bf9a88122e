//! One GET of a small document over HTTP/1.1, with or without TLS: bounded in
//! time and bytes, no redirect followed, no connection kept. Knows nothing of
//! what is in the document.

use std::{fmt, path::Path, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, CONNECTION, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

/// A longer document is refused.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// Why a document cannot be fetched from where the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is no URL that can be fetched.
    #[error("{0:?} must be https://… without a user, or http://… on a loopback address")]
    Unfit(String),
    /// The certificates of the authorities cannot be had.
    #[error("no certificates of authorities: {0}")]
    NoRoots(String),
}

/// Why a fetch brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the body broke off: {0}")]
    Body(String),
}

/// Fetches one document.
#[derive(Clone)]
pub(super) struct Fetcher {
    host: String,
    port: u16,
    request: Request<Empty<Bytes>>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// From the connect to the last byte.
    limit: Duration,
}

impl Fetcher {
    /// Checks the URL, and for `https` reads the authorities' certificates: the
    /// system's, or those of a file in PEM.
    pub(super) fn new(
        url: &str,
        ca_file: Option<&Path>,
        limit: Duration,
    ) -> Result<Self, UrlError> {
        let unfit = || UrlError::Unfit(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| unfit())?;
        let authority = uri.authority().ok_or_else(unfit)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(&host) => false,
            _ => return Err(unfit()),
        };
        if authority.as_str().contains('@') {
            return Err(unfit());
        }
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| unfit())?;
            Some((connector(ca_file)?, name))
        } else {
            None
        };
        let host_header = HeaderValue::from_str(authority.as_str()).map_err(|_| unfit())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, host_header)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("confab/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(|_| unfit())?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { host, port, request, tls, limit })
    }

    /// Fetches it.
    pub(super) async fn fetch(&self) -> Result<Bytes, FetchError> {
        let slow = |_| Err(FetchError::Slow(self.limit));
        timeout(self.limit, self.connect_and_get()).await.unwrap_or_else(slow)
    }

    async fn connect_and_get(&self) -> Result<Bytes, FetchError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => self.get(tcp).await,
            Some((tls, name)) => self.get(tls.connect(name.clone(), tcp).await?).await,
        }
    }

    async fn get<IO>(&self, io: IO) -> Result<Bytes, FetchError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let mut connection = pin!(connection);
        let mut exchange = pin!(async {
            let response = sender.send_request(self.request.clone()).await?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), MAX_BYTES);
            body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|error| {
                if error.is::<LengthLimitError>() {
                    FetchError::TooLarge
                } else {
                    FetchError::Body(error.to_string())
                }
            })
        });
        // The connection may end with bytes of the body still to be taken.
        let mut open = true;
        loop {
            tokio::select! {
                outcome = &mut exchange => return outcome,
                ended = &mut connection, if open => {
                    open = false;
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection of a fetch broke");
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("host", &self.host).finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, UrlError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let bad = |error: String| UrlError::NoRoots(format!("{}: {error}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    } else {
        let (_usable, unusable) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if unusable > 0 {
            tracing::debug!(unusable, "certificates of authorities skipped");
        }
    }
    if roots.is_empty() {
        let hint = "the system has none; install them or set auth.jwks_ca_file";
        return Err(UrlError::NoRoots(hint.to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| UrlError::NoRoots(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
