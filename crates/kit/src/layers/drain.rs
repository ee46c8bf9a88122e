//! The end of a stream that is passed on from another process, when it is this
//! one that drains. Its client says no more from then on; what the service has to
//! answer still comes through, and then, between two frames, the goodbye that the
//! service itself would say.

use std::{
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll, ready as when_ready},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use confab_proto::realtime::v1::{ConnectResponse, Goodbye, connect_response};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use prost::Message as _;
use tokio::{sync::oneshot, time::sleep};
use tonic::{Status, body::Body};

use super::{forward::tied::Tie, limits::FrameCheck};
use crate::{
    deadline,
    error::{Error, Reason},
    lifecycle::Lifecycle,
    random,
};

/// About when a client comes back, to another process.
const RETRY: Duration = Duration::from_secs(3);
/// How long the service may take to answer what was asked before; as long as it has
/// itself when its own process drains.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Stage {
    Passing(Waiting),
    /// The client's half has ended: the answers up to the service's own end.
    Ending(Waiting),
    /// The goodbye is said; its status is left to be sent.
    Said(Error),
    Over,
}

/// Ends the client's half when it is dropped.
pub(super) type Half = oneshot::Sender<()>;

pin_project_lite::pin_project! {
    /// A stream's requests, up to the end or until the answers' side lets go of them.
    pub(super) struct HalfBody {
        #[pin]
        inner: Body,
        frames: FrameCheck,
        ended: oneshot::Receiver<()>,
    }
}

impl HalfBody {
    pub(super) fn new(inner: Body) -> (Self, Half) {
        let (half, ended) = oneshot::channel();
        (Self { inner, frames: FrameCheck::new(usize::MAX), ended }, half)
    }
}

impl http_body::Body for HalfBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        // A frame that has begun is passed on to its end.
        if this.frames.is_between() && Pin::new(this.ended).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let polled = this.inner.poll_frame(cx);
        follow(this.frames, &polled);
        polled
    }
}

pin_project_lite::pin_project! {
    /// A stream's answers, up to the end or the drain.
    pub(super) struct DrainedBody {
        #[pin]
        inner: Body,
        frames: FrameCheck,
        stage: Stage,
        half: Option<Half>,
        // The service has said something: before that it has nothing to answer.
        opened: bool,
        // Dropped with the answers.
        tie: Option<Tie>,
    }
}

impl DrainedBody {
    /// With the client's half, of a stream that goes both ways.
    pub(super) fn new(inner: Body, half: Option<Half>, lifecycle: Lifecycle) -> Self {
        let draining = Box::pin(async move { lifecycle.draining().await });
        let stage = Stage::Passing(draining);
        Self { inner, frames: FrameCheck::new(usize::MAX), stage, half, opened: false, tie: None }
    }

    /// With what ends its request.
    pub(super) fn tied(self, tie: Tie) -> Self {
        Self { tie: Some(tie), ..self }
    }
}

impl http_body::Body for DrainedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        if let Stage::Passing(draining) = this.stage
            && draining.as_mut().poll(cx).is_ready()
        {
            let half = this.half.take();
            let answers = half.is_some() && *this.opened;
            // Asked for nothing it has nothing to wait for.
            let late: Waiting =
                if answers { Box::pin(sleep(LAST_ANSWERS)) } else { Box::pin(ready(())) };
            *this.stage = Stage::Ending(late);
        }
        // A frame that has begun is passed on to its end.
        if let Stage::Ending(late) = this.stage
            && this.frames.is_between()
            && late.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Ok(say_goodbye(this.stage))));
        }
        match this.stage {
            Stage::Over => return Poll::Ready(None),
            Stage::Said(error) => {
                let trailers = deadline::trailers_of(&error.clone().into()).map(Frame::trailers);
                *this.stage = Stage::Over;
                return Poll::Ready(Some(trailers));
            }
            Stage::Passing(_) | Stage::Ending(_) => {}
        }
        let polled = this.inner.as_mut().poll_frame(cx);
        *this.opened |= polled.is_ready();
        follow(this.frames, &polled);
        let passed = when_ready!(polled);
        let ending = matches!(this.stage, Stage::Ending(_)) && this.frames.is_between();
        if ending && has_served(passed.as_ref()) {
            return Poll::Ready(Some(Ok(say_goodbye(this.stage))));
        }
        Poll::Ready(passed)
    }

    fn is_end_stream(&self) -> bool {
        match self.stage {
            Stage::Passing(_) => self.inner.is_end_stream(),
            Stage::Ending(_) | Stage::Said(_) => false,
            Stage::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn follow(frames: &mut FrameCheck, polled: &Poll<Option<Result<Frame<Bytes>, Status>>>) {
    if let Poll::Ready(Some(Ok(frame))) = polled {
        frames.follow(frame);
    }
}

/// Whether the service ends the stream because everything is answered; where it has
/// another reason it has said so.
fn has_served(passed: Option<&Result<Frame<Bytes>, Status>>) -> bool {
    let good = |trailers: &HeaderMap| trailers.get("grpc-status").is_some_and(|code| code == "0");
    match passed {
        None => true,
        Some(Ok(frame)) => frame.trailers_ref().is_some_and(good),
        Some(Err(_)) => false,
    }
}

fn say_goodbye(stage: &mut Stage) -> Frame<Bytes> {
    let error = farewell();
    let goodbye = goodbye(&error);
    *stage = Stage::Said(error);
    Frame::data(goodbye)
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
        let mut drained = DrainedBody::new(whole, None, lifecycle.clone());
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

    /// What comes of an answer that the service gives while the entry drains, up to
    /// the status, and whether the service was told that its client says no more.
    async fn last_answer(opened: bool) -> (Vec<Bytes>, Code, bool) {
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        let (said, half) = HalfBody::new(body(vec![Bytes::from_static(b"\0\0\0\0\x01q")]));
        let mut said = Body::new(said);
        assert!(said.frame().await.expect("the question").is_ok());
        let (answers, waiting) = tokio::sync::mpsc::unbounded_channel();
        let waiting = futures_util::stream::unfold(waiting, async |mut waiting| {
            waiting.recv().await.map(|frame| (Ok::<_, Status>(frame), waiting))
        });
        let answered = Body::new(StreamBody::new(waiting));
        let mut drained = DrainedBody::new(answered, Some(half), lifecycle.clone());
        if opened {
            let welcome = Frame::data(Bytes::from_static(b"\0\0\0\0\x01w"));
            answers.send(welcome).expect("heard");
            assert!(drained.frame().await.expect("the welcome").is_ok());
        }
        lifecycle.drain();
        let service = async move {
            let told = said.frame().await.is_none();
            let answer = Frame::data(Bytes::from_static(b"\0\0\0\0\x01a"));
            let _late = answers.send(answer);
            let good = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), 0.into())]);
            let _late = answers.send(Frame::trailers(good));
            told
        };
        let client = async {
            let (mut frames, mut code) = (Vec::new(), Code::Ok);
            while let Some(frame) = drained.frame().await {
                match frame.expect("no error").into_data() {
                    Ok(data) => frames.push(data),
                    Err(end) => {
                        let trailers = end.into_trailers().expect("trailers");
                        code = Status::from_header_map(&trailers).expect("a status").code();
                    }
                }
            }
            (frames, code)
        };
        let (told, (frames, code)) = tokio::join!(service, client);
        (frames, code, told)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_before_the_drain_is_answered() {
        let (frames, code, told) = last_answer(true).await;
        assert_eq!((frames.len(), code, told), (2, Code::Unavailable, true));
        assert_eq!(frames[0], Bytes::from_static(b"\0\0\0\0\x01a"));
        let last = ConnectResponse::decode(&frames[1][5..]).expect("a frame");
        assert!(matches!(last.frame, Some(connect_response::Frame::Goodbye(_))), "{last:?}");
        // Who has not been let in has nothing to wait for.
        let (frames, code, _) = last_answer(false).await;
        assert_eq!((frames.len(), code), (1, Code::Unavailable));
    }
}
