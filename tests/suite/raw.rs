//! Calls as bytes: what no generated client would send, and answers looked at
//! as they stand on the wire. It knows no RPC and forgives nothing.

mod answer;
mod frames;
mod http2;
mod stream;

use std::{net::IpAddr, time::Duration};

use confab_proto::method::Method;
use confab_tests::harness::{Checked, Violation, within};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use prost::{Message, bytes::Bytes};
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::{Service as _, ServiceExt as _};

pub(crate) use answer::{Answer, Refused, reason_name};
pub(crate) use http2::{Connection, Door, Reader, Taken, Windows};
pub(crate) use stream::{CONNECT, Ending, Stream, call, hello, watching};

/// Longest that one answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that speaks HTTP/2 and nothing above it. Clones share it.
#[derive(Clone)]
pub(crate) struct Raw {
    channel: Channel,
    headers: HeaderMap,
}

impl Raw {
    /// Connects to a port, as nobody.
    pub(crate) async fn connect(uri: String) -> Checked<Self> {
        Self::connect_to(Endpoint::from_shared(uri).map_err(Violation::unable)?).await
    }

    /// The same from another address of this machine.
    pub(crate) async fn connect_from(uri: String, from: IpAddr) -> Checked<Self> {
        let endpoint = Endpoint::from_shared(uri).map_err(Violation::unable)?;
        Self::connect_to(endpoint.local_address(Some(from))).await
    }

    async fn connect_to(endpoint: Endpoint) -> Checked<Self> {
        let endpoint = endpoint.initial_stream_window_size(1 << 20);
        let channel = endpoint.connect().await.map_err(Violation::unable)?;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        Ok(Self { channel, headers })
    }

    /// The same connection with one more header, or another value of it.
    pub(crate) fn header(&self, name: &'static str, value: &str) -> Self {
        let mut raw = self.clone();
        let value = HeaderValue::from_str(value).expect("a header's value");
        raw.headers.insert(HeaderName::from_static(name), value);
        raw
    }

    /// The same connection without a header.
    pub(crate) fn without(&self, name: &'static str) -> Self {
        let mut raw = self.clone();
        raw.headers.remove(name);
        raw
    }

    /// The same connection with a token.
    pub(crate) fn token(&self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends these bytes as the whole body.
    pub(crate) async fn post(&self, path: &str, body: Bytes) -> Checked<Answer> {
        let body = Full::new(body).map_err(|never| match never {});
        let asked = self.exchange(path, Body::new(body));
        let response = within(PATIENCE, path, asked).await??;
        let (head, body) = response.into_parts();
        let collected = within(PATIENCE, path, body.collect()).await?;
        let collected = collected.map_err(|status: Status| lost(path, &status))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Answer::new(head.status, &head.headers, &trailers, collected.to_bytes())
    }

    /// Makes a unary call with the message as it stands.
    pub(crate) async fn bytes(
        &self,
        path: &str,
        message: &[u8],
    ) -> Checked<Result<Bytes, Refused>> {
        self.post(path, framed(message)).await?.unary()
    }

    /// Makes a unary call.
    pub(crate) async fn unary<R: confab_proto::method::RpcRequest>(
        &self,
        message: &R,
    ) -> Checked<Result<Bytes, Refused>> {
        let method: &Method = R::METHOD;
        self.bytes(method.path, &message.encode_to_vec()).await
    }

    /// Begins an exchange: the head of the answer, its body still to come.
    pub(crate) async fn exchange(&self, path: &str, body: Body) -> Checked<http::Response<Body>> {
        let mut request = Request::post(path).version(http::Version::HTTP_2).body(body);
        if let Ok(request) = &mut request {
            request.headers_mut().clone_from(&self.headers);
        }
        let request = request.map_err(Violation::unable)?;
        let mut channel = self.channel.clone();
        let ready = channel.ready().await.map_err(|error| lost(path, &error))?;
        ready.call(request).await.map_err(|error| lost(path, &error))
    }
}

/// One connection per client: losing it harms whoever shares it.
fn lost(path: &str, error: &dyn std::error::Error) -> Violation {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Violation::broken(format!("the connection was lost at {path}: {text}"))
}

/// A message as gRPC frames it.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a length");
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

/// The request's bytes.
pub(crate) fn encoded(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}
