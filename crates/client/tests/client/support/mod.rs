//! A server whose every answer a test decides: it holds logs to page, a script of
//! answers to commands, and hands each stream that is opened to the test.

mod proxy;
mod services;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_client::{
    Client, ClientOptions, Error, EventStream, StreamOptions, Update,
    proto::{
        conversations::v1::conversations_service_server::ConversationsServiceServer,
        errors::v1::{Failure, Reason},
        messages::v1::{
            Content, Event, Message, SendMessageRequest, event::Kind,
            messages_service_server::MessagesServiceServer,
        },
        participants::v1::{InboxEvent, participants_service_server::ParticipantsServiceServer},
        realtime::v1::{
            Ack, ConnectRequest, ConnectResponse, Gap, Goodbye, Hello, Synced, Welcome,
            connect_request, connect_response::Frame,
            realtime_service_server::RealtimeServiceServer,
        },
    },
};
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{
    Code, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) use proxy::Proxy;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const ROOM: &str = "00000000000000000000000000000001";

/// What the fake knows and was asked.
#[derive(Default)]
pub(crate) struct State {
    /// What `ListEvents` pages.
    pub(crate) log: BTreeMap<u64, Event>,
    /// What `ListInboxEvents` pages.
    pub(crate) inbox: BTreeMap<u64, InboxEvent>,
    /// Answers to sends, the first first; afterwards they succeed.
    pub(crate) send_script: VecDeque<Answer>,
    /// Sends as they came.
    pub(crate) sends: Vec<SendMessageRequest>,
    /// The tokens of all unary calls, in order.
    pub(crate) tokens: Vec<String>,
    /// How often `GetConversation` was asked.
    pub(crate) looked: usize,
    /// How far the reader has read.
    pub(crate) read_seq: u64,
    /// Only this token is accepted, if any.
    pub(crate) accepted_token: Option<String>,
}

/// How the fake answers a send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// With a failure, having done nothing.
    Refuse(Reason, Code),
    /// For the caller's budget, with the delay after which it may pass.
    RefuseFor(Duration),
    /// With a failure, having done it.
    DoAndRefuse(Reason, Code),
    /// Not at all, having done it.
    DoAndHang,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) state: Arc<Mutex<State>>,
    streams: mpsc::Sender<FakeStream>,
    pub(crate) moved: Arc<tokio::sync::Notify>,
}

/// One stream that a client opened.
pub(crate) struct FakeStream {
    pub(crate) token: String,
    incoming: Streaming<ConnectRequest>,
    out: mpsc::Sender<Result<ConnectResponse, Status>>,
}

/// The test's end of the server.
pub(crate) struct Running {
    pub(crate) fake: Fake,
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<FakeStream>,
}

impl Fake {
    pub(crate) async fn start() -> Running {
        let (streams, receiver) = mpsc::channel(64);
        let moved = Arc::default();
        let fake = Self { state: Arc::default(), streams, moved };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let server = Server::builder()
            .add_service(RealtimeServiceServer::new(fake.clone()))
            .add_service(MessagesServiceServer::new(fake.clone()))
            .add_service(ConversationsServiceServer::new(fake.clone()))
            .add_service(ParticipantsServiceServer::new(fake.clone()))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::spawn(server);
        Running { fake, address, streams: receiver }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an event of any kind to the log.
    pub(crate) fn append(&self, event: Event) {
        self.state().log.insert(event.seq, event);
        self.moved.notify_waiters();
    }
}

impl Running {
    pub(crate) async fn client(&self) -> Client {
        self.client_of("token-of-alice").await
    }

    pub(crate) async fn client_of(&self, token: &str) -> Client {
        client_at(self.address, token).await
    }

    /// The next stream that a client opens.
    pub(crate) async fn accept(&mut self) -> FakeStream {
        within(self.streams.recv()).await.expect("the server runs")
    }

    /// Accepts a stream and welcomes it; returns its hello too.
    pub(crate) async fn welcome(&mut self) -> (FakeStream, Hello) {
        let mut stream = self.accept().await;
        let hello = stream.hello().await;
        stream.send(welcome()).await;
        (stream, hello)
    }

    /// A second end that accepts no streams.
    pub(crate) fn split(&self) -> Self {
        let (_, streams) = mpsc::channel(1);
        Self { fake: self.fake.clone(), address: self.address, streams }
    }

    /// The next stream, however long it takes.
    pub(crate) async fn next_stream(&mut self) -> Option<FakeStream> {
        self.streams.recv().await
    }

    /// No stream is waiting to be accepted.
    pub(crate) fn nobody_waits(&mut self) -> bool {
        self.streams.try_recv().is_err()
    }
}

pub(crate) async fn client_at(address: SocketAddr, token: &str) -> Client {
    let options = ClientOptions::new(format!("http://{address}")).token(token);
    Client::connect(options).await.expect("a client")
}

impl FakeStream {
    pub(crate) async fn send(&mut self, frame: Frame) {
        let sent = self.out.send(Ok(ConnectResponse { frame: Some(frame) })).await;
        sent.expect("the client reads");
    }

    /// Sends, and does not mind that the client is gone.
    pub(crate) async fn try_send(&mut self, frame: Frame) -> bool {
        self.out.send(Ok(ConnectResponse { frame: Some(frame) })).await.is_ok()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.out.is_closed()
    }

    pub(crate) async fn fail(&mut self, status: Status) {
        self.out.send(Err(status)).await.expect("the client reads");
    }

    pub(crate) async fn frame(&mut self) -> Option<connect_request::Frame> {
        let request = within(self.incoming.message()).await.ok().flatten()?;
        Some(request.frame.expect("a frame"))
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.frame().await {
            Some(connect_request::Frame::Hello(hello)) => hello,
            other => panic!("no hello: {other:?}"),
        }
    }

    pub(crate) async fn ack(&mut self) -> Ack {
        match self.frame().await {
            Some(connect_request::Frame::Ack(ack)) => ack,
            other => panic!("no ack: {other:?}"),
        }
    }
}

impl FakeStream {
    /// Serves one stream as a server should: replays from the hello's cursor, then
    /// goes on live; what is more than 20 events behind is a gap.
    pub(crate) async fn serve_well(mut self, fake: &Fake) {
        let Ok(hello) = tokio::time::timeout(Duration::from_secs(1), self.hello()).await else {
            return;
        };
        let mut cursor = hello.watch[0].seq;
        let user_id = self.token.replace("token-of-", "");
        let session_id = "session-1".into();
        let welcome = Welcome { session_id, user_id, ..Welcome::default() };
        let mut open = self.try_send(Frame::Welcome(welcome)).await;
        let mut live = false;
        while open && !self.is_gone() {
            let notified = fake.moved.notified();
            let log = fake.state().log.clone();
            let head = log.last_key_value().map_or(0, |(seq, _)| *seq);
            if head > cursor + 20 {
                open &= self.try_send(gap(cursor + 1, head - 5)).await;
                cursor = head - 5;
            }
            for (_, event) in log.range(cursor + 1..) {
                open = open && self.try_send(Frame::Event(event.clone())).await;
            }
            cursor = head;
            open = open && (live || self.try_send(synced(cursor)).await);
            live = true;
            // A look from time to time finds out that the client is gone.
            let _ = tokio::time::timeout(Duration::from_millis(50), notified).await;
        }
    }
}

/// Streams that come back at once, so that tests take milliseconds.
pub(crate) fn options(cursor: u64) -> StreamOptions {
    StreamOptions {
        inbox_cursor: Some(0),
        ack_interval: Duration::from_millis(5),
        first_retry: Duration::from_millis(2),
        longest_retry: Duration::from_millis(20),
        ..StreamOptions::default().watching(ROOM, cursor)
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

pub(crate) async fn next(stream: &mut EventStream) -> Update {
    within(stream.next()).await.expect("the stream goes on").expect("no error")
}

pub(crate) async fn next_error(stream: &mut EventStream) -> Error {
    loop {
        if let Err(error) = within(stream.next()).await.expect("an error comes first") {
            return error;
        }
    }
}

/// The seqs of the next `count` events, other updates passed over.
pub(crate) async fn seqs(stream: &mut EventStream, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        if let Update::Event(event) = next(stream).await {
            seqs.push(event.seq);
        }
    }
    seqs
}

pub(crate) fn welcome() -> Frame {
    Frame::Welcome(Welcome {
        session_id: "session-1".into(),
        user_id: "alice".into(),
        ..Welcome::default()
    })
}

pub(crate) fn event(seq: u64) -> Frame {
    Frame::Event(message(seq, "bob", &format!("number {seq}")))
}

pub(crate) fn message(seq: u64, sender: &str, text: &str) -> Event {
    let time = Some(prost_types::Timestamp {
        seconds: 43_380 + i64::try_from(seq % 60).unwrap_or(0),
        nanos: 0,
    });
    let message = Message {
        conversation_id: ROOM.into(),
        seq,
        ordinal: seq,
        sender_id: sender.into(),
        request_id: format!("request-{seq}"),
        content: Some(Content { text: text.into(), ..Content::default() }),
        create_time: time,
        applied_seq: seq,
        ..Message::default()
    };
    Event {
        conversation_id: ROOM.into(),
        seq,
        create_time: time,
        actor_id: sender.into(),
        request_id: message.request_id.clone(),
        ordinal: seq,
        kind: Some(Kind::MessageCreated(message)),
    }
}

pub(crate) fn inbox(inbox_seq: u64) -> InboxEvent {
    InboxEvent { inbox_seq, conversation_id: ROOM.into(), ..InboxEvent::default() }
}

pub(crate) fn gap(from_seq: u64, to_seq: u64) -> Frame {
    Frame::Gap(Gap { conversation_id: ROOM.into(), from_seq, to_seq })
}

pub(crate) fn synced(seq: u64) -> Frame {
    Frame::Synced(Synced { conversation_id: ROOM.into(), seq })
}

pub(crate) fn goodbye(reason: Reason, code: Code, retry_after: Option<Duration>) -> Frame {
    Frame::Goodbye(Goodbye {
        failure: Some(failure(reason, code)),
        retry_after: retry_after.map(|delay| delay.try_into().expect("a short delay")),
    })
}

pub(crate) fn failure(reason: Reason, code: Code) -> Failure {
    Failure { code: code.into(), message: "no".into(), reason: reason.into(), details: Vec::new() }
}

/// The refusal of a call or a stream that comes too early.
pub(crate) fn too_early(delay: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "confab", []);
    details.set_retry_info(Some(delay));
    Status::with_error_details(Code::ResourceExhausted, "too early", details)
}

pub(crate) fn status(reason: Reason, code: Code) -> Status {
    let name = reason.as_str_name().trim_start_matches("REASON_");
    let details = ErrorDetails::with_error_info(
        name,
        "confab",
        [("etag", "7")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    Status::with_error_details(code, "no", details)
}
