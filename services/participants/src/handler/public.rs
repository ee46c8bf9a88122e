//! What users call. A command goes to the log as it was validated; a list
//! comes from the rows. Nobody gets here without having been admitted.

use std::sync::Arc;

use confab_kit::{
    admission::{Admission, Admitted, View},
    channel::Channel,
    clock,
    identity::{Caller, CallerKind},
    page_token::Sealer,
};
use confab_log::{ConversationId, UserId, row::MemberRow};
use confab_proto::{
    messages::v1::{AppendRequest, log_service_client::LogServiceClient},
    method::RpcRequest,
    participants::v1::{self as pb, participants_service_server::ParticipantsService},
};
use tonic::{Request, Response, Status};

use crate::{
    convert::{self, rows},
    domain::{Arrange, Change, Command, Filter, ListInbox, Roster},
    error::{Error, upstream},
    inboxes::Inboxes,
    rosters::{Page, Rosters},
    store::Store,
};

use super::position;

type KitResult<T> = Result<T, confab_kit::error::Error>;

/// The public handler.
pub struct Public<S> {
    pub(crate) store: Arc<S>,
    pub(crate) rosters: Arc<Rosters<S>>,
    pub(crate) inboxes: Inboxes<S>,
    pub(crate) log: LogServiceClient<Channel>,
    pub(crate) admission: Admission,
    pub(crate) sealer: Sealer,
}

/// A page of rows and the token of the next one.
type RosterPage = (Vec<(UserId, MemberRow)>, String);

impl<S: Store> Public<S> {
    async fn submit<T>(&self, request: Request<T>) -> Result<u64, Error>
    where
        T: RpcRequest,
        Command: TryFrom<T, Error = confab_kit::error::Error>,
    {
        let admitted: KitResult<Admitted<Command>> =
            self.admission.admit(request).await?.try_map(Command::try_from);
        self.append(admitted?).await
    }

    async fn append(&self, admitted: Admitted<Command>) -> Result<u64, Error> {
        let (caller, command, _) = admitted.into_parts();
        if command.change.removes(&caller.user) {
            return Err(Error::TargetIsCaller);
        }
        let blocked_by_id = self.blocked_by(&caller, &command.change).await?;
        let request = AppendRequest {
            tenant_id: caller.tenant.as_str().to_owned(),
            conversation_id: command.conversation.as_str().to_owned(),
            actor_id: caller.user.as_str().to_owned(),
            request_id: command.request_id.as_str().to_owned(),
            after_seq: command.after_seq,
            application: caller.kind == CallerKind::Application,
            blocked_by_id,
            command: Some(convert::to_log(command.change, &caller.user)),
        };
        let answer = self.log.clone().append(request).await.map_err(|status| upstream(&status))?;
        Ok(answer.into_inner().seq)
    }

    /// One of those whom the caller would add, who has blocked the caller.
    async fn blocked_by(&self, caller: &Caller, change: &Change) -> Result<String, Error> {
        let Change::Add(users) = change else { return Ok(String::new()) };
        for user in users {
            if self.store.has_blocked(&caller.tenant, user, &caller.user).await? {
                return Ok(user.as_str().to_owned());
            }
        }
        Ok(String::new())
    }

    async fn arrange(
        &self,
        admitted: Admitted<Arrange>,
    ) -> Result<pb::ConversationSettings, Error> {
        let (caller, Arrange { conversation, changes }, _) = admitted.into_parts();
        let arranged = self.inboxes.arrange(caller.tenant, caller.user, conversation, changes);
        let settings = arranged.await?;
        let settings = settings.ok_or(Error::Contract("a participant without an inbox entry"))?;
        Ok(rows::settings_to_pb(&settings))
    }

    async fn page(
        &self,
        method: &str,
        admitted: &Admitted<Roster>,
        view: &View,
        filter: Filter,
    ) -> Result<RosterPage, Error> {
        let (caller, roster) = (admitted.caller(), admitted.message());
        let context =
            [method, caller.tenant.as_str(), caller.user.as_str(), roster.conversation.as_str()];
        let after = match roster.page_token.as_str() {
            "" => None,
            token => Some(position(&self.sealer.open(&context, token)?)?),
        };
        // One more than asked for tells whether there is another page.
        let limit = roster.limit + 1;
        let page = Page {
            tenant: &caller.tenant,
            conversation: &roster.conversation,
            view,
            after: after.as_ref(),
            filter,
            limit,
        };
        let mut rows = self.rosters.page(&page).await?;
        let more = rows.len() == limit;
        rows.truncate(roster.limit);
        let next = rows.last().filter(|_| more);
        let token = next.map(|(user, _)| self.sealer.seal(&context, user.as_str().as_bytes()));
        Ok((rows, token.unwrap_or_default()))
    }

    async fn list_rosters<T>(
        &self,
        request: Request<T>,
        filter: Filter,
    ) -> Result<(Vec<pb::Participant>, String, u64), Error>
    where
        T: RpcRequest,
        Roster: TryFrom<T, Error = confab_kit::error::Error>,
    {
        let admitted: KitResult<Admitted<Roster>> =
            self.admission.admit(request).await?.try_map(Roster::try_from);
        let admitted = admitted?;
        let view = admitted.view().ok_or(Error::Contract("a read without a view of the log"))?;
        let (page, token) = self.page(T::METHOD.path, &admitted, view, filter).await?;
        let conversation: &ConversationId = &admitted.message().conversation;
        // Who is not there any more is news, too, that may be newer than the look.
        self.admission.still_participates(admitted.caller(), conversation).await?;
        let list = page
            .into_iter()
            .map(|(user, row)| rows::participant_to_pb(conversation, &user, row))
            .collect();
        Ok((list, token, view.as_of))
    }

    async fn list_inbox(
        &self,
        request: Request<pb::ListInboxEventsRequest>,
    ) -> Result<pb::ListInboxEventsResponse, Error> {
        let admitted = self.admission.admit(request).await?.try_map(ListInbox::try_from)?;
        let (caller, list) = (admitted.caller(), admitted.message());
        let page = self.store.inbox(&caller.tenant, &caller.user, list.after, list.limit).await?;
        Ok(pb::ListInboxEventsResponse {
            events: page.events.iter().map(rows::inbox_event_to_pb).collect(),
            head_inbox_seq: page.head,
        })
    }
}

#[tonic::async_trait]
impl<S: Store> ParticipantsService for Public<S> {
    async fn add_participants(
        &self,
        request: Request<pb::AddParticipantsRequest>,
    ) -> Result<Response<pb::AddParticipantsResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::AddParticipantsResponse { seq }))
    }

    async fn remove_participant(
        &self,
        request: Request<pb::RemoveParticipantRequest>,
    ) -> Result<Response<pb::RemoveParticipantResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::RemoveParticipantResponse { seq }))
    }

    async fn join_conversation(
        &self,
        request: Request<pb::JoinConversationRequest>,
    ) -> Result<Response<pb::JoinConversationResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::JoinConversationResponse { seq }))
    }

    async fn update_conversation_settings(
        &self,
        request: Request<pb::UpdateConversationSettingsRequest>,
    ) -> Result<Response<pb::UpdateConversationSettingsResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(Arrange::try_from)?;
        let settings = Some(self.arrange(admitted).await?);
        Ok(Response::new(pb::UpdateConversationSettingsResponse { settings }))
    }

    async fn leave_conversation(
        &self,
        request: Request<pb::LeaveConversationRequest>,
    ) -> Result<Response<pb::LeaveConversationResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::LeaveConversationResponse { seq }))
    }

    async fn list_participants(
        &self,
        request: Request<pb::ListParticipantsRequest>,
    ) -> Result<Response<pb::ListParticipantsResponse>, Status> {
        let (participants, next_page_token, as_of_seq) =
            self.list_rosters(request, Filter::Active).await?;
        Ok(Response::new(pb::ListParticipantsResponse { participants, next_page_token, as_of_seq }))
    }

    async fn update_participant_role(
        &self,
        request: Request<pb::UpdateParticipantRoleRequest>,
    ) -> Result<Response<pb::UpdateParticipantRoleResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::UpdateParticipantRoleResponse { seq }))
    }

    async fn transfer_ownership(
        &self,
        request: Request<pb::TransferOwnershipRequest>,
    ) -> Result<Response<pb::TransferOwnershipResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::TransferOwnershipResponse { seq }))
    }

    async fn kick_participant(
        &self,
        request: Request<pb::KickParticipantRequest>,
    ) -> Result<Response<pb::KickParticipantResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::KickParticipantResponse { seq }))
    }

    async fn ban_participant(
        &self,
        request: Request<pb::BanParticipantRequest>,
    ) -> Result<Response<pb::BanParticipantResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::BanParticipantResponse { seq }))
    }

    async fn unban_participant(
        &self,
        request: Request<pb::UnbanParticipantRequest>,
    ) -> Result<Response<pb::UnbanParticipantResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::UnbanParticipantResponse { seq }))
    }

    async fn mute_participant(
        &self,
        request: Request<pb::MuteParticipantRequest>,
    ) -> Result<Response<pb::MuteParticipantResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::MuteParticipantResponse { seq }))
    }

    async fn unmute_participant(
        &self,
        request: Request<pb::UnmuteParticipantRequest>,
    ) -> Result<Response<pb::UnmuteParticipantResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::UnmuteParticipantResponse { seq }))
    }

    async fn list_bans(
        &self,
        request: Request<pb::ListBansRequest>,
    ) -> Result<Response<pb::ListBansResponse>, Status> {
        let now = Filter::BannedAt(clock::now_micros());
        let (bans, next_page_token, _) = self.list_rosters(request, now).await?;
        Ok(Response::new(pb::ListBansResponse { bans, next_page_token }))
    }

    async fn list_inbox_events(
        &self,
        request: Request<pb::ListInboxEventsRequest>,
    ) -> Result<Response<pb::ListInboxEventsResponse>, Status> {
        Ok(Response::new(self.list_inbox(request).await?))
    }
}
