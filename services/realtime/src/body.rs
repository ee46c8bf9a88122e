//! The response body of a stream: the outbox as HTTP frames. It copies an
//! event's bytes at most once and knows nothing of what they say.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::outbox::{OutboxReader, Outgoing};

/// See the module.
#[derive(Debug)]
pub(crate) struct StreamBody {
    outbox: OutboxReader,
    ended: bool,
}

impl StreamBody {
    pub(crate) fn new(outbox: OutboxReader) -> Self {
        Self { outbox, ended: false }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(outgoing) = self.outbox.poll_next(context) else {
            return Poll::Pending;
        };
        self.ended = !matches!(outgoing, Outgoing::Data(_));
        Poll::Ready(match outgoing {
            Outgoing::Data(bytes) => Some(Ok(Frame::data(bytes))),
            Outgoing::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Outgoing::Reset(status) => Some(Err(status)),
            Outgoing::Nothing => None,
        })
    }
}
