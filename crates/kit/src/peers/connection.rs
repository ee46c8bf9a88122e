//! One HTTP/2 connection to a peer: bounded, kept alive by pings, and sure about
//! one thing, whether a request that failed was never sent.

use std::{io, net::SocketAddr, time::Duration};

use h2::Reason as H2Reason;
use http::{Request, Response, Uri, uri::Authority};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};
use tonic::{Status, body::Body};

use crate::{mesh_tls::MeshTls, task};

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Pings find a peer that is gone without a word.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// What a peer may send of one answer before it is read; of a stream that is not
/// read so much waits here.
const STREAM_WINDOW: u32 = 64 * 1024;
/// What a peer may send on a whole connection: a few who do not read must not keep
/// the others waiting, so it is more than all streams of a [`super::lanes`] lane.
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;
/// Kept for a request that the peer does not read.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Where a peer is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// As the configuration names it.
    pub(super) authority: Authority,
    /// What is spoken around HTTP/2.
    pub(super) tls: Option<MeshTls>,
}

/// An open connection; cheap to clone. It ends when the peer ends it, or with the
/// last clone and the last call on it.
#[derive(Clone)]
pub(super) struct Connection {
    sender: http2::SendRequest<Body>,
    authority: Authority,
}

/// A request that was not answered.
pub(super) enum Failed {
    /// The peer has not got any of it; here it is again, where it can be had.
    NeverSent(Option<Box<Request<Body>>>),
    /// The peer may have carried it out.
    Unanswered,
}

impl Connection {
    /// Connects. What comes from the receiver in the end is whether the
    /// connection ended as it should.
    pub(super) async fn open(target: &Target) -> io::Result<(Self, oneshot::Receiver<bool>)> {
        timeout(CONNECT_TIMEOUT, connect(target)).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the connection took too long"))
        })
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and waits for the headers of the answer.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Failed> {
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder().scheme("http").authority(self.authority.clone());
        match uri
            .path_and_query(path.map_or_else(|| "/".to_owned(), |path| path.to_string()))
            .build()
        {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return Err(Failed::NeverSent(Some(Box::new(request)))),
        }
        match self.sender.clone().try_send_request(request).await {
            Ok(answer) => Ok(answer.map(|body| {
                let inner = http_body_util::BodyExt::map_err(body, broken);
                Body::new(inner)
            })),
            Err(mut failed) => {
                let request = failed.take_message();
                let error = failed.into_error();
                if request.is_some() || was_refused(&error) {
                    return Err(Failed::NeverSent(request.map(Box::new)));
                }
                tracing::debug!(%error, "a peer did not answer");
                Err(Failed::Unanswered)
            }
        }
    }
}

async fn connect(target: &Target) -> io::Result<(Connection, oneshot::Receiver<bool>)> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &target.tls else { return shake_hands(target, stream).await };
    let named = tls.towards(target.authority.host());
    let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "the host is no name for TLS");
    let (connector, name) = named.ok_or_else(unnamed)?;
    // The state of TLS is large, and gone once hands are shaken.
    let secured = Box::pin(connector.connect(name, stream)).await?;
    shake_hands(target, Box::new(secured)).await
}

async fn shake_hands<IO>(
    target: &Target,
    stream: IO,
) -> io::Result<(Connection, oneshot::Receiver<bool>)>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let (tell, ended) = oneshot::channel();
    task::spawn("connection to a peer", async move {
        let outcome = connection.await;
        if let Err(error) = &outcome {
            tracing::debug!(%error, "connection to a peer broke");
        }
        // Of a lane nobody waits for the end.
        let _unheard = tell.send(outcome.is_ok());
    });
    metrics::counter!("confab_peer_connections_total").increment(1);
    Ok((Connection { sender, authority: target.authority.clone() }, ended))
}

/// The peer says that it has not looked at the request.
fn was_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return h2.reason() == Some(H2Reason::REFUSED_STREAM);
        }
        source = cause.source();
    }
    false
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: hyper::Error) -> Status {
    tracing::debug!(%error, "an answer of a peer broke off");
    super::calls::unanswered()
}
