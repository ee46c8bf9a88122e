//! `Client`: the connection, the raw generated clients, and the two ways every
//! call takes, `call` and `command`. Convenience on top is in `shortcuts`.

use std::{sync::Arc, time::Duration};

use confab_proto::{
    conversations::v1::{
        GetConversationRequest, conversations_service_client::ConversationsServiceClient,
    },
    errors::v1::Reason,
    messages::v1::messages_service_client::MessagesServiceClient,
    participants::v1::participants_service_client::ParticipantsServiceClient,
};
use http::uri::PathAndQuery;
use tonic::{Code, Request, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::{
    error::{Error, Unsettled},
    heads::Heads,
    retry::retry,
    rpc::{Command, Ids, Rpc},
    runtime,
    token::{TokenSource, Tokens},
    transport::{BoxError, Target, Transport},
};

/// An answer with 500 events of the largest size fits.
pub(crate) const LARGEST_ANSWER: usize = 64 << 20;
/// Who is told so may not know a conversation's head.
const REFUSED: [Code; 3] = [Code::InvalidArgument, Code::NotFound, Code::PermissionDenied];

/// How to reach Confab, and as whom.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    target: Result<Target, String>,
    token: Option<TokenSource>,
    connect_timeout: Duration,
    deadline: Duration,
}

impl ClientOptions {
    /// A server by its URI: `http://host:port`.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            target: Err(uri.into()),
            token: None,
            connect_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
        }
    }

    /// Anything that answers gRPC requests: a router in the same process, a
    /// channel with other layers. Streams share it instead of opening a
    /// connection of their own.
    pub fn over<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error: Into<BoxError>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self { target: Ok(Target::service(service)), ..Self::new("") }
    }

    /// Who the client is. Without it only public calls work.
    #[must_use]
    pub fn token(mut self, token: impl Into<TokenSource>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How long one attempt to connect may take. 10 s unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call or command is tried, all tries together. 30 s unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

/// How a command is sent, where the defaults do not do.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// Absent: a fresh UUID. Give the id of an earlier try to settle it.
    pub request_id: Option<String>,
    /// Absent with a fresh request id: the highest seq that this client knows of
    /// the conversation, asked for when it knows none. Absent with a request id
    /// given here: 0, because only whoever tried first knows the right one. Then
    /// the command is idempotent within the conversation's last 1,000 events, and
    /// with the `after_seq` of its first try for ever.
    pub after_seq: Option<u64>,
    /// Absent: the client's deadline. All tries together.
    pub deadline: Option<Duration>,
}

/// A client of Confab. Cheap to clone; clones share the connection, the token
/// and what is known of the conversations' heads.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    target: Target,
    transport: Transport,
    tokens: Arc<Tokens>,
    heads: Heads,
    deadline: Duration,
}

impl Client {
    /// Makes a client. The token source is asked for the first token; the server
    /// is connected to at the first call.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] when the URI cannot be one, [`Error::Token`] when
    /// the token source fails.
    pub async fn connect(options: ClientOptions) -> Result<Self, Error> {
        let target = match options.target {
            Ok(target) => target,
            Err(uri) => Target::endpoint(&uri, options.connect_timeout)?,
        };
        let tokens = Arc::new(Tokens::new(options.token));
        tokens.get().await?;
        let transport = target.open(&tokens);
        let heads = Heads::default();
        let deadline = options.deadline;
        Ok(Self(Arc::new(Shared { target, transport, tokens, heads, deadline })))
    }

    /// The generated client of the conversations service. It does not retry.
    pub fn conversations(&self) -> ConversationsServiceClient<Transport> {
        ConversationsServiceClient::new(self.0.transport.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The generated client of the messages service. It does not retry.
    pub fn messages(&self) -> MessagesServiceClient<Transport> {
        MessagesServiceClient::new(self.0.transport.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The generated client of the participants service. It does not retry.
    pub fn participants(&self) -> ParticipantsServiceClient<Transport> {
        ParticipantsServiceClient::new(self.0.transport.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The authenticated channel, for generated clients of other services.
    pub fn transport(&self) -> Transport {
        self.0.transport.clone()
    }

    /// Makes a unary call, and again while the server cannot be reached, until the
    /// client's deadline. Every unary RPC of Confab may be repeated.
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's reason; [`Error::Transport`] or
    /// [`Error::TimedOut`] when no answer came until the deadline.
    pub async fn call<R: Rpc>(&self, request: R) -> Result<R::Response, Error> {
        self.call_within(&request, self.0.deadline).await
    }

    async fn call_within<R: Rpc>(
        &self,
        request: &R,
        budget: Duration,
    ) -> Result<R::Response, Error> {
        let answer = retry(budget, &self.0.tokens, |limit| self.attempt(request.clone(), limit));
        answer.await.map_err(|gave_up| gave_up.error)
    }

    /// Sends a command with one set of ids, and again with the same ids while its
    /// outcome is not known, until the client's deadline. The answer is settled.
    ///
    /// A request id that is in the command already is kept, with its `after_seq`.
    ///
    /// # Errors
    /// [`Error::Refused`]: it did not happen. [`Error::Unsettled`]: the deadline
    /// passed and it may have happened. [`Error::Transport`]: it was never sent.
    pub async fn command<C: Command>(&self, command: C) -> Result<C::Response, Error> {
        self.command_with(command, SendOptions::default()).await
    }

    /// [`Client::command`] with ids or a deadline of the caller's choice.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn command_with<C: Command>(
        &self,
        command: C,
        options: SendOptions,
    ) -> Result<C::Response, Error> {
        self.run_command(command, options, |command, limit| self.attempt(command, limit)).await
    }

    /// The one place where a command gets its ids and is repeated under them.
    pub(crate) async fn run_command<C, F, Fut>(
        &self,
        mut command: C,
        options: SendOptions,
        mut attempt: F,
    ) -> Result<C::Response, Error>
    where
        C: Command,
        F: FnMut(C, Duration) -> Fut,
        Fut: Future<Output = Result<C::Response, Error>>,
    {
        let deadline = runtime::now() + options.deadline.unwrap_or(self.0.deadline);
        let ids = self.fix_ids(&command, &options, deadline).await?;
        command.set_ids(&ids);
        let budget = deadline.saturating_duration_since(runtime::now());
        let answer = retry(budget, &self.0.tokens, |limit| attempt(command.clone(), limit)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(gave_up) if gave_up.outcome_open => {
                let Ids { request_id, after_seq } = ids;
                let last = gave_up.error;
                return Err(Error::Unsettled(Box::new(Unsettled { request_id, after_seq, last })));
            }
            Err(gave_up) => {
                // A server that was set back to an older backup: ask it next time.
                if gave_up.error.reason() == Some(Reason::AfterSeqAboveHead)
                    && let Some(conversation_id) = command.conversation_id()
                {
                    self.0.heads.forget(conversation_id);
                }
                return Err(gave_up.error);
            }
        };
        if let Some((conversation_id, seq)) = command.head(&answer) {
            self.note_head(&conversation_id, seq);
        }
        Ok(answer)
    }

    async fn fix_ids<C: Command>(
        &self,
        command: &C,
        options: &SendOptions,
        deadline: runtime::Instant,
    ) -> Result<Ids, Error> {
        let given = command.ids();
        if let Some(request_id) = options.request_id.clone() {
            return Ok(Ids { request_id, after_seq: options.after_seq.unwrap_or(given.after_seq) });
        }
        if !given.request_id.is_empty() {
            return Ok(Ids { after_seq: options.after_seq.unwrap_or(given.after_seq), ..given });
        }
        let after_seq = match (options.after_seq, command.conversation_id()) {
            (Some(after_seq), _) => after_seq,
            (None, None) => 0,
            (None, Some(conversation_id)) => self.head(conversation_id, deadline).await?,
        };
        Ok(Ids { request_id: runtime::request_id(), after_seq })
    }

    /// The highest known seq of a conversation; asks when none is known. 0 when
    /// the caller may not know of the conversation: the command will be refused.
    async fn head(&self, conversation_id: &str, deadline: runtime::Instant) -> Result<u64, Error> {
        if let Some(seq) = self.0.heads.get(conversation_id) {
            return Ok(seq);
        }
        let budget = deadline.saturating_duration_since(runtime::now());
        let request = GetConversationRequest { conversation_id: conversation_id.to_owned() };
        let seq = match self.call_within(&request, budget).await {
            Ok(answer) => answer.as_of_seq,
            // The command's own answer says best what is wrong.
            Err(Error::Refused(refusal)) if REFUSED.contains(&refusal.code) => return Ok(0),
            Err(error) => return Err(error),
        };
        self.note_head(conversation_id, seq);
        Ok(seq)
    }

    /// Makes a unary call once, with this deadline: no second try, no ids.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Transport`] or [`Error::TimedOut`].
    pub async fn call_once<R: Rpc>(
        &self,
        request: R,
        deadline: Duration,
    ) -> Result<R::Response, Error> {
        let answer = runtime::timeout(deadline, self.attempt(request, deadline)).await;
        answer.unwrap_or(Err(Error::TimedOut))
    }

    /// One try of a unary call; the caller watches the clock.
    pub(crate) async fn attempt<R: Rpc>(
        &self,
        request: R,
        limit: Duration,
    ) -> Result<R::Response, Error> {
        let mut grpc =
            Grpc::new(self.0.transport.clone()).max_decoding_message_size(LARGEST_ANSWER);
        grpc.ready().await.map_err(|error| Error::Transport(error.to_string()))?;
        let mut request = Request::new(request);
        request.set_timeout(limit);
        let path = PathAndQuery::from_static(R::METHOD.path);
        let codec = ProstCodec::<R, R::Response>::default();
        Ok(grpc.unary(request, path, codec).await?.into_inner())
    }

    /// Remembers that a conversation has an event `seq`, for the `after_seq` of
    /// later commands. Streams and helpers of this client do it by themselves.
    pub fn note_head(&self, conversation_id: &str, seq: u64) {
        self.0.heads.note(conversation_id, seq);
    }

    pub(crate) fn tokens(&self) -> &Arc<Tokens> {
        &self.0.tokens
    }

    /// A transport with a connection of its own, so that a reader that stops does
    /// not stop anybody's calls.
    pub(crate) fn fresh_transport(&self) -> Transport {
        self.0.target.open(&self.0.tokens)
    }
}
