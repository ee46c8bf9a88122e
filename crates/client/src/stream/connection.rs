//! One connection of a stream, from welcome to its end: frames in and out, gaps,
//! calls, acknowledgements, heartbeats. Its cursors outlive it in the tracker.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use confab_proto::{
    conversations::v1::ConversationCursor,
    realtime::v1::{ConnectRequest, ConnectResponse, Goodbye, Watch, connect_request},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use prost_types::Any;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::{
    gaps,
    handle::Order,
    renewal::{Renewal, Renewed},
    supervisor::{Opened, Supervisor},
    tracker::{Item, PageRequest},
    update::INBOX,
    verdict::End,
};
use crate::{error::Error, runtime};

/// Pages of gaps that are asked for at once.
const PAGES: usize = 4;
/// Frames that wait for the network before orders wait.
const OUTGOING: usize = 64;
/// How long the server has to take leave.
const LEAVE: Duration = Duration::from_millis(500);
/// The heartbeat interval of a server that does not tell it.
const HEARTBEAT: Duration = Duration::from_secs(30);

type Paged = (PageRequest, Result<Vec<Item>, Error>);

pub(super) struct Connection<'a> {
    pub(super) stream: &'a mut Supervisor,
    pub(super) opened: Opened,
    outgoing: VecDeque<ConnectRequest>,
    pages: FuturesUnordered<BoxFuture<'static, Paged>>,
    pub(super) pages_waiting: VecDeque<PageRequest>,
    pub(super) calls: HashMap<u64, oneshot::Sender<Result<Any, Error>>>,
    pub(super) last_call_id: u64,
    /// A new token in the place of one that is about to end.
    pub(super) renewal: Renewal,
    heartbeat: Duration,
    /// When the server was heard last, or reading began again.
    heard: runtime::Instant,
    reading: bool,
    ack_at: Option<runtime::Instant>,
}

/// What a turn of the loop is about.
enum Wake {
    Closed,
    Nothing,
    Frame(Result<Option<Box<ConnectResponse>>, Status>),
    Page(Paged),
    Order(Option<Order>),
    Renewed(Renewed),
    Stored,
    AckDue,
    Silence,
}

impl<'a> Connection<'a> {
    pub(super) fn new(stream: &'a mut Supervisor, opened: Opened) -> Self {
        let interval = opened.welcome.heartbeat_interval;
        let heartbeat = interval.and_then(|interval| Duration::try_from(interval).ok());
        Self {
            stream,
            opened,
            outgoing: VecDeque::new(),
            pages: FuturesUnordered::new(),
            pages_waiting: VecDeque::new(),
            calls: HashMap::new(),
            last_call_id: 0,
            renewal: Renewal::default(),
            heartbeat: heartbeat.filter(|interval| !interval.is_zero()).unwrap_or(HEARTBEAT),
            heard: runtime::now(),
            reading: true,
            ack_at: None,
        }
    }

    /// Serves the connection until it ends. `adopt`: what the session watches is
    /// news to this stream.
    pub(super) async fn run(mut self, adopt: bool) -> End {
        if let Err(error) = self.begin(adopt) {
            return End::lost(error);
        }
        for order in std::mem::take(&mut self.stream.deferred) {
            self.take_order(order);
        }
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        if matches!(end, End::Closed) {
            self.leave().await;
        }
        let error = match &end {
            End::Closed => Error::Closed,
            End::Lost { .. } => Error::Transport("the stream broke".to_owned()),
        };
        for (_, answer) in self.calls.drain() {
            // Whoever asked may have stopped waiting; then there is nobody to tell.
            let _ = answer.send(Err(error.clone()));
        }
        end
    }

    /// Brings the server's idea of what is watched and ours together.
    fn begin(&mut self, adopt: bool) -> Result<(), Error> {
        let stream = &mut *self.stream;
        if !self.opened.by_session {
            if !stream.tracker.is_watched(INBOX) {
                let cursor = self.opened.welcome.head_inbox_seq;
                let epoch = stream.shared.watch(INBOX, cursor)?;
                stream.tracker.watch(INBOX, cursor, epoch);
            }
            return Ok(());
        }
        let known = stream.tracker.is_watched(INBOX);
        let inbox_epoch = if known { 0 } else { stream.shared.watch(INBOX, 0)? };
        stream.tracker.resume_somewhere(INBOX, inbox_epoch);
        // The welcome does not tell; a repeated acknowledgement does no harm.
        stream.shared.server_knows(INBOX, 0);
        let watching = std::mem::take(&mut self.opened.welcome.watching);
        let mut change = Watch::default();
        let ours = stream.tracker.cursors();
        let unknown = |cursor: &ConversationCursor| {
            watching.iter().all(|known| known.conversation_id != cursor.conversation_id)
        };
        change.add.extend(ours.into_iter().filter(unknown));
        for ConversationCursor { conversation_id, seq } in watching {
            if stream.tracker.is_watched(&conversation_id) {
                stream.shared.server_knows(&conversation_id, seq);
                if let Some(seq) = stream.tracker.resume_at(&conversation_id, seq) {
                    change.add.push(ConversationCursor { conversation_id, seq });
                }
            } else if adopt {
                let epoch = stream.shared.watch(&conversation_id, seq)?;
                stream.tracker.watch(&conversation_id, seq, epoch);
            } else {
                change.remove.push(conversation_id);
            }
        }
        if change != Watch::default() {
            self.send(connect_request::Frame::Watch(change));
        }
        Ok(())
    }

    async fn turn(&mut self) -> Result<(), End> {
        self.start_pages();
        self.note_reading();
        match self.wake().await {
            Wake::Closed | Wake::Order(None) => Err(End::Closed),
            Wake::Nothing => Ok(()),
            Wake::Frame(Ok(Some(response))) => {
                self.heard = runtime::now();
                self.take_frame(*response)
            }
            Wake::Frame(Ok(None)) => {
                Err(End::lost(Error::Transport("the server ended the stream".to_owned())))
            }
            Wake::Frame(Err(status)) => Err(End::lost(status.into())),
            Wake::Page((request, page)) => self.take_page(&request, page),
            Wake::Order(Some(order)) => {
                self.take_order(order);
                Ok(())
            }
            Wake::Renewed(renewed) => {
                self.take_renewed(renewed);
                Ok(())
            }
            Wake::Stored => {
                self.ack_at = Some(runtime::now() + self.stream.options.ack_interval);
                Ok(())
            }
            Wake::AckDue => {
                self.ack_at = None;
                self.send_ack();
                Ok(())
            }
            Wake::Silence => {
                Err(End::lost(Error::Transport("nothing was heard for two heartbeats".to_owned())))
            }
        }
    }

    /// In this order: what was received goes on first, and silence is noticed only
    /// when there is nothing to read.
    async fn wake(&mut self) -> Wake {
        let stream = &mut *self.stream;
        let silence_at = self.heard + self.heartbeat * 2;
        tokio::select! {
            biased;
            () = stream.updates.closed() => Wake::Closed,
            permit = stream.updates.reserve(), if !stream.outbox.is_empty() => {
                let Ok(permit) = permit else { return Wake::Closed };
                if let Some(queued) = stream.outbox.pop_front() {
                    permit.send(Ok(queued));
                }
                Wake::Nothing
            }
            permit = self.opened.out.reserve(), if !self.outgoing.is_empty() => {
                match permit {
                    Ok(permit) => if let Some(frame) = self.outgoing.pop_front() {
                        permit.send(frame);
                    },
                    // The request side is gone; the response side says why.
                    Err(_) => self.outgoing.clear(),
                }
                Wake::Nothing
            }
            () = until(self.ack_at), if self.ack_at.is_some() => Wake::AckDue,
            () = stream.shared.something_stored(), if self.ack_at.is_none() => Wake::Stored,
            order = stream.orders.recv(), if self.outgoing.len() < OUTGOING => Wake::Order(order),
            renewed = self.renewal.next(), if self.renewal.is_asking() => Wake::Renewed(renewed),
            Some(page) = self.pages.next(), if stream.outbox.is_empty() => Wake::Page(page),
            frame = self.opened.frames.message(), if self.reading => {
                Wake::Frame(frame.map(|frame| frame.map(Box::new)))
            }
            () = runtime::sleep_until(silence_at), if self.reading => Wake::Silence,
        }
    }

    /// Nothing is read while the application does not read, or too much waits
    /// behind gaps. That time does not count as the server's silence.
    fn note_reading(&mut self) {
        let reading = self.stream.outbox.is_empty() && !self.stream.tracker.is_full();
        if reading && !self.reading {
            self.heard = runtime::now();
        }
        self.reading = reading;
    }

    fn start_pages(&mut self) {
        while self.pages.len() < PAGES
            && let Some(request) = self.pages_waiting.pop_front()
        {
            let client = self.stream.client.clone();
            self.pages.push(Box::pin(async move {
                let page = gaps::page(&client, &request).await;
                (request, page)
            }));
        }
    }

    fn send_ack(&mut self) {
        let tracker = &self.stream.tracker;
        let (ack, left) = self.stream.shared.take_ack(|topic| tracker.reached(topic));
        if let Some(ack) = ack {
            self.send(connect_request::Frame::Ack(ack));
        }
        if left {
            self.ack_at = Some(runtime::now() + self.stream.options.ack_interval);
        }
    }

    pub(super) fn send(&mut self, frame: connect_request::Frame) {
        self.outgoing.push_back(ConnectRequest { frame: Some(frame) });
    }

    /// Says what is stored, ends the request side, and waits for the server's end.
    async fn leave(&mut self) {
        self.send_ack();
        let (out, _) = mpsc::channel(1);
        let out = std::mem::replace(&mut self.opened.out, out);
        let outgoing = std::mem::take(&mut self.outgoing);
        let frames: &mut Streaming<ConnectResponse> = &mut self.opened.frames;
        let farewell = async move {
            for frame in outgoing {
                if out.send(frame).await.is_err() {
                    return;
                }
            }
            drop(out);
            while let Ok(Some(_)) = frames.message().await {}
        };
        if runtime::timeout(LEAVE, farewell).await.is_err() {
            tracing::debug!("the server did not end the stream in time");
        }
    }
}

async fn until(deadline: Option<runtime::Instant>) {
    if let Some(deadline) = deadline {
        runtime::sleep_until(deadline).await;
    }
}

/// The end that a goodbye announces.
pub(super) fn farewell(goodbye: &Goodbye) -> End {
    let reason = Error::from_failure(&goodbye.failure.clone().unwrap_or_default());
    let retry_after = goodbye.retry_after.and_then(|delay| Duration::try_from(delay).ok());
    End::Lost { reason, retry_after }
}
