//! What users call, but for the lists. A command goes to the log as it was
//! validated; a read comes from the row. Nobody gets here unadmitted.

use std::sync::Arc;

use confab_kit::{
    admission::{Admission, Admitted},
    error::Error as KitError,
    identity::{Caller, CallerKind},
    page_token::Sealer,
};
use confab_log::{ConversationId, RequestId, Seq, row::ConversationRow};
use confab_proto::{
    conversations::v1::{self as pb, conversations_service_server::ConversationsService},
    messages::v1::{AppendRequest, append_request::Command as LogCommand},
    method::RpcRequest,
};
use tonic::{Request, Response, Status};

use crate::{
    convert::rows,
    domain::{self, Command, Compare, Create, Get, List, ListPublic, Plan},
    error::Error,
    peers::Peers,
    store::ConversationStore,
};

use super::Orders;

/// The public handler.
pub struct Public<S> {
    pub(crate) store: Arc<S>,
    pub(crate) peers: Peers,
    pub(crate) admission: Admission,
    pub(crate) sealer: Sealer,
    pub(crate) orders: Orders,
}

impl<S: ConversationStore> Public<S> {
    async fn create(&self, admitted: Admitted<Create>) -> Result<pb::Conversation, Error> {
        let plan = domain::plan(&admitted)?;
        let (caller, create, _) = admitted.into_parts();
        let block = self.block(&caller, &plan).await?;
        let command = rows::creation_to_log(plan.creation.clone());
        let mut request =
            append_request(&caller, &plan.conversation, &create.request_id, 0, command);
        // Whoever finds the conversation there is answered with it all the same.
        request.blocked_by_id = block.unwrap_or_default();
        let seq = self.peers.append(request).await?;
        if let Some((one, other)) = plan.pair() {
            // Blocks are kept before conversations are told of them, so one that came
            // since the look above is found here, or finds the conversation.
            self.peers.enforce_blocks(&caller, one, other).await?;
        }
        self.answer(&caller, &plan.conversation, seq).await
    }

    /// Whose block stands against a new conversation: either side's in a direct
    /// one; otherwise a user adds nobody who has blocked them.
    async fn block(&self, caller: &Caller, plan: &Plan) -> Result<Option<String>, Error> {
        if let Some((one, other)) = plan.pair() {
            let found = self.peers.blocks(caller, one, [other]).await?;
            let by_one = found.blocked_ids.first().map(|_| one.as_str().to_owned());
            return Ok(found.blocked_by_ids.into_iter().next().or(by_one));
        }
        let others = plan.creation.participants.iter().map(|one| &one.user);
        let others: Vec<_> = others.filter(|user| **user != caller.user).collect();
        if !caller.is_user() || others.is_empty() {
            return Ok(None);
        }
        let found = self.peers.blocks(caller, &caller.user, others).await?;
        Ok(found.blocked_by_ids.into_iter().next())
    }

    async fn get(&self, admitted: &Admitted<Get>) -> Result<pb::GetConversationResponse, Error> {
        let view = admitted.view().ok_or(Error::Contract("a read without a view of the log"))?;
        let id = &admitted.message().conversation;
        let row = self.own_row(admitted.caller(), id).await?;
        if row.applied_seq > view.as_of {
            // Newer than the look: the caller may have been removed in between.
            self.admission.still_participates(admitted.caller(), id).await?;
        }
        let conversation = Some(rows::conversation_to_pb(id, row));
        Ok(pb::GetConversationResponse { conversation, as_of_seq: view.as_of })
    }

    async fn admit_command<T>(&self, request: Request<T>) -> Result<Admitted<Command>, Error>
    where
        T: RpcRequest,
        Command: TryFrom<T, Error = KitError>,
    {
        Ok(self.admission.admit(request).await?.try_map(Command::try_from)?)
    }

    async fn submit<T>(&self, request: Request<T>) -> Result<u64, Error>
    where
        T: RpcRequest,
        Command: TryFrom<T, Error = KitError>,
    {
        let admitted = self.admit_command(request).await?;
        let (_, _, seq) = self.append(admitted).await?;
        Ok(seq)
    }

    async fn append(
        &self,
        admitted: Admitted<Command>,
    ) -> Result<(Caller, ConversationId, Seq), Error> {
        let (caller, command, _) = admitted.into_parts();
        let Command { conversation, request_id, after_seq, change } = command;
        let change = rows::change_to_log(change);
        let request = append_request(&caller, &conversation, &request_id, after_seq, change);
        let seq = self.peers.append(request).await?;
        Ok((caller, conversation, seq))
    }

    /// The conversation after the caller's command, which is event `seq`. The
    /// command may be an old one, tried again by somebody who has left since:
    /// they get their answer, and nothing that came after them.
    async fn answer(
        &self,
        caller: &Caller,
        id: &ConversationId,
        seq: Seq,
    ) -> Result<pb::Conversation, Error> {
        let row = self.own_row(caller, id).await?;
        // A leave changes the row: where nothing did, the caller is still in.
        let unchanged = row.applied_seq <= seq;
        if unchanged || self.peers.is_participant(caller, id).await? {
            return Ok(rows::conversation_to_pb(id, row));
        }
        Ok(rows::unchanging_to_pb(id, &row))
    }

    /// The row of a conversation that the log has let us know of. Effects come
    /// before answers, so it is there.
    async fn own_row(
        &self,
        caller: &Caller,
        id: &ConversationId,
    ) -> Result<ConversationRow, Error> {
        let row = self.store.row(&caller.tenant, id).await?;
        row.ok_or(Error::Contract("a conversation of the log has no row"))
    }
}

fn append_request(
    caller: &Caller,
    conversation: &ConversationId,
    request_id: &RequestId,
    after_seq: Seq,
    command: LogCommand,
) -> AppendRequest {
    AppendRequest {
        tenant_id: caller.tenant.as_str().to_owned(),
        conversation_id: conversation.as_str().to_owned(),
        actor_id: caller.user.as_str().to_owned(),
        request_id: request_id.as_str().to_owned(),
        after_seq,
        application: caller.kind == CallerKind::Application,
        blocked_by_id: String::new(),
        command: Some(command),
    }
}

#[tonic::async_trait]
impl<S: ConversationStore> ConversationsService for Public<S> {
    async fn create_conversation(
        &self,
        request: Request<pb::CreateConversationRequest>,
    ) -> Result<Response<pb::CreateConversationResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(Create::try_from)?;
        let conversation = Some(self.create(admitted).await?);
        Ok(Response::new(pb::CreateConversationResponse { conversation }))
    }

    async fn get_conversation(
        &self,
        request: Request<pb::GetConversationRequest>,
    ) -> Result<Response<pb::GetConversationResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(Get::try_from)?;
        Ok(Response::new(self.get(&admitted).await?))
    }

    async fn update_conversation(
        &self,
        request: Request<pb::UpdateConversationRequest>,
    ) -> Result<Response<pb::UpdateConversationResponse>, Status> {
        let admitted = self.admit_command(request).await?;
        let (caller, id, seq) = self.append(admitted).await?;
        let conversation = Some(self.answer(&caller, &id, seq).await?);
        Ok(Response::new(pb::UpdateConversationResponse { seq, conversation }))
    }

    async fn delete_conversation(
        &self,
        request: Request<pb::DeleteConversationRequest>,
    ) -> Result<Response<pb::DeleteConversationResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::DeleteConversationResponse { seq }))
    }

    async fn restore_conversation(
        &self,
        request: Request<pb::RestoreConversationRequest>,
    ) -> Result<Response<pb::RestoreConversationResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::RestoreConversationResponse { seq }))
    }

    async fn archive_conversation(
        &self,
        request: Request<pb::ArchiveConversationRequest>,
    ) -> Result<Response<pb::ArchiveConversationResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::ArchiveConversationResponse { seq }))
    }

    async fn unarchive_conversation(
        &self,
        request: Request<pb::UnarchiveConversationRequest>,
    ) -> Result<Response<pb::UnarchiveConversationResponse>, Status> {
        let seq = self.submit(request).await?;
        Ok(Response::new(pb::UnarchiveConversationResponse { seq }))
    }

    async fn list_public_channels(
        &self,
        request: Request<pb::ListPublicChannelsRequest>,
    ) -> Result<Response<pb::ListPublicChannelsResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(ListPublic::try_from)?;
        Ok(Response::new(self.public_channels(&admitted).await?))
    }

    async fn list_conversations(
        &self,
        request: Request<pb::ListConversationsRequest>,
    ) -> Result<Response<pb::ListConversationsResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(List::try_from)?;
        Ok(Response::new(self.list(&admitted).await?))
    }

    async fn compare_heads(
        &self,
        request: Request<pb::CompareHeadsRequest>,
    ) -> Result<Response<pb::CompareHeadsResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(Compare::try_from)?;
        Ok(Response::new(self.compare(&admitted).await?))
    }
}
