//! What the two ends of a stream that is passed on know of each other. hyper asks for
//! an answer's next bytes only while its client takes them, so a process that passes a
//! stream on would not see that the service has reset it, where the client takes
//! nothing. It shows at the request: its body is let go of then. For there to be one,
//! a request that ends before its answers is kept open towards the service, which
//! waits for nothing more once it has a message.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use confab_log::mutant;
use http_body::{Frame, SizeHint};
use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body};

use crate::{layers::limits::FrameCheck, server::StreamReset, task};

/// For the client to take what the service has said last: as long as the service gives
/// to clients of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held by the answers: the request ends with them.
pub(in crate::layers) type Tie = DropGuard;

pin_project_lite::pin_project! {
    /// A stream's requests. Whoever lets go of them before they, or the answers, have
    /// ended, has ended the stream.
    pub(super) struct TiedBody {
        #[pin]
        inner: Body,
        frames: FrameCheck,
        said: bool,
        stage: Stage,
        kept_open: bool,
        #[pin]
        answered: WaitForCancellationFutureOwned,
        let_go: Option<oneshot::Sender<()>>,
    }
}

#[derive(Clone, Copy)]
enum Stage {
    Asking,
    /// Everything is said, and the answers go on.
    Waiting,
    Over,
}

impl TiedBody {
    /// `kept_open` says whether the service takes no notice of a request's end, once it
    /// has a message.
    pub(super) fn new(inner: Body, kept_open: bool, client: StreamReset) -> (Self, Tie) {
        let (let_go, ended) = oneshot::channel::<()>();
        let answered = CancellationToken::new();
        let (tie, over) = (answered.clone().drop_guard(), answered.clone());
        task::spawn("stream passed on", async move {
            if ended.await.is_ok() || mutant::is("reset-not-passed-on") {
                return;
            }
            tokio::select! {
                () = sleep(PATIENCE) => client.reset(),
                // Over HTTP/1.1 the connection may serve another request by now.
                () = over.cancelled() => {}
            }
        });
        let tied = Self {
            inner,
            frames: FrameCheck::new(usize::MAX),
            said: false,
            stage: Stage::Asking,
            kept_open,
            answered: answered.cancelled_owned(),
            let_go: Some(let_go),
        };
        (tied, tie)
    }
}

impl http_body::Body for TiedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        while let Stage::Asking = this.stage {
            let frame = ready!(this.inner.as_mut().poll_frame(cx));
            let Some(Ok(frame)) = frame else {
                let whole = frame.is_none() && *this.said && this.frames.is_between();
                *this.stage = if whole && *this.kept_open { Stage::Waiting } else { Stage::Over };
                if frame.is_some() {
                    return Poll::Ready(frame);
                }
                continue;
            };
            // Frames of nothing that end nothing are counted as an attack by h2.
            if frame.data_ref().is_some_and(Bytes::is_empty) {
                continue;
            }
            this.frames.follow(&frame);
            *this.said |= frame.is_data();
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Stage::Waiting = this.stage {
            ready!(this.answered.poll(cx));
            *this.stage = Stage::Over;
        }
        if let Some(let_go) = this.let_go.take() {
            // Nobody is told any more where the runtime ends.
            let _unheard = let_go.send(());
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    const HELLO: Bytes = Bytes::from_static(b"\0\0\0\0\x05hello");

    fn request(chunks: Vec<Bytes>) -> Body {
        let frames = chunks.into_iter().map(|chunk| Ok::<_, Status>(Frame::data(chunk)));
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    /// Whether the client's stream is reset once the request is let go of.
    async fn resets(tied: Body, client: &StreamReset) -> bool {
        drop(tied);
        tokio::time::timeout(2 * PATIENCE, client.asked()).await.is_ok()
    }

    /// The hello is passed on, with nothing empty after it.
    async fn asked(kept_open: bool) -> (Body, Tie, StreamReset) {
        let client = StreamReset::default();
        let whole = request(vec![HELLO, Bytes::new()]);
        let (tied, tie) = TiedBody::new(whole, kept_open, client.clone());
        let mut tied = Body::new(tied);
        let hello = tied.frame().await.expect("the hello").expect("no error");
        assert_eq!(hello.into_data().expect("data"), HELLO);
        (tied, tie, client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_kept_open_and_who_lets_go_of_it_ends_the_stream() {
        let (mut tied, _tie, client) = asked(true).await;
        assert!(!http_body::Body::is_end_stream(&tied));
        assert!(tokio::time::timeout(Duration::from_mins(1), tied.frame()).await.is_err());
        assert!(resets(tied, &client).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_with_its_answers() {
        let (mut tied, tie, client) = asked(true).await;
        drop(tie);
        assert!(tied.frame().await.is_none());
        assert!(!resets(tied, &client).await);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_end_soon_after_the_request_was_let_go_of_are_not_reset() {
        let (tied, tie, client) = asked(true).await;
        drop(tied);
        tokio::time::sleep(PATIENCE / 2).await;
        drop(tie);
        assert!(tokio::time::timeout(2 * PATIENCE, client.asked()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_said_everything_is_not_reset() {
        let (mut tied, _tie, client) = asked(false).await;
        assert!(tied.frame().await.is_none());
        assert!(!resets(tied, &client).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_a_whole_message_ends_at_once() {
        for chunks in [vec![], vec![Bytes::new()], vec![HELLO.slice(..7)]] {
            let (tied, _tie) = TiedBody::new(request(chunks), true, StreamReset::default());
            let whole = tokio::time::timeout(PATIENCE, Body::new(tied).collect()).await;
            assert!(whole.expect("it ends").is_ok());
        }
    }
}
