//! What a page of another, allowed site may ask beforehand, and see of an answer. For
//! everyone else there are none of these headers, and browsers refuse by themselves.
//! Never with credentials: there are no cookies here, and tokens are sent by hand.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_LENGTH, ORIGIN, VARY,
    },
};
use tonic::body::Body;

use crate::origin::Site;

/// What a page may send: what passes, and what clients add by themselves.
const HEADERS: &str =
    "authorization, content-type, grpc-timeout, traceparent, x-grpc-web, x-user-agent";
/// What a page may read of an answer, besides the few that it always may.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, retry-after";
/// How long a browser may remember the answer: as long as any of them does.
const MAX_AGE_SECONDS: &str = "7200";

/// Answers what a browser asks before it lets a page call.
pub(crate) fn preflight(site: &Site) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    if let Site::Allowed(_) = site {
        let allowed: [(HeaderName, &str); 3] = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
            (ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
        ];
        for (name, value) in allowed {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Lets the page read the answer, and keeps caches from giving it to another site's.
pub(crate) fn expose(site: &Site, headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from(ORIGIN));
    if let Site::Allowed(origin) = site {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}
