//! Streams to a peer: opened on one of its lanes, passed on as they come, and never
//! opened a second time once the peer may have seen them.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body};

use super::{
    Shared,
    calls::{MAX_TRIES, unanswered},
    connection::Failed,
    lanes::Place,
};
use crate::deadline;

/// How long a peer may take to open a stream whose caller gave no deadline.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens it at one of the peers.
pub(super) async fn open(
    shared: &Shared,
    mut request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let timeout = deadline::timeout_of(request.headers()).unwrap_or(OPEN_TIMEOUT);
    let deadline = Instant::now() + timeout.min(OPEN_TIMEOUT);
    let mut tried = Vec::new();
    loop {
        let (endpoint, link) = shared.pick(None, &tried, deadline).await?;
        let begun = Instant::now();
        let opened = timeout_at(deadline, endpoint.open(&link, request)).await;
        match opened {
            Ok(Ok((answer, place))) => {
                return Ok(answer.map(|inner| Body::new(StreamBody { inner, _place: place })));
            }
            Ok(Err(Failed::NeverSent(Some(again)))) if tried.len() + 1 < MAX_TRIES as usize => {
                request = *again;
                tried.push(endpoint.target.address);
            }
            Ok(Err(Failed::NeverSent(_))) => return Err(shared.nobody().into()),
            Ok(Err(Failed::Unanswered)) => return Err(unanswered()),
            Err(_) => {
                endpoint.was_silent(begun);
                return Err(deadline::exceeded().into());
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// What the peer sends; keeps the stream's place on its lane.
    struct StreamBody {
        #[pin]
        inner: Body,
        _place: Option<Place>,
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
