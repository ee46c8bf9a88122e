//! Gives every refusal the one shape: tonic's own answers get the code and
//! the reason that the contract promises, and a panic becomes INTERNAL with a
//! trace id. Changes no refusal that has a reason already.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tonic::{Code, Status, body::Body};

use super::limits;
use crate::{
    deadline,
    error::{self, Error, Reason},
    task,
};

/// Runs the handler and shapes its answer.
pub(super) fn shaped(
    answer: impl Future<Output = Result<Response<Body>, Error>>,
) -> impl Future<Output = Response<ShapedBody>> {
    AssertUnwindSafe(answer).catch_unwind().map(|outcome| {
        let mut response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => Status::from(error).into_http(),
            Err(panic) => Status::from(of_panic(&*panic)).into_http(),
        };
        shape(response.headers_mut());
        response.map(|inner| ShapedBody { inner, ended: false })
    })
}

fn of_panic(panic: &(dyn Any + Send)) -> Error {
    metrics::counter!("confab_handler_panics_total").increment(1);
    Error::internal_text(task::panic_message(panic))
}

/// Rewrites the status in headers or trailers if it is not in our shape.
fn shape(headers: &mut HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    if status.code() == Code::Ok || error::names_reason(&status) {
        return;
    }
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        headers.remove(name);
    }
    if Status::from(translated(&status)).add_header(headers).is_err() {
        headers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
}

/// What a status that names no reason of ours means.
fn translated(status: &Status) -> Error {
    let message = status.message();
    match status.code() {
        Code::Unknown if message == limits::BROKEN_OFF => Error::new(Reason::Cancelled, message),
        Code::Internal if is_malformed(message) => Error::new(Reason::MalformedRequest, message),
        Code::OutOfRange if message.contains("decoded message length too large") => {
            Error::new(Reason::RequestTooLarge, message)
        }
        Code::Unimplemented if message.starts_with("Content is compressed") => {
            Error::new(Reason::MalformedRequest, message)
        }
        Code::Unimplemented => Error::new(Reason::UnknownMethod, "there is no such RPC"),
        // Only health and reflection look for things that are not ours.
        Code::NotFound => Error::new(Reason::UnknownName, message),
        Code::Cancelled if message == "Timeout expired" => deadline::exceeded(),
        Code::Internal | Code::Unknown => Error::internal_text(message),
        _ => Error::from_status(status),
    }
}

/// tonic's and prost's words for a request that is not what it should be.
fn is_malformed(message: &str) -> bool {
    message.contains("failed to decode Protobuf message")
        || message.starts_with("protocol error: received message with")
        || message == "Unexpected EOF decoding stream."
        || message == "Missing request message."
}

pin_project_lite::pin_project! {
    /// A body whose last word is in our shape.
    pub(super) struct ShapedBody {
        #[pin]
        inner: Body,
        ended: bool,
    }
}

impl http_body::Body for ShapedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let inner = this.inner;
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx)));
        let status = match polled {
            Ok(Poll::Ready(Some(Ok(mut frame)))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    shape(trailers);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Ok(Poll::Ready(Some(Err(status)))) => status,
            Ok(other) => return other,
            Err(panic) => of_panic(&*panic).into(),
        };
        *this.ended = true;
        let trailers = deadline::trailers_of(&status).map(|mut trailers| {
            shape(&mut trailers);
            Frame::trailers(trailers)
        });
        Poll::Ready(Some(trailers))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
