//! What the two ends of a stream that is passed on know of each other. hyper asks for
//! an answer's next bytes only while its client takes them, so a process that passes a
//! stream on would not see that the service has reset it, where the client takes
//! nothing. It shows at the request: its body is let go of then. For there to be one,
//! a request that ends before its answers is kept open towards the service, which
//! waits for nothing more of it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use confab_log::mutant;
use http_body::{Frame, SizeHint};
use tokio::{sync::oneshot, time::sleep};
use tonic::{Status, body::Body};

use crate::{server::StreamReset, task};

/// For the client to take what the service has said last.
const PATIENCE: Duration = Duration::from_secs(3);

/// Held by the answers: the request ends with them.
pub(in crate::layers) type Tie = oneshot::Sender<()>;

pin_project_lite::pin_project! {
    /// A stream's requests. Whoever lets go of them before they, or the answers, have
    /// ended, has ended the stream.
    pub(super) struct TiedBody {
        #[pin]
        inner: Body,
        kept_open: bool,
        ended: bool,
        answered: oneshot::Receiver<()>,
        let_go: Option<oneshot::Sender<()>>,
    }
}

impl TiedBody {
    /// `kept_open` says whether the service takes no notice of the request's end.
    pub(super) fn new(inner: Body, kept_open: bool, client: StreamReset) -> (Self, Tie) {
        let (tie, answered) = oneshot::channel();
        let (let_go, ended) = oneshot::channel();
        task::spawn("stream passed on", async move {
            if ended.await.is_err() && !mutant::is("reset-not-passed-on") {
                sleep(PATIENCE).await;
                client.reset();
            }
        });
        (Self { inner, kept_open, ended: false, answered, let_go: Some(let_go) }, tie)
    }
}

impl http_body::Body for TiedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if !*this.ended {
            let frame = ready!(this.inner.poll_frame(cx));
            if frame.is_some() {
                return Poll::Ready(frame);
            }
            *this.ended = true;
        }
        if *this.kept_open {
            // Whether the tie was dropped or used makes no difference.
            let _answered = ready!(Pin::new(this.answered).poll(cx));
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
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn request() -> Body {
        Body::new(Full::new(Bytes::from_static(b"hello")))
    }

    /// Whether the client's stream is reset once the request is let go of.
    async fn resets(tied: TiedBody, client: &StreamReset) -> bool {
        drop(tied);
        tokio::time::timeout(2 * PATIENCE, client.asked()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_kept_open_and_who_lets_go_of_it_ends_the_stream() {
        let client = StreamReset::default();
        let (mut tied, _tie) = TiedBody::new(request(), true, client.clone());
        assert!(tied.frame().await.expect("the hello").is_ok());
        assert!(!http_body::Body::is_end_stream(&tied));
        assert!(tokio::time::timeout(Duration::from_mins(1), tied.frame()).await.is_err());
        assert!(resets(tied, &client).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_with_its_answers() {
        let client = StreamReset::default();
        let (mut tied, tie) = TiedBody::new(request(), true, client.clone());
        assert!(tied.frame().await.expect("the hello").is_ok());
        drop(tie);
        assert!(tied.frame().await.is_none());
        assert!(!resets(tied, &client).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_said_everything_is_not_reset() {
        let client = StreamReset::default();
        let (mut tied, _tie) = TiedBody::new(request(), false, client.clone());
        assert!(tied.frame().await.expect("the hello").is_ok());
        assert!(tied.frame().await.is_none());
        assert!(!resets(tied, &client).await);
    }
}
