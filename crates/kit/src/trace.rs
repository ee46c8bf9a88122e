//! Trace ids: one for each request, carried along its tasks and over calls to
//! other services in W3C's `traceparent` form. Holds no spans.

use std::{fmt, future::Future};

use http::{HeaderMap, HeaderValue};

use crate::random;

/// W3C's header.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: TraceId;
}

/// 128 bits that find a request in the logs of every service it touched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// A fresh one.
    pub fn generate() -> Self {
        Self(random::bytes())
    }

    /// Reads `00-<trace id>-<parent id>-<flags>`; anything else is `None`.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(TRACEPARENT)?.to_str().ok()?;
        let mut parts = text.split('-');
        let (version, id) = (parts.next()?, parts.next()?);
        let parent = parts.next()?;
        if version.len() != 2 || version == "ff" || parent.len() != 16 || parts.next()?.len() != 2 {
            return None;
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(id, &mut bytes).ok()?;
        if bytes == [0; 16] {
            return None;
        }
        Some(Self(bytes))
    }

    /// The header for a call made on behalf of this trace.
    pub fn to_header(self) -> Option<HeaderValue> {
        let span = hex::encode(random::bytes::<8>());
        HeaderValue::from_str(&format!("00-{self}-{span}-01")).ok()
    }

    /// Runs the future with this as its trace.
    ///
    /// No `async fn`, as nothing that wraps a call or a task is: one would hold
    /// the future twice, as its argument and as what it awaits.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// Runs the function with this as its trace.
    pub fn sync_scope<T>(self, run: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, run)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The trace of the request that is being served here, if there is one.
pub fn current() -> Option<TraceId> {
    CURRENT.try_with(|id| *id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(TRACEPARENT),
            HeaderValue::from_static(text),
        )])
    }

    #[test]
    fn a_traceparent_is_read_and_written() {
        let id = TraceId::from_headers(&header(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ))
        .expect("valid");
        assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let mut again = HeaderMap::new();
        again.insert(TRACEPARENT, id.to_header().expect("ascii"));
        assert_eq!(TraceId::from_headers(&again), Some(id));
    }

    #[test]
    fn a_broken_traceparent_is_no_trace() {
        for text in [
            "",
            "00",
            "00-xyz-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(TraceId::from_headers(&header(text)), None, "{text}");
        }
    }

    #[tokio::test]
    async fn the_scope_is_seen_inside_only() {
        let id = TraceId::generate();
        assert_eq!(current(), None);
        assert_eq!(id.scope(async { current() }).await, Some(id));
        assert_eq!(id.sync_scope(current), Some(id));
        assert_eq!(current(), None);
    }
}
