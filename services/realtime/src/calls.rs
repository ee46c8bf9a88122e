//! Unary calls made on a stream. The request's bytes go to the public router
//! as they are, with the stream's token, so that each runs under its own RPC's
//! policy; the answer's bytes come back the same way. Nothing is decoded here.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use confab_kit::{
    channel::Channel,
    error::{Coded as _, Error as Coding},
};
use confab_log::mutant;
use confab_proto::{
    method::Method,
    realtime::v1::{Call, Result as CallResult, connect_response::Frame, result::Outcome},
};
use http::uri::PathAndQuery;
use prost_types::Any;
use tokio::sync::Semaphore;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{error::Error, frame::frame};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer that is passed on. Pages end before it.
const MAX_ANSWER: usize = 4 << 20;
/// Reads of one stream that run at a time: their answers may be large, and may have
/// to wait for a reader that takes nothing.
const READS: usize = 2;

/// Whose turn it is among the reads of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READS)))
    }

    /// Returns when the call may be made. Commands need no turn: their answers are
    /// about as large as their requests, which are counted.
    async fn wait(&self, method: &Method) -> Option<impl Drop> {
        let is_read = method.policy.as_ref().is_some_and(|policy| policy.rate_class == "read");
        if !is_read || mutant::is("calls-without-turns") {
            return None;
        }
        // Nobody closes it.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// How many bytes a call holds until it is answered.
pub(crate) fn size(call: &Call) -> usize {
    call.request.as_ref().map_or(0, |request| request.value.len() + request.type_url.len())
}

/// Makes the call and frames its result, whatever that is.
pub(crate) async fn run(public: Channel, call: Call, turns: Turns) -> Bytes {
    let call_id = call.call_id;
    let outcome = match dispatch(public, call, &turns).await {
        Ok(response) => Outcome::Response(response),
        Err(error) => Outcome::Failure(error.to_error().to_failure()),
    };
    result(call_id, outcome)
}

/// The result of a call that is not made.
pub(crate) fn refusal(call_id: u64, error: &Error) -> Bytes {
    result(call_id, Outcome::Failure(error.to_error().to_failure()))
}

fn result(call_id: u64, outcome: Outcome) -> Bytes {
    frame(Frame::Result(CallResult { call_id, outcome: Some(outcome) }))
}

async fn dispatch(public: Channel, call: Call, turns: &Turns) -> Result<Any, Error> {
    let timeout = timeout(call.timeout)?;
    let any = call.request.unwrap_or_default();
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    let method = Method::by_request(name)
        .filter(|method| !method.client_streaming && !method.server_streaming && !method.is_mesh())
        .ok_or_else(|| Error::UnknownCall(name.to_owned()))?;
    let mut request = Request::new(Bytes::from(any.value));
    request.set_timeout(timeout);
    let answer = async {
        let _turn = turns.wait(method).await;
        unary(public, method, request).await
    };
    let answer = tokio::time::timeout(timeout, answer).await;
    let value = answer.map_err(|_| Error::DeadlineExceeded)??;
    Ok(Any { type_url: format!("type.googleapis.com/{}", method.response), value: value.into() })
}

async fn unary(
    public: Channel,
    method: &'static Method,
    request: Request<Bytes>,
) -> Result<Bytes, Error> {
    let mut client = Grpc::new(public).max_decoding_message_size(MAX_ANSWER);
    client.ready().await.map_err(Status::from_error)?;
    let path = PathAndQuery::from_static(method.path);
    Ok(client.unary(request, path, Passthrough).await?.into_inner())
}

fn timeout(asked: Option<prost_types::Duration>) -> Result<Duration, Error> {
    let Some(asked) = asked else {
        return Ok(DEFAULT_TIMEOUT);
    };
    // Before the conversion: it overflows on the most negative ones.
    if asked.seconds < 0 || asked.nanos < 0 {
        return Err(Coding::violation("call.timeout", "must not be negative").into());
    }
    let timeout = Duration::try_from(asked)
        .map_err(|_| Coding::violation("call.timeout", "must be a duration"))?;
    if timeout.is_zero() {
        return Err(Coding::violation("call.timeout", "must be more than nothing").into());
    }
    Ok(timeout.min(MAX_TIMEOUT))
}

/// Messages as bytes, both ways.
#[derive(Clone, Copy, Debug)]
struct Passthrough;

impl Codec for Passthrough {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Passthrough {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Passthrough {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
