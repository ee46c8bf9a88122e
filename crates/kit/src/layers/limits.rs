//! Bounds each message that a caller sends by the length that its gRPC frame
//! declares, before any of it is held in memory, and tells a request that
//! breaks off from a fault of ours. Buffers nothing.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http::Request;
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::policy::Rpc;
use crate::{
    config::Limits,
    error::{self, Error, Reason},
};

/// A gRPC frame begins with one byte of flags and four of length.
const PREFIX_BYTES: usize = 5;

/// The message of the status that a request's body ends with when the caller
/// has gone before it was whole.
pub(super) const BROKEN_OFF: &str = "the request broke off";

/// The request with its messages bounded.
pub(super) fn bounded(rpc: Rpc, limits: &Limits, request: Request<Body>) -> Request<Body> {
    let limit = if rpc.is_streaming() { limits.frame_bytes } else { limits.request_bytes };
    request.map(|inner| Body::new(LimitedBody::new(inner, limit)))
}

pin_project_lite::pin_project! {
    struct LimitedBody {
        #[pin]
        inner: Body,
        frames: FrameCheck,
    }
}

impl LimitedBody {
    fn new(inner: Body, limit: usize) -> Self {
        Self { inner, frames: FrameCheck::new(limit) }
    }
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(length) = this.frames.pass(data.clone())
        {
            return Poll::Ready(Some(Err(too_large(length, this.frames.limit).into())));
        }
        polled.map_err(gone)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What breaks off a request is never our fault: a phone lost its network, or a
/// client its nerve. Whoever reads the body must not take it for one.
fn gone(status: Status) -> Status {
    if error::names_reason(&status) {
        return status;
    }
    tracing::debug!(error = %status.message(), "the caller went away");
    // Not CANCELLED: tonic takes that for an end, and the half of a request for
    // one that is malformed.
    Status::unknown(BROKEN_OFF)
}

fn too_large(length: usize, limit: usize) -> Error {
    let message = format!("the message has {length} bytes, the limit is {limit}");
    Error::new(Reason::RequestTooLarge, message).with("limit_bytes", limit)
}

/// Follows the frames through the chunks that they arrive in.
pub(super) struct FrameCheck {
    limit: usize,
    prefix: [u8; PREFIX_BYTES],
    filled: usize,
    left: usize,
}

impl FrameCheck {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, prefix: [0; PREFIX_BYTES], filled: 0, left: 0 }
    }

    /// Whether every frame that has begun has ended.
    pub(super) fn is_between(&self) -> bool {
        self.filled == 0 && self.left == 0
    }

    /// Goes on by what is passed on as it is, however long its frames are.
    pub(super) fn follow(&mut self, passed: &Frame<Bytes>) {
        if let Some(data) = passed.data_ref() {
            // Whoever follows has no limit.
            let _fits = self.pass(data.clone());
        }
    }

    /// `Err` with the declared length of a frame that is too long.
    pub(super) fn pass(&mut self, mut data: Bytes) -> Result<(), usize> {
        while data.has_remaining() {
            if self.left > 0 {
                let step = self.left.min(data.len());
                data.advance(step);
                self.left -= step;
                continue;
            }
            self.prefix[self.filled] = data.get_u8();
            self.filled += 1;
            if self.filled == PREFIX_BYTES {
                let [_, a, b, c, d] = self.prefix;
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if length > self.limit {
                    return Err(length);
                }
                self.left = length;
                self.filled = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: usize, chunks: &[&'static [u8]]) -> Result<(), usize> {
        let mut frames = FrameCheck::new(limit);
        chunks.iter().try_for_each(|chunk| frames.pass(Bytes::from_static(chunk)))
    }

    #[test]
    fn frames_are_followed_across_chunks() {
        let two = b"\0\0\0\0\x03abc\0\0\0\0\x00\0\0\0\0\x04abcd";
        assert_eq!(check(4, &[two]), Ok(()));
        assert_eq!(check(3, &[two]), Err(4));
        for cut in 0..two.len() {
            assert_eq!(check(4, &[&two[..cut], &two[cut..]]), Ok(()), "{cut}");
            assert_eq!(check(3, &[&two[..cut], &two[cut..]]), Err(4), "{cut}");
        }
    }

    #[test]
    fn the_length_alone_is_enough() {
        assert_eq!(check(1024, &[b"\0\xff\xff\xff\xff"]), Err(u32::MAX as usize));
    }
}
