//! A server that does nothing but write: raw HTTP/2 bodies that share the bytes
//! of each event, as Confab's do, and no authentication, log, cursors or bounds.
//! What it spends on a delivery is what HTTP/2 and the kernel cost.

use std::{
    convert::Infallible,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use confab_kit::task;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use crate::Failure;

/// Where frames are posted to; what is posted at once is written at once.
pub(super) const PUBLISH: &str = "/publish";
/// An empty gRPC message.
const DONE: &[u8] = &[0; 5];

type Streams = Arc<Mutex<Vec<UnboundedSender<Bytes>>>>;

/// Serves until it is killed.
pub(super) async fn run(addresses: &Path) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let text = serde_json::json!({ "public": address, "ops": address }).to_string();
    let aside = addresses.with_extension("tmp");
    std::fs::write(&aside, text)?;
    std::fs::rename(&aside, addresses)?;
    let streams = Streams::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        task::spawn("stream server connection", serve(stream, Arc::clone(&streams)));
    }
}

/// The settings are those of `confab_kit::server`.
async fn serve(stream: TcpStream, streams: Streams) {
    let service = service_fn(move |request: Request<Incoming>| {
        let streams = Arc::clone(&streams);
        async move { Ok::<_, Infallible>(answer(request, &streams).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(1000)
        .max_frame_size(16 * 1024)
        .max_send_buf_size(64 * 1024);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection broke");
    }
}

/// `POST /publish` hands its body to every stream; anything else is a stream.
async fn answer(
    request: Request<Incoming>,
    streams: &Streams,
) -> Response<Either<Full<Bytes>, StreamBody>> {
    let body = if request.uri().path() == PUBLISH {
        let frame = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        if let Ok(frame) = frame {
            let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.retain(|stream| stream.send(frame.clone()).is_ok());
        }
        Either::Left(Full::new(Bytes::from_static(DONE)))
    } else {
        let (sender, frames) = unbounded_channel();
        streams.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Either::Right(StreamBody { frames, _upload: request.into_body() })
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

struct StreamBody {
    frames: UnboundedReceiver<Bytes>,
    /// Kept: a client whose upload is dropped is reset.
    _upload: Incoming,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames.poll_recv(context).map(|frame| frame.map(|frame| Ok(Frame::data(frame))))
    }
}
