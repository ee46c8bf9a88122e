//! The application's side of a stream: `EventStream` to read, `StreamHandle` for
//! everything else. The connection's side is `supervisor`.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use confab_proto::messages::v1::Message;
use prost::Name as _;
use prost_types::Any;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    shared::Shared,
    update::{Cursors, INBOX, Topic, Update},
};
use crate::{
    client::{Client, SendOptions},
    error::Error,
    rpc::{Command, Rpc},
    runtime,
    shortcuts::{IntoContent, missing, send_request},
};

/// Larger requests go beside the stream: a frame holds at most 64 KiB.
const LARGEST_CALL: usize = 60 << 10;
/// How long an orderly close may take.
const CLOSE: Duration = Duration::from_secs(5);

/// An update on its way to the application, with the watch that it belongs to.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) watch: Option<(Topic, u64)>,
    pub(crate) update: Update,
}

/// What the application asks of the connection.
#[derive(Debug)]
pub(crate) enum Order {
    Watch { topic: Topic, cursor: u64, epoch: u64 },
    Unwatch { topic: Topic },
    Call { request: Any, timeout: Duration, answer: oneshot::Sender<Result<Any, Error>> },
}

/// A supervised stream of updates. It connects, resumes and fills gaps by itself,
/// and ends only when it is closed or with an error that needs the application.
///
/// It is bounded: when the application does not read, the queue fills and nothing
/// more is read from the network. The server then ends the connection of its slow
/// consumer, and the stream takes it up again where it was once the application
/// reads. Answers to [`StreamHandle::call`] wait in the same line, so read in one
/// task and call in another.
#[derive(Debug)]
pub struct EventStream {
    handle: StreamHandle,
    updates: mpsc::Receiver<Result<Queued, Error>>,
    supervisor: JoinHandle<()>,
    auto_ack: bool,
    /// Given to the application, and stored when it comes back.
    given: Option<(Topic, u64)>,
}

/// Everything but reading. Cheap to clone; usable from any task.
#[derive(Clone, Debug)]
pub struct StreamHandle {
    client: Client,
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    send_over_stream: bool,
}

impl StreamHandle {
    pub(crate) fn new(
        client: Client,
        orders: mpsc::Sender<Order>,
        shared: Arc<Shared>,
        send_over_stream: bool,
    ) -> Self {
        Self { client, orders, shared, send_over_stream }
    }

    /// Watches a conversation from the last event that was applied (0: from the
    /// beginning). One that is watched already starts anew there.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] above 200 conversations, [`Error::Closed`].
    pub async fn watch(
        &self,
        conversation_id: impl Into<String>,
        cursor: u64,
    ) -> Result<(), Error> {
        let topic = conversation_id.into();
        if topic == INBOX {
            return Err(Error::InvalidOptions("a conversation needs an id".to_owned()));
        }
        let epoch = self.shared.watch(&topic, cursor)?;
        self.order(Order::Watch { topic, cursor, epoch }).await
    }

    /// Stops watching a conversation. Nothing more comes of it, not even what has
    /// been received already.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn unwatch(&self, conversation_id: impl Into<String>) -> Result<(), Error> {
        let topic = conversation_id.into();
        self.shared.unwatch(&topic);
        self.order(Order::Unwatch { topic }).await
    }

    /// Says that everything of a conversation up to `seq` is stored. Needed only
    /// without [`auto_ack`](crate::StreamOptions::auto_ack). Sent soon, together
    /// with others; never above what the application was given.
    pub fn ack(&self, conversation_id: &str, seq: u64) {
        self.shared.store(conversation_id, seq);
    }

    /// [`StreamHandle::ack`] for the inbox.
    pub fn ack_inbox(&self, inbox_seq: u64) {
        self.shared.store(INBOX, inbox_seq);
    }

    /// The last events that the application was given.
    pub fn cursors(&self) -> Cursors {
        self.shared.cursors()
    }

    /// How many frames the server sent twice on one connection. They are passed
    /// over; a correct server sends none.
    pub fn duplicates(&self) -> u64 {
        self.shared.duplicates()
    }

    /// Makes a unary call over the stream, once.
    ///
    /// # Errors
    /// As the RPC; [`Error::Transport`] when the stream is not connected, or breaks
    /// before the answer.
    pub async fn call<R: Rpc>(&self, request: R) -> Result<R::Response, Error> {
        self.attempt(request, Duration::from_secs(10)).await
    }

    /// Sends a command over the stream, and again with the same ids while its
    /// outcome is not known: [`Client::command`] by another way.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn command<C: Command>(&self, command: C) -> Result<C::Response, Error> {
        let attempt = |command, limit| self.attempt(command, limit);
        self.client.run_command(command, SendOptions::default(), attempt).await
    }

    /// Sends a message, over the stream if
    /// [`send_over_stream`](crate::StreamOptions::send_over_stream) says so.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn send(
        &self,
        conversation_id: impl Into<String>,
        content: impl IntoContent,
    ) -> Result<Message, Error> {
        let request = send_request(conversation_id, content);
        let answer = if self.send_over_stream {
            self.command(request).await?
        } else {
            self.client.command(request).await?
        };
        answer.message.ok_or_else(|| missing("message"))
    }

    async fn attempt<R: Rpc>(&self, request: R, timeout: Duration) -> Result<R::Response, Error> {
        if request.encoded_len() > LARGEST_CALL {
            return self.client.attempt(request, timeout).await;
        }
        let (answer, answered) = oneshot::channel();
        let request = Any { type_url: R::type_url(), value: request.encode_to_vec() };
        let answered = async {
            self.order(Order::Call { request, timeout, answer }).await?;
            answered.await.unwrap_or(Err(Error::Closed))
        };
        let answer = runtime::timeout(timeout, answered).await.unwrap_or(Err(Error::TimedOut))?;
        let full_name = answer.type_url.rsplit('/').next().unwrap_or_default();
        if full_name != R::Response::full_name() {
            let text = format!("{full_name} came as the answer of {}", R::METHOD.path);
            return Err(Error::Protocol(text));
        }
        prost::Message::decode(answer.value.as_slice())
            .map_err(|error| Error::Protocol(error.to_string()))
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Closed)
    }
}

impl EventStream {
    pub(crate) fn new(
        handle: StreamHandle,
        updates: mpsc::Receiver<Result<Queued, Error>>,
        supervisor: JoinHandle<()>,
        auto_ack: bool,
    ) -> Self {
        Self { handle, updates, supervisor, auto_ack, given: None }
    }

    /// Waits for the next update. `None` after the stream has ended; an error is
    /// always the last thing before. Asking for the next update says that the one
    /// before is stored, unless `auto_ack` is off. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        poll_fn(|context| self.poll_update(context)).await
    }

    fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Update, Error>>> {
        self.store_given();
        loop {
            let queued = match ready!(self.updates.poll_recv(context)) {
                Some(Ok(queued)) => queued,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let Queued { watch, update } = queued;
            let Some((topic, epoch)) = watch else { return Poll::Ready(Some(Ok(update))) };
            let seq = cursor_after(&update);
            if !self.handle.shared.give(&topic, epoch, seq) {
                // Of a watch that has ended or begun anew since.
                continue;
            }
            if matches!(update, Update::WatchEnded { .. }) {
                self.handle.shared.unwatch(&topic);
            }
            self.given = seq.map(|seq| (topic, seq));
            return Poll::Ready(Some(Ok(update)));
        }
    }

    fn store_given(&mut self) {
        if let Some((topic, seq)) = self.given.take()
            && self.auto_ack
        {
            self.handle.shared.store(&topic, seq);
        }
    }

    /// A handle for other tasks.
    pub fn handle(&self) -> StreamHandle {
        self.handle.clone()
    }

    /// As [`StreamHandle::watch`].
    ///
    /// # Errors
    /// As [`StreamHandle::watch`].
    pub async fn watch(
        &self,
        conversation_id: impl Into<String>,
        cursor: u64,
    ) -> Result<(), Error> {
        self.handle.watch(conversation_id, cursor).await
    }

    /// As [`StreamHandle::unwatch`].
    ///
    /// # Errors
    /// As [`StreamHandle::unwatch`].
    pub async fn unwatch(&self, conversation_id: impl Into<String>) -> Result<(), Error> {
        self.handle.unwatch(conversation_id).await
    }

    /// As [`StreamHandle::ack`].
    pub fn ack(&self, conversation_id: &str, seq: u64) {
        self.handle.ack(conversation_id, seq);
    }

    /// As [`StreamHandle::call`].
    ///
    /// # Errors
    /// As [`StreamHandle::call`].
    pub async fn call<R: Rpc>(&self, request: R) -> Result<R::Response, Error> {
        self.handle.call(request).await
    }

    /// The last events that the application was given.
    pub fn cursors(&self) -> Cursors {
        self.handle.cursors()
    }

    /// Ends the stream: the last update counts as stored, what is stored is
    /// acknowledged, and the connection is closed.
    pub async fn close(mut self) {
        self.store_given();
        self.updates.close();
        while self.updates.try_recv().is_ok() {}
        drop(self.updates);
        if runtime::timeout(CLOSE, &mut self.supervisor).await.is_err() {
            self.supervisor.abort();
        }
    }
}

impl futures_core::Stream for EventStream {
    type Item = Result<Update, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_update(context)
    }
}

/// The cursor that an update moves to.
fn cursor_after(update: &Update) -> Option<u64> {
    match update {
        Update::Event(event) => Some(event.seq),
        Update::Inbox(event) => Some(event.inbox_seq),
        Update::Hidden { to_seq, .. } => Some(*to_seq),
        _ => None,
    }
}
