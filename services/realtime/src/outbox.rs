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
    Finish(HeaderMap),
    Reset(Status),
    Ended,
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

/// An empty queue of at most so many bytes.
pub(crate) fn outbox(bound: usize) -> (Outbox, OutboxReader) {
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
        if state.counted > self.shared.bound {
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

    /// Ends the stream with trailers when everything is written.
    pub(crate) fn finish(&self, trailers: HeaderMap) {
        self.end(End::Finish(trailers));
    }

    /// Ends the stream at once.
    pub(crate) fn reset(&self, status: Status) {
        self.clear();
        self.end(End::Reset(status));
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
            End::Finish(trailers) => Outgoing::Trailers(trailers),
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

impl Drop for OutboxReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.reader_gone = true;
        state.queue = VecDeque::new();
        drop(state);
        self.shared.closed.notify_one();
    }
}
