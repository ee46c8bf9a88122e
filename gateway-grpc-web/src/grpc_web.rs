//! Calls: what is grpc-web, in which of its two encodings, which headers pass, and how
//! a call that never gets further is refused. The translation itself is tonic-web's.

use std::sync::Arc;

use confab_kit::{
    error::{Error, Reason},
    layers::Layered,
};
use confab_log::mutant;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use http_body::Body as _;
use tonic::{Status, body::Body};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, Service as _};

use crate::{access::Kind, exchange::Exchange, plain, upstream::Upstream};

/// Headers of a request that mean something behind the gateway. What Confab's own
/// processes tell each other is not among them, and neither are cookies.
const PASSING: [HeaderName; 3] = [
    AUTHORIZATION,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("traceparent"),
];

/// How the messages of a call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Binary,
    /// In base64, for `XMLHttpRequest`.
    Text,
}

impl Encoding {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Binary => Kind::GrpcWeb,
            Self::Text => Kind::GrpcWebText,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        })
    }

    /// By a media type; what stands behind it (`;charset=utf-8`) is nobody's business.
    fn of(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| {
            let rest = essence.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name));
            let suffix = rest.and_then(|_| essence.get(name.len()..));
            suffix.is_some_and(|suffix| suffix.is_empty() || suffix.eq_ignore_ascii_case("+proto"))
        };
        if is("application/grpc-web-text") {
            return Some(Self::Text);
        }
        is("application/grpc-web").then_some(Self::Binary)
    }
}

/// How the request is written, if it is grpc-web.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    Encoding::of(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

/// How the answer is to be written: as the client accepts it, else as it asks.
fn accepted(headers: &HeaderMap, asked: Encoding) -> Encoding {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').find_map(Encoding::of).unwrap_or(asked)
}

/// Whether nothing but an RPC can be meant.
pub(crate) fn is_rpc(path: &str) -> bool {
    path.starts_with("/confab.") || path.starts_with("/grpc.")
}

/// Makes calls of requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct GrpcWeb(GrpcWebService<Upstream>);

impl GrpcWeb {
    pub(crate) fn before(public: Layered) -> Self {
        Self(GrpcWebLayer::new().layer(Upstream::new(public)))
    }

    pub(crate) async fn call(
        mut self,
        encoding: Encoding,
        mut request: Request<Body>,
        exchange: &Arc<Exchange>,
    ) -> Response<Body> {
        let answered = accepted(request.headers(), encoding);
        if request.method() != http::Method::POST {
            return plain::only("POST");
        }
        // What is too long by its own word need not be read.
        if request.body().size_hint().lower() > exchange.limit() {
            return refused(too_long(exchange), answered);
        }
        let headers = passing(request.headers());
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
        request.headers_mut().insert(ACCEPT, answered.content_type());
        request.extensions_mut().insert(Arc::clone(exchange));
        let mut response = match self.0.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        finish(response.headers_mut());
        response
    }
}

fn passing(headers: &HeaderMap) -> HeaderMap {
    if mutant::is("gateway-passes-all-headers") {
        return headers.clone();
    }
    let mut passed = HeaderMap::with_capacity(8);
    for name in PASSING {
        // Two tokens are refused as two, not taken for one.
        for value in headers.get_all(&name) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// What is true of every answer to a call.
fn finish(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A proxy that gathers answers before it passes them on would hold a stream back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
}

/// The refusal of a body that is longer than it may be.
pub(crate) fn too_long(exchange: &Exchange) -> Error {
    let limit = exchange.limit();
    let message = format!("the request has more than {limit} bytes");
    Error::new(Reason::RequestTooLarge, message).with("limit_bytes", limit)
}

/// As the contract says it, without a call: the status is all of the answer.
fn refused(error: Error, encoding: Encoding) -> Response<Body> {
    let reason = error.reason_name();
    metrics::counter!("confab_gateway_refusals_total", "reason" => reason).increment(1);
    let mut response = Status::from(error).into_http();
    response.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
    finish(response.headers_mut());
    response
}

/// To whoever calls an RPC in another protocol: by gRPC's status and by HTTP's.
pub(crate) fn wrong_content_type() -> Response<Body> {
    let message = "the content type must be application/grpc-web or application/grpc-web-text; \
                   gRPC is spoken at the address for clients";
    let error = Error::new(Reason::MalformedRequest, message);
    let mut response = refused(error, Encoding::Binary);
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_web_is_grpc_web() {
        for (media_type, expected) in [
            ("application/grpc-web", Some(Encoding::Binary)),
            ("application/grpc-web+proto", Some(Encoding::Binary)),
            (" Application/GRPC-web+PROTO ;charset=utf-8", Some(Encoding::Binary)),
            ("application/grpc-web-text", Some(Encoding::Text)),
            ("application/grpc-web-text+proto;a=b;c=d", Some(Encoding::Text)),
            ("application/grpc", None),
            ("application/grpc+proto", None),
            ("application/grpc-web+json", None),
            ("application/grpc-web-textual", None),
            ("text/plain; application/grpc-web", None),
            ("application/grpc-wé", None),
            ("", None),
        ] {
            assert_eq!(Encoding::of(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn an_answer_is_written_as_it_is_accepted_else_as_it_was_asked_for() {
        let answered = |accept: &'static str, asked| {
            let accept = HeaderValue::from_static(accept);
            accepted(&HeaderMap::from_iter([(ACCEPT, accept)]), asked)
        };
        let (binary, text) = (Encoding::Binary, Encoding::Text);
        assert_eq!(answered("*/*", text), text);
        assert_eq!(answered("text/html, application/grpc-web-text", binary), text);
        assert_eq!(answered("application/grpc-web+proto", text), binary);
        assert_eq!(accepted(&HeaderMap::new(), binary), binary);
    }
}
