//! A realtime stream without the reference client: it does what the contract
//! asks of a client and no more, and finds whatever the server does wrong.

use std::{collections::BTreeMap, time::Duration};

use confab_client::Client;
use confab_proto::{
    conversations::v1::ConversationCursor,
    messages::v1::Event,
    realtime::v1::{
        Ack, AcknowledgeRequest, ConnectRequest, ConnectResponse, Goodbye, Hello, SubscribeRequest,
        Welcome, connect_request, connect_response::Frame,
        realtime_service_client::RealtimeServiceClient,
    },
};
use confab_tests::harness::{Checked, Violation};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use super::support::once;

/// How long a stream may be silent when something is due.
pub(crate) const SILENCE: Duration = Duration::from_secs(20);

/// How a stream is opened. Both promise the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Connect,
    Subscribe,
}

/// What a stream brought, for whoever watches.
#[derive(Debug)]
pub(crate) enum Brought {
    /// The next event; the cursor plus one.
    Event(Box<Event>),
    /// The watch is over, with the reason's number.
    Ended(String, i32),
    /// Anything else.
    Other(Box<Frame>),
    /// The connection is gone; `Goodbye` if the server said so.
    Gone(Option<Box<Goodbye>>),
}

/// An open stream and the cursors of what it brought.
pub(crate) struct RawStream {
    /// `None` where the client has no way up.
    requests: Option<mpsc::Sender<ConnectRequest>>,
    client: Client,
    frames: Streaming<ConnectResponse>,
    /// Pages gaps.
    pager: Client,
    /// A silence as long as this ends the stream instead of the test.
    stalls_after: Option<Duration>,
    pub(crate) cursors: BTreeMap<String, u64>,
    pub(crate) welcome: Welcome,
    /// Events of a gap that were paged and not handed out yet.
    paged: Vec<Event>,
    goodbye: Option<Box<Goodbye>>,
    /// Gaps that were announced.
    pub(crate) gaps: u64,
}

impl RawStream {
    /// Says hello with these cursors. `Err` inside when the connection fails.
    pub(crate) async fn watch(
        client: &Client,
        cursors: &BTreeMap<String, u64>,
    ) -> Checked<Result<Self, Status>> {
        Self::open(client, Way::Connect, from_cursors(cursors)).await
    }

    /// Resumes a session: the server says from where.
    pub(crate) async fn resume(client: &Client, session_id: &str) -> Checked<Result<Self, Status>> {
        Self::open(client, Way::Connect, from_session(session_id)).await
    }

    pub(crate) async fn open(
        client: &Client,
        way: Way,
        hello: Hello,
    ) -> Checked<Result<Self, Status>> {
        let opening = async {
            let answer = match way {
                Way::Connect => connect(client, hello).await,
                Way::Subscribe => subscribe(client, hello).await.map(|frames| (None, frames)),
            };
            let (requests, mut frames) = match answer {
                Ok(answer) => answer,
                Err(status) => return Ok(Err(status)),
            };
            let first = match frames.message().await {
                Ok(Some(first)) => first.frame,
                Ok(None) => return Ok(Err(tonic::Status::unavailable("no first frame"))),
                Err(status) => return Ok(Err(status)),
            };
            match first {
                Some(Frame::Welcome(welcome)) => {
                    let watching = welcome.watching.iter();
                    let cursors = watching.map(|at| (at.conversation_id.clone(), at.seq)).collect();
                    Ok(Ok(Self {
                        requests,
                        client: client.clone(),
                        frames,
                        pager: client.clone(),
                        stalls_after: None,
                        cursors,
                        welcome,
                        paged: Vec::new(),
                        goodbye: None,
                        gaps: 0,
                    }))
                }
                Some(Frame::Goodbye(goodbye)) => {
                    let why = goodbye.failure.unwrap_or_default();
                    Ok(Err(tonic::Status::new(why.code.into(), why.message)))
                }
                other => Err(Violation::broken(format!("the first frame is {other:?}"))),
            }
        };
        match tokio::time::timeout(SILENCE, opening).await {
            Ok(opened) => opened,
            Err(_) => Ok(Err(tonic::Status::deadline_exceeded("no welcome"))),
        }
    }

    /// On a bad network: gaps are paged by another client, and silence is an end.
    pub(crate) fn over_bad_network(mut self, pager: &Client, stalls_after: Duration) -> Self {
        self.pager = pager.clone();
        self.stalls_after = Some(stalls_after);
        self
    }

    /// Waits for what comes next. Events are dense, and gaps are paged, or it is a
    /// violation; so is a silence.
    pub(crate) async fn next(&mut self) -> Checked<Brought> {
        if !self.paged.is_empty() {
            return self.hand_out(self.paged[0].clone()).inspect(|_| drop(self.paged.remove(0)));
        }
        let silence = self.stalls_after.unwrap_or(SILENCE);
        let frame = match tokio::time::timeout(silence, self.frames.message()).await {
            Ok(frame) => frame,
            Err(_) if self.stalls_after.is_some() => return Ok(Brought::Gone(None)),
            Err(_) => return Err(Violation::broken("a stream is silent")),
        };
        let frame = match frame {
            Ok(Some(ConnectResponse { frame: Some(frame) })) => frame,
            Ok(Some(_)) => return Err(Violation::broken("an empty frame")),
            Ok(None) | Err(_) => return Ok(Brought::Gone(self.goodbye.take())),
        };
        match frame {
            Frame::Event(event) => self.hand_out(event),
            Frame::Gap(gap) if !gap.conversation_id.is_empty() => {
                self.page(&gap.conversation_id, gap.from_seq, gap.to_seq).await?;
                if self.paged.is_empty() {
                    // Hidden: an absence.
                    self.cursors.insert(gap.conversation_id.clone(), gap.to_seq);
                    return Ok(Brought::Other(Box::new(Frame::Gap(gap))));
                }
                Box::pin(self.next()).await
            }
            Frame::WatchEnded(ended) => {
                let reason = ended.failure.map_or(0, |failure| failure.reason);
                Ok(Brought::Ended(ended.conversation_id, reason))
            }
            Frame::Goodbye(goodbye) => {
                self.goodbye = Some(Box::new(goodbye));
                Box::pin(self.next()).await
            }
            Frame::Synced(synced) => {
                let cursor = self.cursors.get(&synced.conversation_id);
                Violation::unless(cursor.is_none_or(|cursor| *cursor == synced.seq), || {
                    format!("synced at {}, but the cursor is {cursor:?}", synced.seq)
                })?;
                Ok(Brought::Other(Box::new(Frame::Synced(synced))))
            }
            other => Ok(Brought::Other(Box::new(other))),
        }
    }

    fn hand_out(&mut self, event: Event) -> Checked<Brought> {
        let Some(cursor) = self.cursors.get_mut(&event.conversation_id) else {
            let text = format!("an event of {}, not watched", event.conversation_id);
            return Err(Violation::broken(text));
        };
        Violation::unless(event.seq == *cursor + 1, || {
            format!("a stream brings event {} after event {cursor}", event.seq)
        })?;
        *cursor = event.seq;
        Ok(Brought::Event(Box::new(event)))
    }

    async fn page(&mut self, id: &str, from: u64, to: u64) -> Checked {
        let cursor = self.cursors.get(id).copied().unwrap_or(0);
        Violation::unless(from == cursor + 1 && to >= from, || {
            format!("a gap from {from} to {to} after event {cursor}")
        })?;
        self.gaps += 1;
        let mut after = cursor;
        while after < to {
            let (page, _) = self.pager.events_after(id, after, 500).await?;
            let Some(last) = page.last().map(|event| event.seq) else { break };
            after = last;
            self.paged.extend(page.into_iter().filter(|event| event.seq <= to));
        }
        Ok(())
    }

    /// Says that everything brought so far is stored. A connection that is gone says
    /// so to the reader; a refusal is a violation.
    pub(crate) async fn ack(&self) -> Checked {
        let cursors = self.cursors.iter().map(|(id, seq)| cursor(id, *seq)).collect();
        if let Some(requests) = &self.requests {
            let ack = connect_request::Frame::Ack(Ack { cursors, inbox_seq: None });
            let _gone = requests.send(ConnectRequest { frame: Some(ack) }).await;
            return Ok(());
        }
        let session_id = self.welcome.session_id.clone();
        let acknowledge = AcknowledgeRequest { session_id, cursors, inbox_seq: None };
        let patience = self.stalls_after.unwrap_or(SILENCE);
        let acknowledged = once(&self.client, acknowledge);
        match tokio::time::timeout(patience, acknowledged).await {
            Ok(Err(refused)) if !refused.is_retryable() => {
                Err(Violation::broken(format!("an acknowledgement: {refused}")))
            }
            _ => Ok(()),
        }
    }
}

/// A hello with these cursors.
pub(crate) fn from_cursors(cursors: &BTreeMap<String, u64>) -> Hello {
    let watch = cursors.iter().map(|(id, seq)| cursor(id, *seq)).collect();
    Hello { watch, ..Hello::default() }
}

/// A hello that resumes a session.
pub(crate) fn from_session(session_id: &str) -> Hello {
    Hello { session_id: session_id.to_owned(), ..Hello::default() }
}

type Frames = Streaming<ConnectResponse>;

async fn connect(
    client: &Client,
    hello: Hello,
) -> Result<(Option<mpsc::Sender<ConnectRequest>>, Frames), Status> {
    let (requests, outgoing) = mpsc::channel(16);
    let hello = connect_request::Frame::Hello(hello);
    // The channel is new and open.
    let _sent = requests.send(ConnectRequest { frame: Some(hello) }).await;
    let mut realtime = RealtimeServiceClient::new(client.transport());
    let answer = realtime.connect(ReceiverStream::new(outgoing)).await?;
    Ok((Some(requests), answer.into_inner()))
}

/// Read as what Connect responds: both have the same frames.
async fn subscribe(client: &Client, hello: Hello) -> Result<Frames, Status> {
    let mut grpc = Grpc::new(client.transport());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = Request::new(SubscribeRequest { hello: Some(hello) });
    let path =
        http::uri::PathAndQuery::from_static("/confab.realtime.v1.RealtimeService/Subscribe");
    let codec = ProstCodec::<SubscribeRequest, ConnectResponse>::default();
    Ok(grpc.server_streaming(request, path, codec).await?.into_inner())
}

fn cursor(id: &str, seq: u64) -> ConversationCursor {
    ConversationCursor { conversation_id: id.to_owned(), seq }
}
