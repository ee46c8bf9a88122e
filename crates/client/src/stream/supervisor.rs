//! The task behind a stream: connects, serves a connection until it is lost,
//! judges why, waits, connects again. What happens on a connection is `connection`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use confab_proto::realtime::v1::{
    ConnectRequest, ConnectResponse, Hello, Welcome, connect_request, connect_response::Frame,
    realtime_service_client::RealtimeServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{
    connection::{Connection, farewell},
    handle::{Order, Queued},
    options::{Resume, StreamOptions},
    shared::Shared,
    tracker::Tracker,
    update::{INBOX, Update},
    verdict::{End, Verdict, judge},
};
use crate::{
    backoff::Backoff,
    client::{Client, LARGEST_ANSWER},
    error::Error,
    runtime,
};

/// Frames to the server that wait for the network.
const OUTGOING: usize = 16;
/// Updates that wait for the application's queue before connecting again waits.
const OUTBOX: usize = 512;
/// Orders that are kept while a connection is being opened; all watches fit.
const DEFERRED: usize = 256;

pub(crate) struct Supervisor {
    pub(super) client: Client,
    pub(super) options: StreamOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) updates: mpsc::Sender<Result<Queued, Error>>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) tracker: Tracker,
    /// Came while a connection was being opened.
    pub(super) deferred: Vec<Order>,
    /// Received, and counted as such, but not in the application's queue yet.
    pub(super) outbox: VecDeque<Queued>,
    session: Option<String>,
    welcomed: bool,
    attempt: u32,
    backoff: Backoff,
    /// The last one that was shown.
    pub(super) token: Option<Arc<str>>,
    token_renewed: bool,
}

/// The token that was shown, and what came of it.
type Opening = (Option<Arc<str>>, Result<Opened, End>);

/// A stream that the server has welcomed.
pub(super) struct Opened {
    pub(super) out: mpsc::Sender<ConnectRequest>,
    pub(super) frames: Streaming<ConnectResponse>,
    pub(super) welcome: Welcome,
    /// The hello named a session.
    pub(super) by_session: bool,
}

impl Supervisor {
    pub(crate) fn new(
        client: Client,
        options: StreamOptions,
        shared: Arc<Shared>,
        updates: mpsc::Sender<Result<Queued, Error>>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let session = options.session.clone();
        let backoff = Backoff::new(options.first_retry, options.longest_retry);
        Self {
            client,
            options,
            shared,
            updates,
            orders,
            tracker: Tracker::default(),
            deferred: Vec::new(),
            outbox: VecDeque::new(),
            session,
            welcomed: false,
            attempt: 0,
            backoff,
            token: None,
            token_renewed: false,
        }
    }

    /// Runs until the application closes the stream or must do something itself.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.watch_options() {
            return self.fail(error).await;
        }
        loop {
            self.attempt += 1;
            let (reason, retry_after) = match self.connect_and_serve().await {
                End::Closed => return,
                End::Lost { reason, retry_after } => (reason, retry_after),
            };
            let Some(delay) = self.decide(&reason, retry_after).await else {
                return self.fail(reason).await;
            };
            tracing::debug!(%reason, delay_ms = delay.as_millis(), "stream lost");
            self.emit(Update::Disconnected { reason, retry_in: delay });
            if self.wait(delay).await.is_err() {
                return;
            }
        }
    }

    fn watch_options(&mut self) -> Result<(), Error> {
        for (conversation_id, cursor) in std::mem::take(&mut self.options.watch) {
            let epoch = self.shared.watch(&conversation_id, cursor)?;
            self.tracker.watch(&conversation_id, cursor, epoch);
        }
        if let Some(cursor) = self.options.inbox_cursor {
            let epoch = self.shared.watch(INBOX, cursor)?;
            self.tracker.watch(INBOX, cursor, epoch);
        }
        if self.session.is_some() {
            self.options.resume = Resume::Session;
        }
        Ok(())
    }

    async fn connect_and_serve(&mut self) -> End {
        let (token, opened) = match self.open_and_take_orders().await {
            Some(opened) => opened.unwrap_or((None, Err(End::lost(Error::TimedOut)))),
            None => return End::Closed,
        };
        self.token = token;
        let opened = match opened {
            Ok(opened) => opened,
            Err(end) => {
                for order in std::mem::take(&mut self.deferred) {
                    self.take_offline(order);
                }
                return end;
            }
        };
        let connected = Update::Connected {
            session_id: opened.welcome.session_id.clone(),
            user_id: opened.welcome.user_id.clone(),
            attempt: std::mem::take(&mut self.attempt),
        };
        tracing::debug!(session = %opened.welcome.session_id, "stream connected");
        self.emit(connected);
        self.session = Some(opened.welcome.session_id.clone());
        let adopt = !std::mem::replace(&mut self.welcomed, true);
        self.token_renewed = false;
        Connection::new(self, opened).run(adopt).await
    }

    /// Opens a connection. Orders that come meanwhile are kept: the hello is under
    /// way already. `None`: closed.
    async fn open_and_take_orders(&mut self) -> Option<Result<Opening, runtime::Elapsed>> {
        let (hello, by_session) = self.hello();
        let opening = open(self.client.clone(), hello, by_session);
        let opening = runtime::timeout(self.options.connect_timeout, opening);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                () = self.updates.closed() => return None,
                opened = &mut opening => return Some(opened),
                order = self.orders.recv(), if self.deferred.len() < DEFERRED => {
                    self.deferred.push(order?);
                }
            }
        }
    }

    fn hello(&mut self) -> (Hello, bool) {
        let by_session = self.options.resume == Resume::Session;
        if by_session && let Some(session_id) = self.session.clone() {
            self.tracker.begin();
            return (
                Hello { session_id, presence: self.options.presence.clone(), ..Hello::default() },
                true,
            );
        }
        self.tracker.begin();
        let mut watch = self.tracker.cursors();
        for cursor in &mut watch {
            if by_session {
                // The new session must not count as stored what only was received.
                let stored = self.shared.stored(&cursor.conversation_id);
                cursor.seq = cursor.seq.min(stored.unwrap_or(cursor.seq));
                self.tracker.resume_at(&cursor.conversation_id, cursor.seq);
            }
            self.shared.server_knows(&cursor.conversation_id, cursor.seq);
        }
        let mut inbox_seq = self.tracker.received(INBOX);
        if by_session && let Some(stored) = self.shared.stored(INBOX) {
            inbox_seq = inbox_seq.map(|received| received.min(stored));
            self.tracker.resume_at(INBOX, inbox_seq.unwrap_or(stored));
        }
        if let Some(inbox_seq) = inbox_seq {
            self.shared.server_knows(INBOX, inbox_seq);
        }
        let presence = self.options.presence.clone();
        (Hello { watch, inbox_seq, presence, ..Hello::default() }, false)
    }

    /// The delay before the next try; `None` when the stream ends.
    async fn decide(&mut self, reason: &Error, retry_after: Option<Duration>) -> Option<Duration> {
        match judge(reason, retry_after) {
            Verdict::Stop => None,
            Verdict::Reconnect => Some(retry_after.unwrap_or_else(|| self.backoff.advance())),
            Verdict::RenewToken => {
                if !self.client.tokens().can_refresh() || self.token_renewed {
                    return None;
                }
                self.token_renewed = true;
                if let Some(token) = self.token.take() {
                    self.client.tokens().forget(&token).await;
                }
                Some(Duration::ZERO)
            }
            Verdict::DropSession => {
                let knows_cursors = self.welcomed
                    || self.tracker.watches() > 0
                    || self.tracker.received(INBOX).is_some();
                if !self.options.fall_back_to_cursors || !knows_cursors || self.session.is_none() {
                    return None;
                }
                self.session = None;
                Some(Duration::ZERO)
            }
        }
    }

    /// The connection does its work: start from the shortest delay next time.
    pub(super) fn made_progress(&mut self) {
        self.backoff.reset();
    }

    /// Queues an update that belongs to no watch.
    pub(super) fn emit(&mut self, update: Update) {
        self.outbox.push_back(Queued { watch: None, update });
    }

    /// Waits without a connection; orders are taken, calls fail. An error: closed.
    async fn wait(&mut self, delay: Duration) -> Result<(), ()> {
        let until = runtime::now() + delay;
        loop {
            let order = tokio::select! {
                biased;
                () = self.updates.closed() => return Err(()),
                permit = self.updates.reserve(), if !self.outbox.is_empty() => {
                    let permit = permit.map_err(drop)?;
                    if let Some(queued) = self.outbox.pop_front() {
                        permit.send(Ok(queued));
                    }
                    continue;
                }
                order = self.orders.recv() => order.ok_or(())?,
                () = runtime::sleep_until(until), if self.outbox.len() < OUTBOX => return Ok(()),
            };
            self.take_offline(order);
        }
    }

    fn take_offline(&mut self, order: Order) {
        match order {
            Order::Watch { topic, cursor, epoch } => self.tracker.watch(&topic, cursor, epoch),
            Order::Unwatch { topic } => self.tracker.unwatch(&topic),
            Order::Call { answer, .. } => {
                // Whoever asked may have stopped waiting; then there is nobody to tell.
                let _ = answer.send(Err(Error::Transport("the stream is not connected".into())));
            }
        }
    }

    /// Ends the stream with an error, after everything that was received.
    async fn fail(mut self, error: Error) {
        while let Some(queued) = self.outbox.pop_front() {
            if self.updates.send(Ok(queued)).await.is_err() {
                return;
            }
        }
        // A closed queue: the application does not want to know.
        let _ = self.updates.send(Err(error)).await;
    }
}

async fn open(client: Client, hello: Hello, by_session: bool) -> Opening {
    let token = match client.tokens().get().await {
        Ok(token) => token,
        Err(error) => return (None, Err(End::lost(error))),
    };
    (token, connect(&client, hello, by_session).await)
}

async fn connect(client: &Client, hello: Hello, by_session: bool) -> Result<Opened, End> {
    let (out, requests) = mpsc::channel(OUTGOING);
    let frame = Some(connect_request::Frame::Hello(hello));
    out.try_send(ConnectRequest { frame })
        .map_err(|_| End::lost(Error::Transport("the stream broke at once".to_owned())))?;
    // A connection of its own: a stalled reader must not stall anybody's calls.
    let mut realtime = RealtimeServiceClient::new(client.fresh_transport())
        .max_decoding_message_size(LARGEST_ANSWER);
    let answer = realtime.connect(ReceiverStream::new(requests)).await;
    let mut frames = answer.map_err(|status| End::lost(status.into()))?.into_inner();
    let first = frames.message().await.map_err(|status| End::lost(status.into()))?;
    match first.and_then(|response| response.frame) {
        Some(Frame::Welcome(welcome)) => Ok(Opened { out, frames, welcome, by_session }),
        Some(Frame::Goodbye(goodbye)) => Err(farewell(&goodbye)),
        Some(_) => Err(End::lost(Error::Protocol("the first frame is no welcome".to_owned()))),
        None => Err(End::lost(Error::Transport("the stream ended at once".to_owned()))),
    }
}
