//! gRPC by hand over one HTTP/2 connection: the load must not cost more than
//! what it loads. It retries nothing and knows no scenario.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use confab_client::Rpc;
use confab_kit::task;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, HeaderValue, Request, header};
use prost::Message;
use tokio::net::TcpStream;

use crate::Failure;

/// As other clients have it: an answer need not wait for a window.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Longest that one call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A flag and a length in front of each message.
const HEADER: usize = 5;

/// Why a call did not bring its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The server answered with another status than OK.
    #[error("status {code}: {message}")]
    Status { code: u32, message: String },
    /// No answer came.
    #[error("{0}")]
    Broken(String),
}

impl CallError {
    /// Whether the same call may succeed later: `DEADLINE_EXCEEDED`,
    /// `RESOURCE_EXHAUSTED`, `UNAVAILABLE`.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Status { code: 4 | 8 | 14, .. })
    }
}

impl From<h2::Error> for CallError {
    fn from(error: h2::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// An open connection; clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    authority: String,
}

impl Connection {
    pub(super) async fn open(authority: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(authority)
            .await
            .map_err(|error| format!("cannot connect to {authority}: {error}"))?;
        stream.set_nodelay(true)?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await?;
        task::spawn("bench connection", async move {
            // Whoever uses it is told by what they wait for.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection broke");
            }
        });
        Ok(Self { requests, authority: authority.to_owned() })
    }

    /// Makes a unary call, once.
    pub(super) async fn call<R: Rpc>(
        &self,
        token: &HeaderValue,
        request: &R,
    ) -> Result<R::Response, CallError> {
        self.call_path(R::METHOD.path, Some(token), request).await
    }

    /// [`Connection::call`], of an RPC that is not Confab's.
    pub(super) async fn call_path<A: Message + Default>(
        &self,
        path: &str,
        token: Option<&HeaderValue>,
        request: &impl Message,
    ) -> Result<A, CallError> {
        let message = self.post(path, token, framed(request)).await?;
        A::decode(message).map_err(|error| CallError::Broken(error.to_string()))
    }

    /// Sends bytes and waits for the one message that answers them.
    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Bytes, CallError> {
        let posting = async {
            let (mut answer, mut upload) = self.send(path, token).await?;
            upload.send_data(body, true)?;
            drop(upload);
            answer.whole().await
        };
        let answered = tokio::time::timeout(PATIENCE, posting).await;
        answered.map_err(|_| CallError::Broken("no answer came".to_owned()))?
    }

    /// Opens a stream with its first message.
    pub(super) async fn stream(
        &self,
        path: &str,
        token: Option<&HeaderValue>,
        first: &impl Message,
    ) -> Result<(Incoming, SendStream<Bytes>), CallError> {
        let (incoming, mut upload) = self.send(path, token).await?;
        upload.send_data(framed(first), false)?;
        Ok((incoming, upload))
    }

    async fn send(
        &self,
        path: &str,
        token: Option<&HeaderValue>,
    ) -> Result<(Incoming, SendStream<Bytes>), CallError> {
        let uri = format!("http://{}{path}", self.authority);
        let mut request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(())
            .map_err(|error| CallError::Broken(error.to_string()))?;
        if let Some(token) = token {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        let mut requests = self.requests.clone().ready().await?;
        let (response, upload) = requests.send_request(request, false)?;
        Ok((
            Incoming {
                waiting: Some(response),
                body: None,
                rest: Bytes::new(),
                writes: 0,
                bytes: 0,
            },
            upload,
        ))
    }
}

/// A message as it goes over the wire.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEADER + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// What the server sends in answer to one request.
pub(super) struct Incoming {
    waiting: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
    /// Received and not handed out.
    rest: Bytes,
    writes: u64,
    bytes: u64,
}

impl Incoming {
    /// Waits for the head of the answer.
    pub(super) async fn opened(&mut self) -> Result<(), CallError> {
        let Some(response) = self.waiting.take() else { return Ok(()) };
        let (head, body) = response.await?.into_parts();
        if !head.status.is_success() {
            return Err(CallError::Broken(format!("HTTP status {}", head.status)));
        }
        status_of(&head.headers)?;
        self.body = Some(body);
        Ok(())
    }

    /// How many DATA frames have come, which the server wrote, and how many bytes in them.
    pub(super) fn received(&self) -> (u64, u64) {
        (self.writes, self.bytes)
    }

    /// The next message; `None` at an end with status OK. A call that is dropped
    /// loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        self.opened().await?;
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            let Some(data) = body.data().await else {
                let trailers = body.trailers().await?;
                self.body = None;
                status_of(&trailers.unwrap_or_default())?;
                return Ok(None);
            };
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            self.writes += 1;
            self.bytes += data.len() as u64;
            self.rest = if self.rest.is_empty() {
                data
            } else {
                [self.rest.as_ref(), data.as_ref()].concat().into()
            };
        }
    }

    /// The one message of a unary answer.
    async fn whole(&mut self) -> Result<Bytes, CallError> {
        let message = self.next().await?;
        let message = message.ok_or_else(|| CallError::Broken("no message came".to_owned()))?;
        match self.next().await? {
            None => Ok(message),
            Some(_) => Err(CallError::Broken("two messages came".to_owned())),
        }
    }

    /// A whole message, if it has arrived.
    fn take(&mut self) -> Option<Bytes> {
        let mut header = self.rest.get(1..HEADER)?;
        let length = usize::try_from(header.get_u32()).ok()?;
        if self.rest.len() < HEADER + length {
            return None;
        }
        self.rest.advance(HEADER);
        Some(self.rest.split_to(length))
    }
}

fn status_of(headers: &HeaderMap) -> Result<(), CallError> {
    let Some(status) = headers.get("grpc-status") else { return Ok(()) };
    let code = status.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    if code == 0 {
        return Ok(());
    }
    let message = headers.get("grpc-message").and_then(|message| message.to_str().ok());
    Err(CallError::Status { code, message: message.unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(rest: Vec<u8>) -> Incoming {
        Incoming { waiting: None, body: None, rest: rest.into(), writes: 0, bytes: 0 }
    }

    #[test]
    fn messages_are_found_one_by_one() {
        let bytes = b"\0\0\0\0\x02ab\0\0\0\0\x01c\0\0\0\0\x03d".to_vec();
        let mut incoming = incoming(bytes);
        assert_eq!(incoming.take().as_deref(), Some(&b"ab"[..]));
        assert_eq!(incoming.take().as_deref(), Some(&b"c"[..]));
        assert_eq!(incoming.take(), None);
        assert_eq!(incoming.rest.len(), 6, "the half message waits for its rest");
    }

    #[test]
    fn a_status_is_read_and_only_some_pass() {
        let mut headers = HeaderMap::new();
        assert!(status_of(&headers).is_ok(), "the status comes later");
        headers.insert("grpc-status", HeaderValue::from_static("0"));
        assert!(status_of(&headers).is_ok());
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        assert!(status_of(&headers).is_err_and(|error| error.is_passing()));
        headers.insert("grpc-status", HeaderValue::from_static("7"));
        assert!(status_of(&headers).is_err_and(|error| !error.is_passing()));
    }
}
