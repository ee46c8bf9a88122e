//! Where a stream's client frames come from. `Connect` sends one after another;
//! `Subscribe` has one request, the hello, and then nothing: whatever else its
//! client has to say comes by unary calls. Nothing behind this file knows which.

use confab_proto::realtime::v1::{ConnectRequest, SubscribeRequest, connect_request::Frame};
use prost::Message as _;

use crate::{
    error::Error,
    reader::{FrameReader, Part},
};

/// How a stream was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both ways.
    Connect,
    /// One request, many responses.
    Subscribe,
}

/// What came next.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A frame.
    Frame(ConnectRequest),
    /// The client has said all it will say and waits for the rest.
    HalfClosed,
    /// The client, or the way to it, is gone.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
    way: Way,
    frames: FrameReader,
    subscribed: bool,
}

impl Way {
    /// The way of a path, if it is one.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        match path {
            "/confab.realtime.v1.RealtimeService/Connect" => Some(Self::Connect),
            "/confab.realtime.v1.RealtimeService/Subscribe" => Some(Self::Subscribe),
            _ => None,
        }
    }

    /// The RPC's name.
    pub(crate) fn rpc(self) -> &'static str {
        match self {
            Self::Connect => "Connect",
            Self::Subscribe => "Subscribe",
        }
    }
}

impl Source {
    pub(crate) fn new(way: Way, frames: FrameReader) -> Self {
        Self { way, frames, subscribed: false }
    }

    /// What comes next. A call that is dropped loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Incoming, Error> {
        let bytes = match self.frames.next().await? {
            Part::Frame(bytes) => bytes,
            Part::Gone => return Ok(Incoming::Gone),
            // The request of a subscription ends with its one message: this says
            // nothing of the client, which is heard of no more from this side.
            Part::Ended if self.subscribed => std::future::pending().await,
            Part::Ended => return Ok(Incoming::HalfClosed),
        };
        match self.way {
            Way::Connect => {
                ConnectRequest::decode(bytes).map(Incoming::Frame).map_err(Error::MalformedFrame)
            }
            Way::Subscribe if self.subscribed => {
                Err(Error::BrokenFrame("a subscription has one request"))
            }
            Way::Subscribe => {
                let request = SubscribeRequest::decode(bytes).map_err(Error::MalformedFrame)?;
                self.subscribed = true;
                Ok(Incoming::Frame(ConnectRequest { frame: request.hello.map(Frame::Hello) }))
            }
        }
    }

    /// Takes and forgets whatever comes, for as long as it is awaited.
    pub(crate) async fn drain(&mut self) -> std::convert::Infallible {
        self.frames.drain().await
    }
}
