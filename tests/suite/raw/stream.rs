//! A stream by hand: frames of any bytes to the server, and whatever comes back.

use confab_proto::{
    conversations::v1::ConversationCursor,
    realtime::v1::{
        Call, ConnectRequest, Goodbye, Hello, Ping, Welcome, connect_request::Frame as Request,
        connect_response::Frame,
    },
};
use confab_tests::harness::{Checked, Violation, within};
use http_body_util::{BodyExt as _, StreamBody};
use prost::{Message as _, Name, bytes::Bytes};
use prost_types::Any;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, body::Body};

use super::{PATIENCE, Raw, Refused, framed, frames::Frames, reason_name};

pub(crate) const CONNECT: &str = "/confab.realtime.v1.RealtimeService/Connect";
pub(crate) const SUBSCRIBE: &str = "/confab.realtime.v1.RealtimeService/Subscribe";

/// The client's end of a stream.
pub(crate) struct Stream {
    /// `None` once the client has said all it will say.
    up: Option<mpsc::Sender<Bytes>>,
    down: Body,
    frames: Frames,
    status: Option<Status>,
}

/// How a stream ended: both tell the same.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) goodbye: Option<Goodbye>,
    pub(crate) refused: Refused,
}

impl Stream {
    /// Opens a stream and says nothing yet.
    pub(crate) async fn open(raw: &Raw) -> Checked<Self> {
        Self::open_at(raw, CONNECT).await
    }

    /// Subscribes with these bytes as the request.
    pub(crate) async fn subscribe(raw: &Raw, request: &[u8]) -> Checked<Self> {
        let mut stream = Self::open_at(raw, SUBSCRIBE).await?;
        stream.push(framed(request)).await?;
        stream.half_close();
        Ok(stream)
    }

    async fn open_at(raw: &Raw, path: &str) -> Checked<Self> {
        let (up, queue) = mpsc::channel::<Bytes>(64);
        let frames = ReceiverStream::new(queue).map(|b| Ok::<_, Status>(http_body::Frame::data(b)));
        let body = Body::new(StreamBody::new(frames));
        let response = within(PATIENCE, "the stream's head", raw.exchange(path, body)).await??;
        let status = Status::from_header_map(response.headers());
        Ok(Self { up: Some(up), down: response.into_body(), frames: Frames::default(), status })
    }

    /// Opens a stream, says hello, and takes the welcome.
    pub(crate) async fn welcomed(raw: &Raw, frame: Request) -> Checked<Self> {
        let mut stream = Self::open(raw).await?;
        stream.say(frame).await?;
        stream.welcome().await?;
        Ok(stream)
    }

    /// The welcome, which must come next.
    pub(crate) async fn welcome(&mut self) -> Checked<Welcome> {
        match self.next().await? {
            Some(Frame::Welcome(welcome)) => Ok(welcome),
            other => Err(Violation::broken(format!("no welcome but {other:?}, {:?}", self.status))),
        }
    }

    /// Sends a frame.
    pub(crate) async fn say(&mut self, frame: Request) -> Checked {
        let message = ConnectRequest { frame: Some(frame) };
        self.push(framed(&message.encode_to_vec())).await
    }

    /// Asks for a heartbeat and waits for it: the stream goes on.
    pub(crate) async fn is_alive(&mut self) -> Checked {
        self.say(Request::Ping(Ping {})).await?;
        self.until(|frame| matches!(frame, Frame::Heartbeat(_)).then_some(())).await
    }

    /// Sends bytes, whatever they are. A stream that has ended takes none, and
    /// says why when it is read.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Checked {
        if let Some(up) = &self.up {
            let _ended = within(PATIENCE, "room for a frame", up.send(bytes)).await?;
        }
        Ok(())
    }

    /// Says nothing more.
    pub(crate) fn half_close(&mut self) {
        self.up = None;
    }

    /// The next frame; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Checked<Option<Frame>> {
        within(PATIENCE, "the stream's next frame", self.read()).await?
    }

    async fn read(&mut self) -> Checked<Option<Frame>> {
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(Some(frame));
            }
            match self.down.frame().await {
                None => return Ok(None),
                Some(Err(status)) => {
                    let reset = format!("the stream was reset: {status:?}");
                    return Err(Violation::broken(reset));
                }
                Some(Ok(part)) => match part.into_data() {
                    Ok(data) => self.frames.add(&data),
                    Err(part) => {
                        self.status = part.trailers_ref().and_then(Status::from_header_map);
                    }
                },
            }
        }
    }

    /// Reads until a frame is what is looked for.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(Frame) -> Option<T>,
    ) -> Checked<T> {
        while let Some(frame) = self.next().await? {
            if let Some(found) = wanted(frame) {
                return Ok(found);
            }
        }
        Err(Violation::broken(format!("the stream ended early: {:?}", self.status)))
    }

    /// Reads to the end: the goodbye and the status must say the same.
    pub(crate) async fn ending(mut self) -> Checked<Ending> {
        let mut goodbye = None;
        while let Some(frame) = self.next().await? {
            Violation::unless(goodbye.is_none(), || format!("a frame after goodbye: {frame:?}"))?;
            if let Frame::Goodbye(last) = frame {
                goodbye = Some(last);
            }
        }
        let status = self.status.ok_or_else(|| Violation::broken("a stream without a status"))?;
        let refused = Refused::of(&status)?;
        if let Some(failure) = goodbye.as_ref().and_then(|goodbye| goodbye.failure.as_ref()) {
            let said = (Code::from_i32(failure.code), reason_name(failure.reason()));
            let same = said == (refused.code, refused.reason.clone());
            Violation::unless(same, || format!("goodbye says {said:?}, the status {refused:?}"))?;
        }
        Ok(Ending { goodbye, refused })
    }
}

/// A hello of a new device that watches these from their beginning.
pub(crate) fn hello(conversations: &[&str]) -> Request {
    let watch = conversations.iter().map(|id| watching(id, 0)).collect();
    Request::Hello(Hello { watch, ..Hello::default() })
}

/// A cursor in a conversation.
pub(crate) fn watching(id: &str, seq: u64) -> ConversationCursor {
    ConversationCursor { conversation_id: id.to_owned(), seq }
}

/// A call on the stream.
pub(crate) fn call<R: Name>(call_id: u64, request: &R) -> Request {
    let request = Any { type_url: R::type_url(), value: request.encode_to_vec() };
    Request::Call(Call { call_id, request: Some(request), timeout: None })
}
