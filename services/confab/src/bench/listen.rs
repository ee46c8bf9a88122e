//! Streams that listen: a device's `Connect`, what comes on it, and how all of
//! them together are waited for.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use confab_proto::{
    conversations::v1::ConversationCursor,
    realtime::v1::{
        Ack, ConnectRequest, ConnectResponse, Hello, Welcome, connect_request,
        connect_response::Frame,
    },
};
use h2::SendStream;
use http::HeaderValue;
use prost::Message as _;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    check::Reader,
    latency::Recorder,
    stopwatch::Stopwatch,
    wire::{Connection, Incoming, framed},
};
use crate::Failure;

const CONNECT: &str = "/confab.realtime.v1.RealtimeService/Connect";
/// As often as the reference client.
const ACK_INTERVAL: Duration = Duration::from_millis(500);
/// Without any delivery for so long, what is missing will not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open stream.
pub(super) struct Device {
    incoming: Incoming,
    upload: SendStream<Bytes>,
}

/// A conversation and where to start in it.
pub(super) fn cursor(conversation_id: &str, seq: u64) -> ConversationCursor {
    ConversationCursor { conversation_id: conversation_id.to_owned(), seq }
}

impl Device {
    /// Says hello and waits for the welcome.
    pub(super) async fn connect(
        connection: &Connection,
        token: &HeaderValue,
        hello: Hello,
    ) -> Result<(Self, Welcome), Failure> {
        let mut device = Self::open(connection, Some(token), hello).await?;
        match device.next().await? {
            Frame::Welcome(welcome) => Ok((device, welcome)),
            other => Err(format!("{other:?} came where the welcome was due").into()),
        }
    }

    /// Opens the stream and waits for the head of the answer only.
    pub(super) async fn open(
        connection: &Connection,
        token: Option<&HeaderValue>,
        hello: Hello,
    ) -> Result<Self, Failure> {
        let hello = ConnectRequest { frame: Some(connect_request::Frame::Hello(hello)) };
        let (mut incoming, upload) = connection.stream(CONNECT, token, &hello).await?;
        incoming.opened().await?;
        Ok(Self { incoming, upload })
    }

    /// The next frame. That a stream ends is a failure: nobody asked it to.
    pub(super) async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            let message =
                self.incoming.next().await.map_err(|error| format!("a stream: {error}"))?;
            let message = message.ok_or("a stream ended")?;
            match ConnectResponse::decode(message)?.frame {
                Some(Frame::Goodbye(goodbye)) => {
                    let failure = goodbye.failure.unwrap_or_default();
                    return Err(format!("a stream ended: {}", failure.message).into());
                }
                Some(Frame::WatchEnded(ended)) => {
                    let failure = ended.failure.unwrap_or_default();
                    return Err(format!("a watch ended: {}", failure.message).into());
                }
                Some(frame) => return Ok(frame),
                None => {}
            }
        }
    }

    /// Reads until the replay of a topic has ended; the inbox is the empty one.
    pub(super) async fn synced(&mut self, topic: &str, reader: &mut Reader) -> Result<(), Failure> {
        loop {
            match self.next().await? {
                Frame::Synced(synced) if synced.conversation_id == topic => return Ok(()),
                Frame::Event(event) => {
                    reader.see(&event);
                }
                Frame::Gap(gap) if gap.conversation_id == topic => {
                    reader.pass_gap(gap.from_seq, gap.to_seq);
                }
                _ => {}
            }
        }
    }

    fn acknowledge(&mut self, conversation: &str, seq: u64) -> Result<(), Failure> {
        let ack = Ack { cursors: vec![cursor(conversation, seq)], inbox_seq: None };
        let frame = ConnectRequest { frame: Some(connect_request::Frame::Ack(ack)) };
        self.upload.send_data(framed(&frame), false)?;
        Ok(())
    }
}

/// Counts what all streams of a run got, and tells who waits for it.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    count: AtomicU64,
    measured: AtomicU64,
    awaited: AtomicU64,
    broken: AtomicBool,
    told: Notify,
}

impl Deliveries {
    fn add(&self, measured: bool) {
        if measured {
            self.measured.fetch_add(1, Ordering::Relaxed);
        }
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if count == self.awaited.load(Ordering::SeqCst) {
            self.told.notify_one();
        }
    }

    /// Events that the server announced as a gap instead.
    fn skip(&self, events: u64) {
        let count = self.count.fetch_add(events, Ordering::SeqCst) + events;
        if count >= self.awaited.load(Ordering::SeqCst) {
            self.told.notify_one();
        }
    }

    /// A reader has found something: nobody needs to wait for more.
    fn break_off(&self) {
        self.broken.store(true, Ordering::SeqCst);
        self.told.notify_one();
    }

    /// How many came while it was measured.
    pub(super) fn measured(&self) -> u64 {
        self.measured.load(Ordering::Relaxed)
    }

    /// Waits until so many have come in all. `false`: something is broken, or
    /// nothing has come for 10 s.
    pub(super) async fn reach(&self, count: u64) -> bool {
        let mut before = self.count.load(Ordering::SeqCst);
        self.awaited.store(count, Ordering::SeqCst);
        loop {
            let now = self.count.load(Ordering::SeqCst);
            if self.broken.load(Ordering::SeqCst) {
                return false;
            }
            if now >= count {
                return true;
            }
            if tokio::time::timeout(PATIENCE, self.told.notified()).await.is_err() {
                let now = self.count.load(Ordering::SeqCst);
                if now == before {
                    return false;
                }
                before = now;
            }
        }
    }
}

/// A stream that listens to one conversation until it is told to stop.
pub(super) struct Listener {
    pub(super) device: Device,
    pub(super) conversation: String,
    pub(super) reader: Reader,
    pub(super) recorder: Recorder,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) stopwatch: Arc<Stopwatch>,
    pub(super) stop: CancellationToken,
    pub(super) acks: bool,
}

/// What a listener got.
pub(super) struct Heard {
    pub(super) conversation: String,
    pub(super) reader: Reader,
    /// Events of this run.
    pub(super) events: u64,
    /// DATA frames, of everything: the server's writes.
    pub(super) writes: u64,
    /// Bytes in them.
    pub(super) bytes: u64,
}

impl Listener {
    pub(super) async fn listen(mut self) -> Result<Heard, Failure> {
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        let mut acks = interval(ACK_INTERVAL);
        acks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut events, mut acknowledged) = (0, self.reader.cursor());
        let before = self.device.incoming.received();
        loop {
            let frame = tokio::select! {
                frame = self.device.next() => frame?,
                () = &mut stopped => break,
                _ = acks.tick(), if self.acks => {
                    if self.reader.cursor() > acknowledged {
                        acknowledged = self.reader.cursor();
                        self.device.acknowledge(&self.conversation, acknowledged)?;
                    }
                    continue;
                }
            };
            match frame {
                Frame::Event(event) => {
                    if let Some(mark) = self.reader.see(&event) {
                        events += 1;
                        self.note(mark.due_micros);
                    }
                }
                Frame::Gap(gap) if gap.conversation_id == self.conversation => {
                    self.reader.pass_gap(gap.from_seq, gap.to_seq);
                    self.deliveries.skip((gap.to_seq + 1).saturating_sub(gap.from_seq));
                }
                _ => {}
            }
            if self.reader.findings.count > 0 {
                self.deliveries.break_off();
            }
        }
        let after = self.device.incoming.received();
        let (writes, bytes) = (after.0 - before.0, after.1 - before.1);
        Ok(Heard { conversation: self.conversation, reader: self.reader, events, writes, bytes })
    }

    fn note(&self, due_micros: u64) {
        let now = self.stopwatch.micros(Instant::now());
        let measured = self.stopwatch.is_measured(now);
        if measured {
            self.recorder.record(Duration::from_micros(now.saturating_sub(due_micros)));
        }
        self.deliveries.add(measured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deliveries_are_waited_for_until_nothing_comes() {
        let deliveries = Deliveries::default();
        deliveries.add(true);
        deliveries.add(false);
        assert!(deliveries.reach(2).await);
        assert_eq!(deliveries.measured(), 1);
        let (reached, ()) = tokio::join!(deliveries.reach(3), async { deliveries.add(true) });
        assert!(reached);
        assert!(!deliveries.reach(4).await, "nothing comes any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_finding_ends_the_waiting() {
        let deliveries = Deliveries::default();
        let begun = Instant::now();
        let (reached, ()) = tokio::join!(deliveries.reach(9), async { deliveries.break_off() });
        assert!(!reached && begun.elapsed().is_zero());
    }
}
