//! One stream, from its first frame to its last: a task that owns everything
//! the stream has. It never waits for one thing alone, so a slow answer, a
//! slow reader or a flood of frames holds up nothing else; and when the client
//! vanishes, all of it is dropped with the task.

mod acks;
mod heads;
mod inbox;
mod keeper;
mod open;
mod presence;
mod stream;
mod timers;
mod token;
mod watching;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use confab_kit::{
    error::{Coded as _, Error as Coding},
    identity::Caller,
    random,
};
use confab_log::mutant;
use confab_proto::realtime::v1::{ConnectRequest, connect_request, connect_response::Frame};
use futures_util::StreamExt as _;
use http::HeaderMap;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;

use self::stream::Stream;
use crate::{
    Shared, convert,
    error::Error,
    frame::frame,
    outbox::Outbox,
    source::{Incoming, Source},
};

/// How long a slow reader has for its goodbye.
const SLOW_GOODBYE: Duration = Duration::from_secs(1);
/// How long any other reader has.
const GOODBYE: Duration = Duration::from_secs(10);
/// About when a client comes back to another node.
const DRAIN_RETRY: Duration = Duration::from_secs(3);

/// Why a stream is over.
#[derive(Debug)]
enum Ended {
    /// The client is gone: nobody is left to talk to.
    Gone,
    /// The client has closed its half, and has got all that it missed or asked for.
    Served,
    /// The server ends it, for this reason.
    By(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::By(error)
    }
}

/// Counts the stream while it lives.
struct Active(metrics::Gauge);

impl Active {
    fn new() -> Self {
        let gauge = metrics::gauge!("confab_streams_active");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// Runs a stream to its end.
pub(crate) async fn run(shared: Arc<Shared>, caller: Caller, mut source: Source, outbox: Outbox) {
    let _active = Active::new();
    let mut stream = None;
    let ended = serve(&shared, caller, &mut source, &outbox, &mut stream).await;
    // Interest ends here. Who sees the goodbye finds its acks in the session.
    if let Some(keeper) = stream.map(Stream::into_keeper) {
        keeper.finish(&*shared.sessions).await;
    }
    match ended {
        Ended::Gone => {}
        Ended::Served => {
            outbox.finish(Bytes::new(), served());
            if timeout(shared.limits.stall_timeout, outbox.closed()).await.is_err() {
                outbox.reset(Error::SlowConsumer.to_error().into());
            }
        }
        Ended::By(error) => say_goodbye(&error, &mut source, &outbox).await,
    }
}

/// Serves until something ends it. The stream is put where the caller can
/// clean up after it.
async fn serve(
    shared: &Arc<Shared>,
    caller: Caller,
    source: &mut Source,
    outbox: &Outbox,
    place: &mut Option<Stream>,
) -> Ended {
    let opened = tokio::select! {
        // Boxed: an open stream need not carry what its opening took.
        opened = Box::pin(open::open(shared, &caller, source)) => opened,
        () = outbox.closed() => return Ended::Gone,
        () = shared.draining.cancelled() => return Ended::By(draining()),
    };
    let (opened, early) = match opened {
        Ok(opened) => opened,
        Err(ended) => return ended,
    };
    let (stream, begin) = Stream::new(Arc::clone(shared), caller, outbox.clone(), opened);
    let stream = place.insert(stream);
    let mut early = early.into_iter();
    let started = stream.start(begin).and_then(|()| early.try_for_each(|r| on_frame(stream, r)));
    if let Err(error) = started {
        return error.into();
    }
    match drive(stream, source).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn drive(
    stream: &mut Stream,
    source: &mut Source,
) -> Result<std::convert::Infallible, Ended> {
    let outbox = stream.outbox.clone();
    let mailbox = Arc::clone(&stream.registration.mailbox);
    let draining = stream.shared.draining.clone();
    let mut listening = true;
    let timer = sleep_until(stream.next_tick());
    tokio::pin!(timer);
    loop {
        if outbox.has_room() {
            stream.on_room()?;
        }
        if !listening && stream.is_at_rest() {
            return Err(Ended::Served);
        }
        let room = outbox.has_room();
        let next_tick = stream.next_tick();
        if timer.deadline() != next_tick {
            timer.as_mut().reset(next_tick);
        }
        tokio::select! {
            incoming = source.next(), if listening => match incoming? {
                Incoming::Frame(request) => on_frame(stream, request)?,
                Incoming::HalfClosed => listening = false,
                Incoming::Gone => return Err(Ended::Gone),
            },
            () = mailbox.arrived() => stream.on_letters(mailbox.take())?,
            Some(done) = stream.work.next(), if !stream.work.is_empty() => stream.on_done(done)?,
            Some(answer) = stream.calls.next(), if room && !stream.calls.is_empty() => {
                stream.answer_call(answer);
            }
            () = outbox.room(), if !room && stream.waits_for_room() => {}
            () = &mut timer => stream.on_tick(Instant::now())?,
            () = outbox.closed() => return Err(Ended::Gone),
            () = draining.cancelled() => return Err(wind_up(stream, source, &outbox).await),
        }
    }
}

/// What has begun is answered before the goodbye; nothing new is begun.
async fn wind_up(stream: &mut Stream, source: &mut Source, outbox: &Outbox) -> Ended {
    tokio::select! {
        () = stream.finish_calls() => Ended::By(draining()),
        never = source.drain() => match never {},
        () = outbox.closed() => Ended::Gone,
    }
}

fn on_frame(stream: &mut Stream, request: ConnectRequest) -> Result<(), Error> {
    use connect_request::Frame;
    match request.frame {
        Some(Frame::Hello(_)) => Err(Error::SecondHello),
        Some(Frame::Watch(watch)) => stream.on_watch(watch),
        Some(Frame::Call(call)) => stream.on_call(call),
        Some(Frame::Ack(ack)) => stream.acknowledge(&convert::unary::acknowledged_frame(&ack)?),
        Some(Frame::Ping(_)) => stream.heartbeat(),
        Some(Frame::Authenticate(new)) => stream.on_authenticate(&new),
        // A frame of a later version of the contract, or an empty one.
        None => Err(Error::BrokenFrame("the frame is empty or of an unknown kind")),
    }
}

fn draining() -> Error {
    let same_for_all = mutant::is("drain-same-retry");
    let retry_after = if same_for_all { DRAIN_RETRY } else { random::jitter(DRAIN_RETRY) };
    Error::Draining { retry_after }
}

/// Says why the stream ends, in its last frame and in its status, and gives
/// the reader a moment to take both.
async fn say_goodbye(error: &Error, source: &mut Source, outbox: &Outbox) {
    let coded = error.to_error();
    let reason = coded.reason().as_str_name().trim_start_matches("REASON_");
    metrics::counter!("confab_stream_goodbyes_total", "reason" => reason).increment(1);
    tracing::debug!(reason, "stream ended by the server");
    let slow = matches!(error, Error::SlowConsumer);
    if slow {
        outbox.clear();
    }
    let untold = (slow && mutant::is("slow-no-goodbye")) || mutant::is("drain-no-goodbye");
    let last = if untold { Bytes::new() } else { frame(Frame::Goodbye(convert::goodbye(&coded))) };
    outbox.finish(last, trailers(coded.clone()));
    let patience = if slow { SLOW_GOODBYE } else { GOODBYE };
    let taken = tokio::select! {
        taken = timeout(patience, outbox.closed()) => taken.is_ok(),
        never = source.drain() => match never {},
    };
    if !taken {
        outbox.reset(coded.into());
    }
}

fn served() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static("0"),
    )])
}

fn trailers(error: Coding) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if Status::from(error).add_header(&mut trailers).is_err() {
        // Only of a message that is no header value, which ours are.
        trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    trailers
}
