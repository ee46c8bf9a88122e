//! Response bodies in pieces of one HTTP/2 frame, and whether each piece is
//! taken. h2 buffers whatever it is given once there is room for a byte of it:
//! an answer in pieces stays with us until its client has room for it, where
//! its stream can be reset.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::{Status, body::Body};

use super::stall::Stall;

/// Of one DATA frame; see the connection's settings.
const PIECE_BYTES: usize = 16 * 1024;

pin_project_lite::pin_project! {
    /// A response body in pieces.
    pub(super) struct Pieces {
        #[pin]
        inner: Body,
        rest: Bytes,
        stall: Stall,
        // Counts the call until all of it is written.
        open: Option<TaskTrackerToken>,
    }
}

impl Pieces {
    /// The stall begins when a piece is handed out, and ends when the next one
    /// is asked for.
    pub(super) fn new(inner: Body, stall: Stall, open: Option<TaskTrackerToken>) -> Self {
        Self { inner, rest: Bytes::new(), stall, open }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        this.stall.note(false);
        if this.rest.is_empty() {
            match this.inner.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => *this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let piece = if this.rest.len() > PIECE_BYTES {
            this.rest.split_to(PIECE_BYTES)
        } else {
            // The whole of it: who made it may look at when it is dropped.
            std::mem::take(this.rest)
        };
        this.stall.note(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked once, before the first piece.
        if self.rest.is_empty() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn large_frames_are_cut_and_nothing_is_lost() {
        let sizes = [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES];
        let data = sizes.map(|size| Ok(Frame::data(Bytes::from(vec![7; size]))));
        let trailers = Ok::<_, Status>(Frame::trailers(HeaderMap::new()));
        let frames = data.into_iter().chain([trailers]);
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let mut pieces = Pieces::new(body, Stall::default(), None);
        let mut lengths = Vec::new();
        while let Some(frame) = pieces.frame().await {
            lengths.push(frame.expect("a frame").into_data().map(|data| data.len()).ok());
        }
        let full = Some(PIECE_BYTES);
        let small = [Some(0), Some(1), full, full, Some(1)];
        let large = [full, full, full, full, full, None];
        assert_eq!(lengths, [&small[..], &large].concat());
    }
}
