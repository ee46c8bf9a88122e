//! A client that sees raw frames and the status that ends a stream.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use confab_kit::{
    error::{Error, Reason},
    identity::Caller,
};
use confab_proto::realtime::v1::{
    ConnectRequest, ConnectResponse, Goodbye, Hello, Welcome, connect_request,
    connect_response::Frame,
};
use confab_realtime::RealtimeServer;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Status, body::Body};
use tower::Service as _;

/// Of paused time.
const PATIENCE: Duration = Duration::from_mins(5);

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
    up: Option<mpsc::UnboundedSender<Bytes>>,
    down: Body,
    buffer: BytesMut,
    pub(crate) welcome: Welcome,
}

impl Client {
    pub(crate) async fn connect(mut server: RealtimeServer, caller: Caller) -> Self {
        let (up, mut frames) = mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |context| {
            frames
                .poll_recv(context)
                .map(|bytes| bytes.map(|b| Ok::<_, Status>(http_body::Frame::data(b))))
        });
        let mut request = http::Request::new(Body::new(StreamBody::new(frames)));
        *request.uri_mut() = "/confab.realtime.v1.RealtimeService/Connect".parse().expect("a uri");
        request.extensions_mut().insert(caller);
        let response = server.call(request).await.expect("infallible");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        Self {
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

    pub(crate) fn send(&self, frame: connect_request::Frame) {
        let message = ConnectRequest { frame: Some(frame) }.encode_to_vec();
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(message.len()).expect("short"));
        bytes.extend_from_slice(&message);
        self.send_bytes(bytes);
    }

    pub(crate) fn hello(&self, hello: Hello) {
        self.send(connect_request::Frame::Hello(hello));
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
