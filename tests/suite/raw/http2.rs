//! HTTP/2 without a client on top: who holds a connection decides what is
//! read of it, and when, down to the windows and the socket.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use confab_proto::{
    method::RpcRequest,
    realtime::v1::{
        ConnectRequest, SubscribeRequest, connect_request::Frame as Request,
        connect_response::Frame,
    },
};
use confab_tests::harness::{Checked, Violation, within};
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use prost::{Message as _, bytes::Bytes};
use tokio::{net::TcpSocket, sync::Notify, task::JoinHandle};
use tonic::Status;

use super::{
    PATIENCE, framed,
    frames::Frames,
    stream::{CONNECT, SUBSCRIBE},
};

/// Longest until a reset; a second of it is the server's patience, and ten of one that passes
/// the stream on.
const RESET: Duration = Duration::from_secs(20);

/// What the other side may send before anything is read, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) connection: u32,
    pub(crate) stream: u32,
    /// The kernel's part.
    pub(crate) socket: u32,
}

impl Windows {
    /// Plenty for the connection, little for each stream.
    pub(crate) const USUAL: Self = Self { connection: 64 << 20, stream: 65_535, socket: 1 << 20 };
}

/// Whose door a connection leads to, and so what is spoken on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// gRPC.
    Public,
    /// grpc-web, of which no client streams up.
    Gateway,
}

/// One connection.
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    door: Door,
    authorization: String,
    frozen: Arc<Notify>,
    driver: JoinHandle<()>,
}

/// The client's end of one stream; it reads nothing by itself.
pub(crate) struct Reader {
    up: SendStream<Bytes>,
    down: RecvStream,
    frames: Frames,
}

/// What came next on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Data,
    End,
    Reset,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, token: &str, windows: Windows) -> Checked<Self> {
        Self::open_at(Door::Public, address, token, windows).await
    }

    pub(crate) async fn open_at(
        door: Door,
        address: SocketAddr,
        token: &str,
        windows: Windows,
    ) -> Checked<Self> {
        let socket = TcpSocket::new_v4().map_err(Violation::unable)?;
        socket.set_recv_buffer_size(windows.socket).map_err(Violation::unable)?;
        let stream = socket.connect(address).await.map_err(Violation::unable)?;
        let (requests, mut connection) = h2::client::Builder::new()
            .initial_connection_window_size(windows.connection)
            .initial_window_size(windows.stream)
            .handshake(stream)
            .await
            .map_err(Violation::unable)?;
        let frozen = Arc::new(Notify::new());
        let freeze = Arc::clone(&frozen);
        let driver = tokio::spawn(async move {
            tokio::select! {
                _ended = &mut connection => {}
                () = freeze.notified() => std::future::pending().await,
            }
        });
        Ok(Self { requests, door, authorization: format!("Bearer {token}"), frozen, driver })
    }

    /// From now on nothing is read from the socket, which stays open.
    pub(crate) fn freeze(&self) {
        self.frozen.notify_one();
    }

    /// Opens a stream and says hello.
    pub(crate) async fn watch(&self, hello: Request) -> Checked<Reader> {
        if let (Door::Gateway, Request::Hello(hello)) = (self.door, &hello) {
            let request = SubscribeRequest { hello: Some(hello.clone()) };
            return self.open_stream(SUBSCRIBE, Some(framed(&request.encode_to_vec()))).await;
        }
        let mut reader = self.mute().await?;
        reader.say(hello)?;
        Ok(reader)
    }

    /// Opens a stream and says nothing.
    pub(crate) async fn mute(&self) -> Checked<Reader> {
        self.open_stream(CONNECT, None).await
    }

    /// Makes a unary call; the head of its answer has come.
    pub(crate) async fn call<R: RpcRequest>(&self, request: &R) -> Checked<Reader> {
        self.open_stream(R::METHOD.path, Some(framed(&request.encode_to_vec()))).await
    }

    async fn open_stream(&self, path: &str, whole: Option<Bytes>) -> Checked<Reader> {
        let (host, content_type) = match self.door {
            Door::Public => ("confab", "application/grpc"),
            // In dev mode it answers for this machine only.
            Door::Gateway => ("localhost", "application/grpc-web+proto"),
        };
        let request = http::Request::post(format!("http://{host}{path}"))
            .header("content-type", content_type)
            .header("te", "trailers")
            .header("authorization", &self.authorization)
            .body(())
            .map_err(Violation::unable)?;
        let opening = async {
            let mut requests = self.requests.clone().ready().await?;
            let (answer, mut up) = requests.send_request(request, false)?;
            if let Some(whole) = whole {
                up.send_data(whole, true)?;
            }
            Ok((up, answer.await?.into_body()))
        };
        let opened = within(PATIENCE, "the head of a stream", opening).await?;
        let (up, down) = opened.map_err(|error: h2::Error| Violation::broken(error.to_string()))?;
        Ok(Reader { up, down, frames: Frames::default() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Reader {
    /// Reads on to the next frame; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Checked<Option<Frame>> {
        within(PATIENCE, "the next frame", self.read_on()).await?
    }

    async fn read_on(&mut self) -> Checked<Option<Frame>> {
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(Some(frame));
            }
            match self.read().await? {
                Taken::Data => {}
                Taken::End => return Ok(None),
                Taken::Reset => return Err(Violation::broken("a stream was reset")),
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
        Err(Violation::broken("a stream ended early"))
    }

    /// Says something.
    pub(crate) fn say(&mut self, frame: Request) -> Checked {
        let message = ConnectRequest { frame: Some(frame) }.encode_to_vec();
        let said = self.up.send_data(framed(&message), false);
        said.map_err(|error| Violation::broken(error.to_string()))
    }

    /// Says nothing more, in a frame of its own.
    pub(crate) fn half_close(&mut self) -> Checked {
        let said = self.up.send_data(Bytes::new(), true);
        said.map_err(|error| Violation::broken(error.to_string()))
    }

    /// Reads to the end, whenever that is: the frames that were left, and the status.
    pub(crate) async fn ending(mut self) -> Checked<(Vec<Frame>, Option<Status>)> {
        let mut frames = Vec::new();
        while let Some(frame) = self.read_on().await? {
            frames.push(frame);
        }
        let trailers = within(PATIENCE, "the trailers", self.down.trailers()).await?;
        let trailers = trailers.map_err(|error| Violation::broken(error.to_string()))?;
        Ok((frames, trailers.as_ref().and_then(Status::from_header_map)))
    }

    /// Takes the data that comes next.
    pub(crate) async fn read(&mut self) -> Checked<Taken> {
        let lost = |error: h2::Error| Violation::broken(format!("a stream broke: {error}"));
        let data = match self.down.data().await {
            None => return Ok(Taken::End),
            Some(Err(error)) if error.is_reset() => return Ok(Taken::Reset),
            Some(data) => data.map_err(lost)?,
        };
        self.frames.add(&data);
        self.down.flow_control().release_capacity(data.len()).map_err(lost)?;
        Ok(Taken::Data)
    }

    /// Waits for `RST_STREAM`, and reads nothing.
    pub(crate) async fn reset(&mut self) -> Checked<Reason> {
        let reset = poll_fn(|context| self.up.poll_reset(context));
        let reset = within(RESET, "RST_STREAM for a reader that does not read", reset).await?;
        reset.map_err(|error| Violation::broken(format!("the connection was lost: {error}")))
    }
}
