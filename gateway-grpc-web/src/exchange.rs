//! One request and its answer, as far as several layers have to know of it: how much
//! came, what was wrong with that, and how the call ended.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use confab_log::mutant;
use http_body::{Frame, SizeHint};
use tonic::{Code, Status, body::Body};

/// No gRPC status has been seen.
const NO_STATUS: i32 = -1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    limit: u64,
    came: AtomicU64,
    fault: AtomicU8,
    status: AtomicI32,
}

/// Why a request's body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is longer than a body may be.
    TooLong,
    /// Its client has gone.
    BrokenOff,
}

impl Exchange {
    /// Whose request's body may have so many bytes.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = if mutant::is("gateway-endless-body") { u64::MAX } else { limit };
        Self {
            limit,
            came: AtomicU64::new(0),
            fault: AtomicU8::new(0),
            status: AtomicI32::new(NO_STATUS),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of the request's body that have come.
    pub(crate) fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(Fault::TooLong),
            2 => Some(Fault::BrokenOff),
            _ => None,
        }
    }

    fn note_fault(&self, fault: Fault) {
        let number = match fault {
            Fault::TooLong => 1,
            Fault::BrokenOff => 2,
        };
        self.fault.store(number, Ordering::Relaxed);
    }

    /// The gRPC status of the answer, once it is there.
    pub(crate) fn status(&self) -> Option<Code> {
        let status = self.status.load(Ordering::Relaxed);
        (status != NO_STATUS).then(|| Code::from_i32(status))
    }

    pub(crate) fn note_status(&self, code: Code) {
        self.status.store(code.into(), Ordering::Relaxed);
    }
}

/// The request's body, counted, and cut off where it is too long.
pub(crate) fn arriving(body: Body, exchange: Arc<Exchange>) -> Body {
    Body::new(Arriving { inner: body, exchange })
}

pin_project_lite::pin_project! {
    struct Arriving {
        #[pin]
        inner: Body,
        exchange: Arc<Exchange>,
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let before = this.exchange.came.fetch_add(length, Ordering::Relaxed);
                if before.saturating_add(length) > this.exchange.limit {
                    this.exchange.note_fault(Fault::TooLong);
                    let status = Status::resource_exhausted("the body is too long");
                    return Poll::Ready(Some(Err(status)));
                }
            }
            Poll::Ready(Some(Err(_))) => this.exchange.note_fault(Fault::BrokenOff),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
