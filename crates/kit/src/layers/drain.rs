//! The end of a stream that is passed on from another process, when it is this
//! one that drains: between two of its frames, the goodbye that the service itself
//! would say.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use confab_proto::realtime::v1::{ConnectResponse, Goodbye, connect_response};
use http_body::{Frame, SizeHint};
use prost::Message as _;
use tonic::{Status, body::Body};

use super::limits::FrameCheck;
use crate::{
    deadline,
    error::{Error, Reason},
    lifecycle::Lifecycle,
    random,
};

/// About when a client comes back, to another process.
const RETRY: Duration = Duration::from_secs(3);

enum Stage {
    Passing(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The goodbye is said; its status is left to be sent.
    Said(Error),
    Over,
}

pin_project_lite::pin_project! {
    /// A stream's answers, up to the end or the drain.
    pub(super) struct DrainedBody {
        #[pin]
        inner: Body,
        frames: FrameCheck,
        stage: Stage,
    }
}

impl DrainedBody {
    pub(super) fn new(inner: Body, lifecycle: Lifecycle) -> Self {
        let draining = Box::pin(async move { lifecycle.draining().await });
        Self { inner, frames: FrameCheck::new(usize::MAX), stage: Stage::Passing(draining) }
    }
}

impl http_body::Body for DrainedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        match this.stage {
            Stage::Over => Poll::Ready(None),
            Stage::Said(error) => {
                let trailers = deadline::trailers_of(&error.clone().into()).map(Frame::trailers);
                *this.stage = Stage::Over;
                Poll::Ready(Some(trailers))
            }
            Stage::Passing(draining) => {
                // A frame that has begun is passed on to its end.
                if this.frames.is_between() && draining.as_mut().poll(cx).is_ready() {
                    let error = farewell();
                    let goodbye = goodbye(&error);
                    *this.stage = Stage::Said(error);
                    return Poll::Ready(Some(Ok(Frame::data(goodbye))));
                }
                let polled = this.inner.poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && let Some(data) = frame.data_ref()
                {
                    // No frame is too long for it.
                    let _fits = this.frames.pass(data.clone());
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.stage {
            Stage::Passing(_) => self.inner.is_end_stream(),
            Stage::Said(_) => false,
            Stage::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn farewell() -> Error {
    Error::new(Reason::Draining, "the server is draining").retry_after(random::jitter(RETRY))
}

/// `SubscribeResponse` has the same frames under the same numbers.
fn goodbye(error: &Error) -> Bytes {
    let retry_after = error.retry_delay().and_then(|delay| delay.try_into().ok());
    let goodbye = Goodbye { failure: Some(error.to_failure()), retry_after };
    let message = ConnectResponse { frame: Some(connect_response::Frame::Goodbye(goodbye)) };
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut frame);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use confab_proto::realtime::v1::{SubscribeResponse, subscribe_response};
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;

    use super::*;

    fn body(chunks: Vec<Bytes>) -> Body {
        let chunks = chunks.into_iter().map(|chunk| Ok::<_, Status>(Frame::data(chunk)));
        let endless = futures_util::stream::pending();
        Body::new(StreamBody::new(futures_util::StreamExt::chain(
            futures_util::stream::iter(chunks),
            endless,
        )))
    }

    #[tokio::test]
    async fn a_stream_ends_between_two_frames_with_a_goodbye() {
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        let (half, rest) = (Bytes::from_static(b"\0\0\0\0\x03a"), Bytes::from_static(b"bc"));
        let whole = body(vec![half.clone(), rest.clone(), Bytes::from_static(b"\0\0\0\0\x01d")]);
        let mut drained = DrainedBody::new(whole, lifecycle.clone());
        let mut data = async || {
            let frame = drained.frame().await.expect("more").expect("no error");
            frame.into_data().expect("data")
        };
        assert_eq!(data().await, half);
        lifecycle.drain();
        assert_eq!(data().await, rest);
        let last = SubscribeResponse::decode(&data().await[5..]).expect("a frame");
        let Some(subscribe_response::Frame::Goodbye(goodbye)) = last.frame else {
            panic!("no goodbye: {last:?}");
        };
        assert_eq!(goodbye.failure.expect("why").reason(), Reason::Draining);
        assert!(goodbye.retry_after.is_some());
        let end = drained.frame().await.expect("more").expect("no error");
        let status = Status::from_header_map(end.trailers_ref().expect("trailers"));
        assert_eq!(status.expect("a status").code(), Code::Unavailable);
        assert!(drained.frame().await.is_none() && http_body::Body::is_end_stream(&drained));
    }
}
