//! Requests as a browser, or somebody else, sends them: HTTP/1.1 or HTTP/2, each on a
//! connection of its own, and answers as they come. It knows what grpc-web looks like.

use std::net::SocketAddr;

use confab_kit::error::Error;
use confab_tests::harness::{Checked, Violation, within};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::{
    Message,
    bytes::{Buf as _, Bytes},
};
use tokio::net::TcpStream;
use tonic::Status;

use crate::raw::PATIENCE;

pub(super) const BINARY: &str = "application/grpc-web+proto";
pub(super) const TEXT: &str = "application/grpc-web-text+proto";
/// Of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer that has ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a call was answered with.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) messages: Vec<Bytes>,
    /// Those at the end, or the head's where there is nothing else.
    pub(super) trailers: HeaderMap,
}

/// A body of known length.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes in pieces and does not say how long it is.
pub(super) fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let frames = pieces.map(|piece| Ok(Frame::data(piece)));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

/// A request as a page of the gateway's own sends it.
pub(super) fn request(at: SocketAddr, path: &str) -> http::request::Builder {
    Request::builder().uri(format!("http://{at}{path}"))
}

/// A call.
pub(super) fn call(at: SocketAddr, path: &str, token: &str) -> http::request::Builder {
    request(at, path)
        .method("POST")
        .header("content-type", BINARY)
        .header("authorization", format!("Bearer {token}"))
}

/// A message in its frame.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message].concat().into()
}

/// Sends it; the answer may go on.
pub(super) async fn begin(
    at: SocketAddr,
    version: Version,
    request: Request<Body>,
) -> Checked<Response<Incoming>> {
    let stream = TokioIo::new(TcpStream::connect(at).await.map_err(Violation::unable)?);
    let answered = async {
        if version == Version::HTTP_2 {
            let executor = TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, stream).await?;
            tokio::spawn(connection);
            return sender.send_request(request).await;
        }
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        tokio::spawn(connection);
        sender.send_request(in_origin_form(request)).await
    };
    within(PATIENCE, "an answer", answered).await?.map_err(Violation::unable)
}

/// HTTP/1.1 names the host in a header, unless the test does.
fn in_origin_form(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    if let Some(authority) = head.uri.authority().cloned()
        && !head.headers.contains_key("host")
        && let Ok(host) = authority.as_str().parse()
    {
        head.headers.insert("host", host);
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    head.uri = path.parse().unwrap_or_default();
    Request::from_parts(head, body)
}

/// Sends it, and waits for the end.
pub(super) async fn ask(
    at: SocketAddr,
    version: Version,
    request: Request<Body>,
) -> Checked<Answer> {
    let (head, body) = begin(at, version, request).await?.into_parts();
    let body = within(PATIENCE, "the answer's end", body.collect()).await?;
    let body = body.map_err(Violation::unable)?.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Read as grpc-web, in the encoding that it says it has.
    pub(super) fn called(&self) -> Checked<Called> {
        Violation::unless(self.status == 200, || format!("HTTP status {}", self.status))?;
        let mut body = match self.header("content-type") {
            BINARY => self.body.clone(),
            TEXT => from_text(&self.body)?,
            other => return Err(Violation::broken(format!("the content type is {other}"))),
        };
        let mut called = Called { messages: Vec::new(), trailers: HeaderMap::new() };
        if self.headers.contains_key("grpc-status") {
            Violation::unless(body.is_empty(), || "a status alone has a body")?;
            called.trailers = self.headers.clone();
        }
        while let Some((flags, frame)) = next_frame(&mut body) {
            if flags & TRAILERS == 0 {
                called.messages.push(frame);
            } else {
                called.trailers = trailers(&frame)?;
            }
        }
        Violation::unless(body.is_empty(), || "a frame has no end")?;
        Ok(called)
    }
}

impl Called {
    /// The one message of a call that went well.
    pub(super) fn message<M: Message + Default>(&self) -> Checked<M> {
        self.refusal().map_or(Ok(()), |error| Err(Violation::broken(error.to_string())))?;
        let [message] = &self.messages[..] else {
            return Err(Violation::broken(format!("{} messages", self.messages.len())));
        };
        M::decode(message.clone()).map_err(|error| Violation::broken(error.to_string()))
    }

    /// Why it was refused; `None` where it was not.
    pub(super) fn refusal(&self) -> Option<Error> {
        let status = Status::from_header_map(&self.trailers);
        let status = status.unwrap_or_else(|| Status::unknown("no status was sent"));
        (status.code() != tonic::Code::Ok).then(|| Error::from_status(&status))
    }

    /// The name of the reason; empty where it was not refused.
    pub(super) fn reason(&self) -> String {
        self.refusal().map(|error| error.reason_name().to_owned()).unwrap_or_default()
    }
}

/// A frame off the front: its flags and what is in it.
pub(super) fn next_frame(body: &mut Bytes) -> Option<(u8, Bytes)> {
    let (flags, length) = (*body.first()?, body.get(1..5)?);
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    if body.len() < 5 + length {
        return None;
    }
    body.advance(5);
    Some((flags, body.split_to(length)))
}

fn trailers(frame: &Bytes) -> Checked<HeaderMap> {
    let text = std::str::from_utf8(frame).map_err(Violation::unable)?;
    let mut map = HeaderMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let name = http::HeaderName::try_from(name).map_err(Violation::unable)?;
        map.insert(name, value.trim().parse().map_err(Violation::unable)?);
    }
    Ok(map)
}

/// Each piece that was written is base64 with a padding of its own.
fn from_text(text: &[u8]) -> Checked<Bytes> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut bytes = Vec::new();
    for four in text.chunks(4) {
        bytes.extend(STANDARD.decode(four).map_err(|error| Violation::broken(error.to_string()))?);
    }
    Ok(bytes.into())
}

/// As text mode sends it.
pub(super) fn to_text(bytes: &[u8]) -> Bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes).into()
}
