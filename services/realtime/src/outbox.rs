//! What a stream still has to say: a queue with a bound in bytes, between the
//! stream's task, which fills it, and the response body, which empties it.
//!
//! Pushing never waits. Past the bound the push fails, and the stream ends
//! for that reader alone (P6).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use confab_kit::server::StreamReset;
use confab_log::mutant;
use http::HeaderMap;
use tokio::{sync::Notify, time::Instant};
use tonic::Status;

use crate::error::Error;

/// Pending frames are written together up to this size.
const WRITE_BYTES: usize = 32 * 1024;

/// The filling side.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

/// The emptying side.
#[derive(Debug)]
pub(crate) struct OutboxReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Bytes that may wait; see [`Outbox::push`].
    bound: usize,
    room: Notify,
    closed: Notify,
    /// Ends a stream whose reader takes nothing; `None` within this process.
    stream: Option<StreamReset>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Pending>,
    /// Of frames that count against the bound.
    counted: usize,
    /// Of all frames.
    total: usize,
    /// How many frames the reader has taken, ever.
    taken: u64,
    /// When the last frame was appended.
    last: Instant,
    waker: Option<Waker>,
    end: End,
    reader_gone: bool,
}

#[derive(Debug)]
struct Pending {
    frame: Bytes,
    counts: bool,
}

#[derive(Debug)]
enum End {
    Open,
    /// The last frame and the trailers are to be written.
    Finish(Bytes, HeaderMap),
    /// The last frame is on its way. The trailers wait until it has left, so that
    /// a stream whose reader does not take it can still be reset.
    Leaving(HeaderMap),
    /// The last frame has left.
    Left(HeaderMap),
    Reset(Status),
    Ended,
}

/// The last frame. Whoever writes it drops it when it is written.
struct Last {
    frame: Bytes,
    shared: Arc<Shared>,
}

/// What the body writes next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// One or more frames.
    Data(Bytes),
    /// The end, with the stream's status.
    Trailers(HeaderMap),
    /// The end, at once.
    Reset(Status),
    /// After the end.
    Nothing,
}

/// An empty queue of at most so many bytes, for the stream that this ends.
pub(crate) fn outbox(bound: usize, stream: Option<StreamReset>) -> (Outbox, OutboxReader) {
    let state = State {
        queue: VecDeque::new(),
        counted: 0,
        total: 0,
        taken: 0,
        last: Instant::now(),
        waker: None,
        end: End::Open,
        reader_gone: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        bound,
        room: Notify::new(),
        closed: Notify::new(),
        stream,
    });
    (Outbox { shared: Arc::clone(&shared) }, OutboxReader { shared })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State) -> bool {
        state.total < self.bound / 4
    }
}

impl Outbox {
    /// Appends a frame. Fails when more than the bound was waiting already: so
    /// one large frame always passes when its reader keeps up.
    pub(crate) fn push(&self, frame: Bytes) -> Result<(), Error> {
        let mut state = self.shared.lock();
        if state.counted > self.shared.bound && !mutant::is("unbounded-outbox") {
            return Err(Error::SlowConsumer);
        }
        append(&mut state, Pending { frame, counts: true }, Instant::now());
        Ok(())
    }

    /// Appends the frame that this makes, if it makes one, for a reader that keeps
    /// up. `false`: there is no room, and nothing was made.
    pub(crate) fn offer(&self, now: Instant, make: impl FnOnce() -> Option<Bytes>) -> bool {
        let mut state = self.shared.lock();
        if !self.shared.has_room(&state) {
            return false;
        }
        if let Some(frame) = make() {
            append(&mut state, Pending { frame, counts: true }, now);
        }
        true
    }

    /// Appends the answer to a call. It does not count against the bound: the
    /// client asked for it, and answers are taken only while there is room.
    pub(crate) fn push_answer(&self, frame: Bytes) {
        append(&mut self.shared.lock(), Pending { frame, counts: false }, Instant::now());
    }

    /// Whether the reader keeps up, so that what can wait need not.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.has_room(&self.shared.lock())
    }

    /// Returns when there may be room again.
    pub(crate) async fn room(&self) {
        self.shared.room.notified().await;
    }

    /// When the last frame was appended.
    pub(crate) fn last_appended(&self) -> Instant {
        self.shared.lock().last
    }

    /// How many frames the reader has taken; `None` when none is waiting.
    pub(crate) fn stalled_at(&self) -> Option<u64> {
        let state = self.shared.lock();
        (!state.queue.is_empty()).then_some(state.taken)
    }

    /// Drops what is waiting.
    pub(crate) fn clear(&self) {
        let mut state = self.shared.lock();
        state.queue.clear();
        state.counted = 0;
        state.total = 0;
    }

    /// Ends the stream when everything is written, with a last frame (that may be
    /// empty) and the trailers.
    pub(crate) fn finish(&self, last: Bytes, trailers: HeaderMap) {
        self.end(End::Finish(last, trailers));
    }

    /// Ends the stream at once: what its reader has not taken is thrown away.
    pub(crate) fn reset(&self, status: Status) {
        self.clear();
        match &self.shared.stream {
            Some(_) if mutant::is("slow-no-reset") => {}
            Some(stream) => stream.reset(),
            None => self.end(End::Reset(status)),
        }
    }

    fn end(&self, end: End) {
        let mut state = self.shared.lock();
        if !matches!(state.end, End::Ended) {
            state.end = end;
        }
        wake(&mut state);
    }

    /// Returns when the reader is gone, or has taken everything to the end.
    pub(crate) async fn closed(&self) {
        loop {
            let notified = self.shared.closed.notified();
            if self.shared.lock().reader_gone {
                return;
            }
            notified.await;
        }
    }
}

fn append(state: &mut State, pending: Pending, now: Instant) {
    state.last = now;
    state.total += pending.frame.len();
    if pending.counts {
        state.counted += pending.frame.len();
    }
    state.queue.push_back(pending);
    wake(state);
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

impl OutboxReader {
    /// What to write next; several pending frames become one write.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Outgoing> {
        let mut state = self.shared.lock();
        let had_room = self.shared.has_room(&state);
        if let Some(bytes) = next_write(&mut state) {
            if !had_room && self.shared.has_room(&state) {
                self.shared.room.notify_one();
            }
            return Poll::Ready(Outgoing::Data(bytes));
        }
        let outgoing = match std::mem::replace(&mut state.end, End::Ended) {
            End::Open => {
                state.end = End::Open;
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            // h2 counts frames of nothing that end nothing, and ends connections for them.
            End::Finish(frame, trailers) if frame.is_empty() => Outgoing::Trailers(trailers),
            End::Finish(frame, trailers) => {
                state.end = End::Leaving(trailers);
                let shared = Arc::clone(&self.shared);
                return Poll::Ready(Outgoing::Data(Bytes::from_owner(Last { frame, shared })));
            }
            End::Leaving(trailers) => {
                state.end = End::Leaving(trailers);
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            End::Left(trailers) => Outgoing::Trailers(trailers),
            End::Reset(status) => Outgoing::Reset(status),
            End::Ended => Outgoing::Nothing,
        };
        state.reader_gone = true;
        self.shared.closed.notify_one();
        Poll::Ready(outgoing)
    }
}

fn next_write(state: &mut State) -> Option<Bytes> {
    let first = take(state)?;
    let mut size = first.len();
    let mut count = 0;
    for pending in &state.queue {
        if size + pending.frame.len() > WRITE_BYTES {
            break;
        }
        size += pending.frame.len();
        count += 1;
    }
    if count == 0 {
        return Some(first);
    }
    let mut write = BytesMut::with_capacity(size);
    write.extend_from_slice(&first);
    for _ in 0..count {
        if let Some(frame) = take(state) {
            write.extend_from_slice(&frame);
        }
    }
    Some(write.freeze())
}

fn take(state: &mut State) -> Option<Bytes> {
    let pending = state.queue.pop_front()?;
    state.total -= pending.frame.len();
    if pending.counts {
        state.counted -= pending.frame.len();
    }
    state.taken += 1;
    Some(pending.frame)
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.end = match std::mem::replace(&mut state.end, End::Ended) {
            End::Leaving(trailers) => End::Left(trailers),
            other => other,
        };
        wake(&mut state);
    }
}

impl Drop for OutboxReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.reader_gone = true;
        state.queue = VecDeque::new();
        drop(state);
        self.shared.closed.notify_one();
    }
}
