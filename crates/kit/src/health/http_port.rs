//! The operations port's answers. Plain HTTP, no state, nothing about users.

use bytes::Bytes;
use http::{
    HeaderName, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HOST, ORIGIN},
};
use http_body_util::Full;

use super::Health;
use crate::{address::is_this_machine, telemetry};

/// `/healthz`, `/readyz`, `/metrics`, and in dev mode the dev key's public half.
pub(crate) async fn answer<B>(health: &Health, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => readiness(health).await,
        "/metrics" => {
            typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", telemetry::render())
        }
        "/.well-known/jwks.json" if let Some(jwks) = health.jwks() => {
            typed(StatusCode::OK, "application/json", jwks.to_owned())
        }
        _ => text(StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n".to_owned()),
    }
}

/// Whether a request to a loopback address means that address: a web page that
/// points a name of its own at this machine is told nothing.
pub(crate) fn means_this_machine<B>(request: &Request<B>) -> bool {
    let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str());
    let host_is_local = match text(HOST) {
        Some(Ok(host)) => is_this_machine(host),
        Some(Err(_)) => false,
        None => true,
    };
    let origin_is_local = match text(ORIGIN) {
        Some(Ok(origin)) => origin.strip_prefix("http://").is_some_and(is_this_machine),
        Some(Err(_)) => false,
        None => true,
    };
    host_is_local && origin_is_local
}

/// The answer to a web page that pretends.
pub(crate) fn not_for_you() -> Response<Full<Bytes>> {
    text(StatusCode::FORBIDDEN, "this port serves its own machine only\n".to_owned())
}

async fn readiness(health: &Health) -> Response<Full<Bytes>> {
    let report = health.readiness().await;
    let status =
        if report.status.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&report) {
        Ok(json) => typed(status, "application/json", json + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
