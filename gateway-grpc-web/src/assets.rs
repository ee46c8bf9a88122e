//! The web client's files. They are part of the program (see `build.rs`), have fixed
//! names, and are asked for again each time: an unchanged one costs a `304`.

use std::{collections::HashMap, sync::LazyLock};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::Full;
use tonic::body::Body;

use crate::plain;

/// What a page of ours may do: load its own files, and ask its own origin. No script
/// or style that stands in the page itself, no frame around it, no form that is sent.
const CONTENT_SECURITY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

struct File {
    path: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// All of them, by path.
static BY_PATH: LazyLock<HashMap<&'static str, Asset>> =
    LazyLock::new(|| FILES.iter().map(|file| (file.path, Asset::of(file))).collect());

struct Asset {
    content_type: &'static str,
    plain: &'static [u8],
    /// Where it is worth it.
    gzip: Option<&'static [u8]>,
    etag: HeaderValue,
}

impl Asset {
    fn of(file: &File) -> Self {
        let hash = blake3::hash(file.plain);
        let etag = format!("\"{}\"", hex::encode(&hash.as_bytes()[..12]));
        let is_smaller = file.gzip.len() < file.plain.len() / 10 * 9;
        Self {
            content_type: content_type(file.path),
            plain: file.plain,
            gzip: is_smaller.then_some(file.gzip),
            etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Assets(());

impl Assets {
    /// Those of this program.
    pub(crate) fn embedded() -> Self {
        LazyLock::force(&BY_PATH);
        Self(())
    }

    #[expect(clippy::unused_self, reason = "whoever has one has read the files")]
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return plain::only("GET, HEAD");
        }
        let path = request.uri().path();
        let path = if path == "/" { "/index.html" } else { path };
        let Some(asset) = BY_PATH.get(path) else {
            return plain::text(StatusCode::NOT_FOUND, "there is no such page; try /\n");
        };
        let mut response = Response::new(Body::empty());
        let fixed: [(HeaderName, &str); 7] = [
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (REFERRER_POLICY, "no-referrer"),
            (VARY, "accept-encoding"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        for (name, value) in fixed {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.headers_mut().insert(ETAG, asset.etag.clone());
        if is_known(request.headers(), &asset.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let content_type = HeaderValue::from_static(asset.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        let bytes = match asset.gzip.filter(|_| takes_gzip(request.headers())) {
            Some(gzip) => {
                let encoding = HeaderValue::from_static("gzip");
                response.headers_mut().insert(CONTENT_ENCODING, encoding);
                gzip
            }
            None => asset.plain,
        };
        // To `HEAD`, hyper sends the length and no body.
        response.map(|_| Body::new(Full::new(Bytes::from_static(bytes))))
    }
}

/// Whether the browser has this very file; proxies may have made its tag a weak one.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
    })
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent() {
        let etag = HeaderValue::from_static("\"one\"");
        let known = |value| is_known(&headers(IF_NONE_MATCH, value), &etag);
        assert!(known("\"one\"") && known("W/\"one\"") && known("\"two\", \"one\"") && known("*"));
        assert!(!known("\"two\"") && !known("one") && !is_known(&HeaderMap::new(), &etag));
    }

    #[test]
    fn what_is_compressed_goes_to_who_takes_it() {
        let takes = |value| takes_gzip(&headers(ACCEPT_ENCODING, value));
        assert!(takes("gzip, deflate, br, zstd") && takes("br;q=1.0, gzip;q=0.5"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("") && !takes("xgzip"));
    }

    #[test]
    fn every_file_has_a_type_and_a_tag_and_comes_as_it_is_stored() {
        assert!(BY_PATH.contains_key("/index.html"));
        for (path, asset) in &*BY_PATH {
            assert_ne!(asset.content_type, "application/octet-stream", "{path}");
            assert_eq!(asset.etag.len(), 26, "{path}");
            assert!(asset.gzip.is_none_or(|gzip| gzip.starts_with(&[0x1f, 0x8b])), "{path}");
        }
    }
}
