//! The unary RPCs as types: which answer belongs to which request, and where a
//! command keeps its ids. It never talks to a server.

use confab_proto::{
    conversations::v1 as conversations, messages::v1 as messages, method::RpcRequest,
    participants::v1 as participants, realtime::v1 as realtime,
};
use prost::{Message, Name};

/// The request message of a unary RPC.
pub trait Rpc: RpcRequest + Name + Clone + Default + 'static {
    /// What the RPC answers with.
    type Response: Message + Name + Default + 'static;
}

/// The request message of an RPC that appends an event to a conversation's log.
pub trait Command: Rpc {
    /// The ids in the request; empty and 0 when it has none yet.
    fn ids(&self) -> Ids;
    /// Puts the ids in.
    fn set_ids(&mut self, ids: &Ids);
    /// The conversation and the seq that an answer tells of.
    fn head(&self, response: &Self::Response) -> Option<(String, u64)>;
}

/// What makes a command idempotent. Every try of a command carries the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Chosen by the client.
    pub request_id: String,
    /// The highest seq of the conversation that the client knew at the first
    /// try; 0 for "unknown".
    pub after_seq: u64,
}

macro_rules! rpcs {
    ($($request:ty => $response:ty;)*) => {$(
        impl Rpc for $request {
            type Response = $response;
        }
    )*};
}

macro_rules! commands {
    ($($request:ty => $response:ty;)*) => {$(
        impl Rpc for $request {
            type Response = $response;
        }
        impl Command for $request {
            fn ids(&self) -> Ids {
                Ids { request_id: self.request_id.clone(), after_seq: self.after_seq }
            }
            fn set_ids(&mut self, ids: &Ids) {
                self.request_id.clone_from(&ids.request_id);
                self.after_seq = ids.after_seq;
            }
            fn head(&self, response: &Self::Response) -> Option<(String, u64)> {
                Some((self.conversation_id.clone(), response.appended_seq()))
            }
        }
    )*};
}

/// The seq of the event that a command appended.
trait Appended {
    fn appended_seq(&self) -> u64;
}

macro_rules! appended {
    ($($response:ty),* $(,)?) => {$(
        impl Appended for $response {
            fn appended_seq(&self) -> u64 {
                self.seq
            }
        }
    )*};
}

rpcs! {
    conversations::GetConversationRequest => conversations::GetConversationResponse;
    conversations::ListConversationsRequest => conversations::ListConversationsResponse;
    conversations::CompareHeadsRequest => conversations::CompareHeadsResponse;
    conversations::ListPublicChannelsRequest => conversations::ListPublicChannelsResponse;
    messages::GetMessageRequest => messages::GetMessageResponse;
    messages::ListMessagesRequest => messages::ListMessagesResponse;
    messages::ListReactionsRequest => messages::ListReactionsResponse;
    messages::MarkReadRequest => messages::MarkReadResponse;
    messages::MarkDeliveredRequest => messages::MarkDeliveredResponse;
    messages::ListReceiptsRequest => messages::ListReceiptsResponse;
    messages::ListEventsRequest => messages::ListEventsResponse;
    messages::ListPinnedMessagesRequest => messages::ListPinnedMessagesResponse;
    messages::GetContentRulesRequest => messages::GetContentRulesResponse;
    messages::UpdateContentRulesRequest => messages::UpdateContentRulesResponse;
    participants::ListParticipantsRequest => participants::ListParticipantsResponse;
    participants::ListBansRequest => participants::ListBansResponse;
    participants::ListInboxEventsRequest => participants::ListInboxEventsResponse;
    participants::UpdateConversationSettingsRequest => participants::UpdateConversationSettingsResponse;
    participants::GetUserRequest => participants::GetUserResponse;
    participants::BatchGetUsersRequest => participants::BatchGetUsersResponse;
    participants::ListUsersRequest => participants::ListUsersResponse;
    participants::UpdateUserRequest => participants::UpdateUserResponse;
    participants::BlockUserRequest => participants::BlockUserResponse;
    participants::UnblockUserRequest => participants::UnblockUserResponse;
    participants::ListBlockedUsersRequest => participants::ListBlockedUsersResponse;
    participants::ReportMessageRequest => participants::ReportMessageResponse;
    participants::ListReportsRequest => participants::ListReportsResponse;
    participants::ResolveReportRequest => participants::ResolveReportResponse;
    participants::ListModerationActionsRequest => participants::ListModerationActionsResponse;
    realtime::AcknowledgeRequest => realtime::AcknowledgeResponse;
    realtime::ListSessionsRequest => realtime::ListSessionsResponse;
    realtime::EndSessionRequest => realtime::EndSessionResponse;
    realtime::RevokeUserRequest => realtime::RevokeUserResponse;
    realtime::SendTypingRequest => realtime::SendTypingResponse;
    realtime::SetPresenceRequest => realtime::SetPresenceResponse;
    conversations::CreateConversationRequest => conversations::CreateConversationResponse;
}

commands! {
    conversations::UpdateConversationRequest => conversations::UpdateConversationResponse;
    conversations::DeleteConversationRequest => conversations::DeleteConversationResponse;
    conversations::RestoreConversationRequest => conversations::RestoreConversationResponse;
    conversations::ArchiveConversationRequest => conversations::ArchiveConversationResponse;
    conversations::UnarchiveConversationRequest => conversations::UnarchiveConversationResponse;
    messages::SendMessageRequest => messages::SendMessageResponse;
    messages::EditMessageRequest => messages::EditMessageResponse;
    messages::DeleteMessageRequest => messages::DeleteMessageResponse;
    messages::AddReactionRequest => messages::AddReactionResponse;
    messages::RemoveReactionRequest => messages::RemoveReactionResponse;
    messages::PinMessageRequest => messages::PinMessageResponse;
    messages::UnpinMessageRequest => messages::UnpinMessageResponse;
    participants::JoinConversationRequest => participants::JoinConversationResponse;
    participants::AddParticipantsRequest => participants::AddParticipantsResponse;
    participants::RemoveParticipantRequest => participants::RemoveParticipantResponse;
    participants::LeaveConversationRequest => participants::LeaveConversationResponse;
    participants::UpdateParticipantRoleRequest => participants::UpdateParticipantRoleResponse;
    participants::TransferOwnershipRequest => participants::TransferOwnershipResponse;
    participants::KickParticipantRequest => participants::KickParticipantResponse;
    participants::BanParticipantRequest => participants::BanParticipantResponse;
    participants::UnbanParticipantRequest => participants::UnbanParticipantResponse;
    participants::MuteParticipantRequest => participants::MuteParticipantResponse;
    participants::UnmuteParticipantRequest => participants::UnmuteParticipantResponse;
}

appended!(
    conversations::UpdateConversationResponse,
    conversations::DeleteConversationResponse,
    conversations::RestoreConversationResponse,
    conversations::ArchiveConversationResponse,
    conversations::UnarchiveConversationResponse,
    messages::EditMessageResponse,
    messages::DeleteMessageResponse,
    messages::AddReactionResponse,
    messages::RemoveReactionResponse,
    messages::PinMessageResponse,
    messages::UnpinMessageResponse,
    participants::JoinConversationResponse,
    participants::AddParticipantsResponse,
    participants::RemoveParticipantResponse,
    participants::LeaveConversationResponse,
    participants::UpdateParticipantRoleResponse,
    participants::TransferOwnershipResponse,
    participants::KickParticipantResponse,
    participants::BanParticipantResponse,
    participants::UnbanParticipantResponse,
    participants::MuteParticipantResponse,
    participants::UnmuteParticipantResponse,
);

impl Appended for messages::SendMessageResponse {
    fn appended_seq(&self) -> u64 {
        self.message.as_ref().map_or(0, |message| message.seq)
    }
}

/// Creating has no log to be after: the id of a group follows from its request
/// id, and a direct conversation exists once per pair.
impl Command for conversations::CreateConversationRequest {
    fn ids(&self) -> Ids {
        Ids { request_id: self.request_id.clone(), after_seq: 0 }
    }

    fn set_ids(&mut self, ids: &Ids) {
        self.request_id.clone_from(&ids.request_id);
    }

    fn head(&self, response: &Self::Response) -> Option<(String, u64)> {
        let conversation = response.conversation.as_ref()?;
        Some((conversation.conversation_id.clone(), conversation.applied_seq))
    }
}
