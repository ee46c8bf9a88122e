//! The generated services, answered from the fake's state.

use std::{future::Future, pin::Pin};

use confab_client::proto::{
    conversations::v1::{conversations_service_server::ConversationsService, *},
    messages::v1::{event::Kind, messages_service_server::MessagesService, *},
    participants::v1::{participants_service_server::ParticipantsService, *},
    realtime::v1::{
        AcknowledgeRequest, AcknowledgeResponse, ConnectRequest, ConnectResponse,
        EndSessionRequest, EndSessionResponse, ListSessionsRequest, ListSessionsResponse,
        RevokeUserRequest, RevokeUserResponse, SendTypingRequest, SendTypingResponse,
        SetPresenceRequest, SetPresenceResponse, SubscribeRequest, SubscribeResponse,
        realtime_service_server::RealtimeService,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Answer, Fake, FakeStream, ROOM, message, status, too_early};
use confab_client::proto::errors::v1::Reason;

type Answered<T> = Result<Response<T>, Status>;

/// RPCs that no test needs.
macro_rules! refuse {
    ($($name:ident: $request:ty => $response:ty;)*) => {$(
        fn $name<'life0, 'async_trait>(
            &'life0 self,
            _: Request<$request>,
        ) -> Pin<Box<dyn Future<Output = Answered<$response>> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented("not in the fake")) })
        }
    )*};
}

fn token_of<T>(request: &Request<T>) -> String {
    let value = request.metadata().get("authorization");
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.trim_start_matches("Bearer ").to_owned()
}

impl Fake {
    fn admit<T>(&self, request: Request<T>) -> Result<T, Status> {
        let token = token_of(&request);
        let mut state = self.state();
        let accepted = state.accepted_token.as_ref().is_none_or(|accepted| *accepted == token);
        state.tokens.push(token);
        if !accepted {
            return Err(status(Reason::TokenExpired, Code::Unauthenticated));
        }
        Ok(request.into_inner())
    }

    fn head(&self) -> u64 {
        self.state().log.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// Appends unless the request id is there already.
    fn append_once(&self, request_id: &str, actor: &str, kind: impl FnOnce(u64) -> Event) -> u64 {
        let known = |event: &&Event| event.request_id == request_id && event.actor_id == actor;
        if let Some(event) = self.state().log.values().find(known) {
            return event.seq;
        }
        let seq = self.head() + 1;
        self.append(Event { request_id: request_id.into(), ..kind(seq) });
        seq
    }

    fn append_message(&self, request: &SendMessageRequest, actor: &str) -> Message {
        let text = request.content.clone().unwrap_or_default().text;
        let seq = self.append_once(&request.request_id, actor, |seq| {
            let mut event = message(seq, actor, &text);
            if let Some(Kind::MessageCreated(message)) = &mut event.kind {
                message.request_id.clone_from(&request.request_id);
            }
            event
        });
        match self.state().log[&seq].kind.clone() {
            Some(Kind::MessageCreated(message)) => message,
            _ => Message::default(),
        }
    }
}

#[tonic::async_trait]
impl RealtimeService for Fake {
    type ConnectStream = ReceiverStream<Result<ConnectResponse, Status>>;
    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;

    refuse! {
        subscribe: SubscribeRequest => Self::SubscribeStream;
        acknowledge: AcknowledgeRequest => AcknowledgeResponse;
        list_sessions: ListSessionsRequest => ListSessionsResponse;
        end_session: EndSessionRequest => EndSessionResponse;
        revoke_user: RevokeUserRequest => RevokeUserResponse;
        send_typing: SendTypingRequest => SendTypingResponse;
        set_presence: SetPresenceRequest => SetPresenceResponse;
    }

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Answered<Self::ConnectStream> {
        let token = token_of(&request);
        let (out, answers) = mpsc::channel(16);
        let stream = FakeStream { token, incoming: request.into_inner(), out };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

#[tonic::async_trait]
impl MessagesService for Fake {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Answered<SendMessageResponse> {
        let actor = token_of(&request).replace("token-of-", "");
        let request = self.admit(request)?;
        let answer = {
            let mut state = self.state();
            state.sends.push(request.clone());
            state.send_script.pop_front()
        };
        match answer {
            Some(Answer::Refuse(reason, code)) => return Err(status(reason, code)),
            Some(Answer::RefuseFor(delay)) => return Err(too_early(delay)),
            _ => {}
        }
        let message = Some(self.append_message(&request, &actor));
        match answer {
            Some(Answer::DoAndRefuse(reason, code)) => Err(status(reason, code)),
            Some(Answer::DoAndHang) => std::future::pending().await,
            _ => Ok(Response::new(SendMessageResponse { message })),
        }
    }

    async fn edit_message(
        &self,
        request: Request<EditMessageRequest>,
    ) -> Answered<EditMessageResponse> {
        let actor = token_of(&request).replace("token-of-", "");
        let request = self.admit(request)?;
        let seq = self.append_once(&request.request_id, &actor, |seq| Event {
            kind: Some(Kind::MessageEdited(MessageEdited {
                message_seq: request.message_seq,
                content: request.content.clone(),
            })),
            ..message(seq, &actor, "")
        });
        Ok(Response::new(EditMessageResponse { seq }))
    }

    async fn delete_message(
        &self,
        request: Request<DeleteMessageRequest>,
    ) -> Answered<DeleteMessageResponse> {
        let actor = token_of(&request).replace("token-of-", "");
        let request = self.admit(request)?;
        let seq = self.append_once(&request.request_id, &actor, |seq| Event {
            kind: Some(Kind::MessageDeleted(MessageDeleted { message_seq: request.message_seq })),
            ..message(seq, &actor, "")
        });
        Ok(Response::new(DeleteMessageResponse { seq }))
    }

    async fn add_reaction(
        &self,
        request: Request<AddReactionRequest>,
    ) -> Answered<AddReactionResponse> {
        let actor = token_of(&request).replace("token-of-", "");
        let request = self.admit(request)?;
        let seq = self.append_once(&request.request_id, &actor, |seq| Event {
            kind: Some(Kind::ReactionAdded(ReactionAdded {
                message_seq: request.message_seq,
                emoji: request.emoji.clone(),
            })),
            ..message(seq, &actor, "")
        });
        Ok(Response::new(AddReactionResponse { seq }))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Answered<ListMessagesResponse> {
        let request = self.admit(request)?;
        let as_of_seq = self.head();
        let state = self.state();
        let messages = state.log.values().rev().filter_map(|event| match &event.kind {
            Some(Kind::MessageCreated(message)) => Some(message.clone()),
            _ => None,
        });
        let limit = usize::try_from(request.page_size).unwrap_or(50);
        let messages: Vec<_> = messages.take(limit).collect();
        Ok(Response::new(ListMessagesResponse { messages, as_of_seq, ..Default::default() }))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Answered<ListEventsResponse> {
        let request = self.admit(request)?;
        let head_seq = self.head();
        let limit = usize::try_from(request.page_size).unwrap_or(100);
        let state = self.state();
        let events = state.log.range(request.after_seq + 1..).map(|(_, event)| event.clone());
        Ok(Response::new(ListEventsResponse { events: events.take(limit).collect(), head_seq }))
    }

    async fn mark_read(&self, request: Request<MarkReadRequest>) -> Answered<MarkReadResponse> {
        let request = self.admit(request)?;
        let read_seq = request.read_seq;
        self.state().read_seq = read_seq;
        self.moved.notify_waiters();
        let receipt = Some(Receipt { user_id: "alice".into(), read_seq, delivered_seq: read_seq });
        Ok(Response::new(MarkReadResponse { receipt, unread_count: 0 }))
    }

    refuse! {
        pin_message: PinMessageRequest => PinMessageResponse;
        unpin_message: UnpinMessageRequest => UnpinMessageResponse;
        list_pinned_messages: ListPinnedMessagesRequest => ListPinnedMessagesResponse;
        get_message: GetMessageRequest => GetMessageResponse;
        remove_reaction: RemoveReactionRequest => RemoveReactionResponse;
        list_reactions: ListReactionsRequest => ListReactionsResponse;
        mark_delivered: MarkDeliveredRequest => MarkDeliveredResponse;
        list_receipts: ListReceiptsRequest => ListReceiptsResponse;
    }
}

#[tonic::async_trait]
impl ConversationsService for Fake {
    async fn create_conversation(
        &self,
        request: Request<CreateConversationRequest>,
    ) -> Answered<CreateConversationResponse> {
        let request = self.admit(request)?;
        let conversation = Some(room(request.r#type, self.head()));
        Ok(Response::new(CreateConversationResponse { conversation }))
    }

    async fn get_conversation(
        &self,
        request: Request<GetConversationRequest>,
    ) -> Answered<GetConversationResponse> {
        self.admit(request)?;
        self.state().looked += 1;
        let as_of_seq = self.head();
        let conversation = Some(room(ConversationType::Direct.into(), as_of_seq));
        Ok(Response::new(GetConversationResponse { conversation, as_of_seq }))
    }

    async fn compare_heads(
        &self,
        request: Request<CompareHeadsRequest>,
    ) -> Answered<CompareHeadsResponse> {
        let request = self.admit(request)?;
        let seq = self.head();
        let state = self.state();
        let head = ConversationHead {
            conversation_id: ROOM.into(),
            seq,
            unread_count: seq.saturating_sub(state.read_seq),
            read_seq: state.read_seq,
            ..ConversationHead::default()
        };
        let asked = request.cursors.iter().any(|cursor| cursor.conversation_id == ROOM);
        let moved = if asked && seq > 0 { vec![head] } else { Vec::new() };
        Ok(Response::new(CompareHeadsResponse { moved }))
    }

    refuse! {
        update_conversation: UpdateConversationRequest => UpdateConversationResponse;
        delete_conversation: DeleteConversationRequest => DeleteConversationResponse;
        restore_conversation: RestoreConversationRequest => RestoreConversationResponse;
        archive_conversation: ArchiveConversationRequest => ArchiveConversationResponse;
        unarchive_conversation: UnarchiveConversationRequest => UnarchiveConversationResponse;
        list_conversations: ListConversationsRequest => ListConversationsResponse;
        list_public_channels: ListPublicChannelsRequest => ListPublicChannelsResponse;
    }
}

fn room(r#type: i32, applied_seq: u64) -> Conversation {
    Conversation {
        conversation_id: ROOM.into(),
        r#type,
        participant_count: 2,
        applied_seq: applied_seq.min(1),
        ..Conversation::default()
    }
}

#[tonic::async_trait]
impl ParticipantsService for Fake {
    async fn list_participants(
        &self,
        request: Request<ListParticipantsRequest>,
    ) -> Answered<ListParticipantsResponse> {
        self.admit(request)?;
        let participants = ["alice", "bob"].map(|user_id| Participant {
            conversation_id: ROOM.into(),
            user_id: user_id.into(),
            role: Role::Owner.into(),
            join_seq: 1,
            applied_seq: 1,
            ..Participant::default()
        });
        let participants = participants.into();
        let as_of_seq = self.head();
        Ok(Response::new(ListParticipantsResponse {
            participants,
            as_of_seq,
            ..Default::default()
        }))
    }

    async fn list_inbox_events(
        &self,
        request: Request<ListInboxEventsRequest>,
    ) -> Answered<ListInboxEventsResponse> {
        let request = self.admit(request)?;
        let limit = usize::try_from(request.page_size).unwrap_or(100);
        let state = self.state();
        let head_inbox_seq = state.inbox.last_key_value().map_or(0, |(seq, _)| *seq);
        let events = state.inbox.range(request.after_inbox_seq + 1..);
        let events = events.map(|(_, event)| event.clone()).take(limit).collect();
        Ok(Response::new(ListInboxEventsResponse { events, head_inbox_seq }))
    }

    refuse! {
        add_participants: AddParticipantsRequest => AddParticipantsResponse;
        remove_participant: RemoveParticipantRequest => RemoveParticipantResponse;
        leave_conversation: LeaveConversationRequest => LeaveConversationResponse;
        update_participant_role: UpdateParticipantRoleRequest => UpdateParticipantRoleResponse;
        transfer_ownership: TransferOwnershipRequest => TransferOwnershipResponse;
        kick_participant: KickParticipantRequest => KickParticipantResponse;
        ban_participant: BanParticipantRequest => BanParticipantResponse;
        unban_participant: UnbanParticipantRequest => UnbanParticipantResponse;
        mute_participant: MuteParticipantRequest => MuteParticipantResponse;
        unmute_participant: UnmuteParticipantRequest => UnmuteParticipantResponse;
        list_bans: ListBansRequest => ListBansResponse;
        join_conversation: JoinConversationRequest => JoinConversationResponse;
        update_conversation_settings: UpdateConversationSettingsRequest => UpdateConversationSettingsResponse;
    }
}
