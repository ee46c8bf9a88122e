//! A client that sees raw frames and the status that ends a stream, whichever way
//! the stream was opened.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use confab_kit::{
    error::{Error, Reason},
    identity::Caller,
};
use confab_proto::{
    conversations::v1::ConversationCursor,
    method::RpcRequest,
    realtime::v1::{
        Ack, AcknowledgeRequest, AcknowledgeResponse, ConnectRequest, ConnectResponse, Goodbye,
        Hello, SubscribeRequest, Welcome, connect_request, connect_response::Frame,
    },
};
use confab_realtime::RealtimeServer;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Status, body::Body};
use tower::Service as _;

/// Of paused time.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a stream is opened. Both promise the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Connect,
    Subscribe,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Connect, Self::Subscribe];
}

/// What the server says.
#[derive(Debug)]
pub(crate) enum Said {
    Frame(Box<Frame>),
    /// Trailers.
    Status(Status),
    /// The body broke off.
    Reset,
}

/// See the module.
pub(crate) struct Client {
    server: RealtimeServer,
    caller: Caller,
    way: Way,
    up: Option<mpsc::UnboundedSender<Bytes>>,
    down: Body,
    buffer: BytesMut,
    pub(crate) welcome: Welcome,
}

impl Client {
    pub(crate) async fn open(mut server: RealtimeServer, caller: Caller, way: Way) -> Self {
        let (up, mut frames) = mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |context| {
            frames
                .poll_recv(context)
                .map(|bytes| bytes.map(|b| Ok::<_, Status>(http_body::Frame::data(b))))
        });
        let mut request = http::Request::new(Body::new(StreamBody::new(frames)));
        let path = format!("/confab.realtime.v1.RealtimeService/{way:?}");
        *request.uri_mut() = path.parse().expect("a uri");
        request.extensions_mut().insert(caller.clone());
        let response = server.call(request).await.expect("infallible");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        Self {
            server,
            caller,
            way,
            up: Some(up),
            down: response.into_body(),
            buffer: BytesMut::new(),
            welcome: Welcome::default(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&self, bytes: impl Into<Bytes>) {
        // A stream that is over takes nothing, as over a network.
        let _ = self.up.as_ref().expect("open").send(bytes.into());
    }

    /// Sends a frame, which only one of the ways allows.
    pub(crate) fn send(&self, frame: connect_request::Frame) {
        assert_eq!(self.way, Way::Connect, "a subscription has one request");
        self.send_bytes(framed(&ConnectRequest { frame: Some(frame) }));
    }

    pub(crate) fn hello(&mut self, hello: Hello) {
        match self.way {
            Way::Connect => self.send(connect_request::Frame::Hello(hello)),
            Way::Subscribe => {
                self.send_bytes(framed(&SubscribeRequest { hello: Some(hello) }));
                self.half_close();
            }
        }
    }

    /// Says what is stored, and on a subscription waits for the answer.
    pub(crate) async fn ack(
        &self,
        cursors: Vec<ConversationCursor>,
        inbox_seq: Option<u64>,
    ) -> Result<(), Error> {
        if self.way == Way::Connect {
            self.send(connect_request::Frame::Ack(Ack { cursors, inbox_seq }));
            return Ok(());
        }
        let session_id = self.welcome.session_id.clone();
        let request = AcknowledgeRequest { session_id, cursors, inbox_seq };
        let answer: Result<AcknowledgeResponse, Error> =
            unary(self.server.clone(), &self.caller, &request).await;
        answer.map(|_| ())
    }

    /// Takes whatever comes from now on, until it is dropped.
    pub(crate) fn linger(mut self) -> Lingering {
        let reading = async move { while let Said::Frame(_) = self.said().await {} };
        Lingering(confab_kit::task::spawn("client", reading))
    }

    /// Says nothing more, but listens on.
    pub(crate) fn half_close(&mut self) {
        self.up = None;
    }

    /// Whatever comes next, within minutes of paused time.
    pub(crate) async fn said(&mut self) -> Said {
        timeout(PATIENCE, self.read()).await.expect("the server says something")
    }

    async fn read(&mut self) -> Said {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().expect("4 bytes"));
                let length = usize::try_from(length).expect("fits");
                if self.buffer.len() >= 5 + length {
                    assert_eq!(self.buffer[0], 0, "not compressed");
                    self.buffer.advance(5);
                    let message = self.buffer.split_to(length).freeze();
                    let response = ConnectResponse::decode(message).expect("decodes");
                    return Said::Frame(Box::new(response.frame.expect("a frame")));
                }
            }
            match self.down.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().expect("trailers");
                        return Said::Status(Status::from_header_map(&trailers).expect("a status"));
                    }
                },
                Some(Err(_)) => return Said::Reset,
                None => panic!("the body ended without trailers"),
            }
        }
    }

    /// The next frame that is no heartbeat.
    pub(crate) async fn next(&mut self) -> Frame {
        let next = async {
            loop {
                match self.said().await {
                    Said::Frame(frame) if matches!(*frame, Frame::Heartbeat(_)) => {}
                    Said::Frame(frame) => return *frame,
                    other => panic!("a frame was expected: {other:?}"),
                }
            }
        };
        timeout(PATIENCE, next).await.expect("more than heartbeats")
    }

    /// Whether nothing but heartbeats comes for this long.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.next()).await.is_err()
    }

    pub(crate) async fn welcomed(&mut self) {
        match self.next().await {
            Frame::Welcome(welcome) => self.welcome = welcome,
            other => panic!("a welcome was expected: {other:?}"),
        }
    }

    /// Takes frames until everything is synced: the inbox and so many watches.
    pub(crate) async fn synced(&mut self, watches: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut left = watches + 1;
        while left > 0 {
            let frame = self.next().await;
            if matches!(frame, Frame::Synced(_)) {
                left -= 1;
            } else {
                frames.push(frame);
            }
        }
        frames
    }

    /// The seq of the next frame, which must be an event.
    pub(crate) async fn event(&mut self) -> u64 {
        match self.next().await {
            Frame::Event(event) => event.seq,
            other => panic!("an event was expected: {other:?}"),
        }
    }

    /// The goodbye that comes next, and that the status says the same.
    pub(crate) async fn goodbye(&mut self) -> (Reason, Goodbye) {
        let goodbye = loop {
            if let Frame::Goodbye(goodbye) = self.next().await {
                break goodbye;
            }
        };
        let error = Error::from_failure(goodbye.failure.as_ref().expect("a failure"));
        match self.said().await {
            Said::Status(status) => {
                assert_eq!(Error::from_status(&status).reason(), error.reason());
                assert_eq!(status.code(), error.code());
            }
            other => panic!("trailers were expected: {other:?}"),
        }
        (error.reason(), goodbye)
    }

    /// The reason of the goodbye that comes next.
    pub(crate) async fn farewell(&mut self) -> Reason {
        self.goodbye().await.0
    }

    /// The end of a watch that comes next.
    pub(crate) async fn watch_ended(&mut self) -> (String, Reason) {
        match self.next().await {
            Frame::WatchEnded(ended) => {
                let error = Error::from_failure(ended.failure.as_ref().expect("a failure"));
                (ended.conversation_id, error.reason())
            }
            other => panic!("the end of a watch was expected: {other:?}"),
        }
    }
}

/// A stream that nobody looks at, and that is read all the same.
pub(crate) struct Lingering(tokio::task::JoinHandle<()>);

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn framed(message: &impl prost::Message) -> Bytes {
    let message = message.encode_to_vec();
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).expect("short"));
    bytes.extend_from_slice(&message);
    bytes.freeze()
}

/// Makes a unary call to the service itself, as the caller that the layers have proven.
pub(crate) async fn unary<R, A>(
    mut server: RealtimeServer,
    caller: &Caller,
    request: &R,
) -> Result<A, Error>
where
    R: RpcRequest,
    A: prost::Message + Default,
{
    let body = http_body_util::Full::new(framed(request)).map_err(|never| match never {});
    let mut call = http::Request::new(Body::new(body));
    *call.uri_mut() = R::METHOD.path.parse().expect("a uri");
    *call.method_mut() = http::Method::POST;
    call.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    call.extensions_mut().insert(caller.clone());
    let (head, body) = server.call(call).await.expect("infallible").into_parts();
    let body = body.collect().await.expect("a body");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&trailers).or(Status::from_header_map(&head.headers));
    let status = status.expect("a status");
    if status.code() != tonic::Code::Ok {
        return Err(Error::from_status(&status));
    }
    Ok(A::decode(body.to_bytes().slice(5..)).expect("decodes"))
}
