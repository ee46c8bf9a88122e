//! `MessagesService`: gRPC in, domain out. No decision is made here.

use std::sync::Arc;

use confab_kit::{
    admission::{Admission, Admitted},
    error::{Coded, Error as KitError},
    identity::Caller,
};
use confab_proto::{
    messages::v1::{self as pb, messages_service_server::MessagesService},
    method::RpcRequest,
};
use tonic::{Request, Response, Status};

use crate::{
    convert::{self, Limits, event},
    domain::{Domain, Messages, Send, Span},
    error::Error,
    stage::Stage,
    store::{Direction, LogStore, RuleStore},
};

/// The public face of the messages service.
pub struct MessagesHandler<S> {
    pub(crate) domain: Arc<Domain<S>>,
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
}

type Answer<T> = Result<Response<T>, Status>;

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refuse(error: Error) -> Status {
    error.to_error().into()
}

impl<S: LogStore + RuleStore> MessagesHandler<S> {
    /// The stages "admit" and "validate" of a command.
    async fn admitted<T: RpcRequest>(
        &self,
        request: Request<T>,
        convert: impl FnOnce(T) -> Result<Send, KitError>,
    ) -> Result<Admitted<Send>, Status> {
        let stages = self.domain.logs.stages();
        let admit = Stage::begin(&stages.admit);
        let admitted = self.admission.admit(request).await?;
        drop(admit);
        let _validate = Stage::begin(&stages.validate);
        Ok(admitted.try_map(convert)?)
    }

    /// A command whose answer is the seq of its event.
    async fn seq_of(&self, admitted: Admitted<Send>) -> Result<u64, Status> {
        let (_, committed) = self.domain.command(admitted).await.map_err(refuse)?;
        Ok(committed.seq)
    }
}

#[tonic::async_trait]
impl<S: LogStore + RuleStore> MessagesService for MessagesHandler<S> {
    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<pb::SendMessageResponse> {
        let send = self.admitted(request, |request| convert::send(request, self.limits)).await?;
        let (key, event) = self.domain.send(send).await.map_err(refuse)?;
        let message = event::message_to_pb(&key.conversation, &event, &[]);
        Ok(Response::new(pb::SendMessageResponse { message }))
    }

    async fn get_message(
        &self,
        request: Request<pb::GetMessageRequest>,
    ) -> Answer<pb::GetMessageResponse> {
        let get = convert::one(&request.get_ref().conversation_id, request.get_ref().message_seq);
        let wanted = get.as_ref().ok().map(|(id, seq)| (id.clone(), Span::one(*seq)));
        let (admitted, ahead) = self.domain.admit(&self.admission, request, wanted).await?;
        let get = admitted.try_map(|_| get)?;
        let found = self.domain.get(get, ahead).await.map_err(refuse)?;
        let as_of_seq = found.as_of;
        Ok(Response::new(pb::GetMessageResponse { message: messages(&found).pop(), as_of_seq }))
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Answer<pb::ListMessagesResponse> {
        let list = convert::list(request.get_ref());
        let caller = request.extensions().get::<Caller>();
        let wanted = caller.zip(list.as_ref().ok()).and_then(|(caller, (page, listing))| {
            let span = self.domain.list_span(caller, page, *listing)?;
            Some((page.conversation.clone(), span))
        });
        let (admitted, ahead) = self.domain.admit(&self.admission, request, wanted).await?;
        let list = admitted.try_map(|_| list)?;
        let mut found = self.domain.list(list, ahead).await.map_err(refuse)?;
        let next_page_token = std::mem::take(&mut found.next_page_token);
        let as_of_seq = found.as_of;
        let messages = messages(&found);
        Ok(Response::new(pb::ListMessagesResponse { messages, next_page_token, as_of_seq }))
    }

    async fn edit_message(
        &self,
        request: Request<pb::EditMessageRequest>,
    ) -> Answer<pb::EditMessageResponse> {
        let edit = self.admitted(request, |request| convert::edit(request, self.limits)).await?;
        Ok(Response::new(pb::EditMessageResponse { seq: self.seq_of(edit).await? }))
    }

    async fn delete_message(
        &self,
        request: Request<pb::DeleteMessageRequest>,
    ) -> Answer<pb::DeleteMessageResponse> {
        let delete = self.admitted(request, |request| convert::delete(&request)).await?;
        Ok(Response::new(pb::DeleteMessageResponse { seq: self.seq_of(delete).await? }))
    }

    async fn add_reaction(
        &self,
        request: Request<pb::AddReactionRequest>,
    ) -> Answer<pb::AddReactionResponse> {
        let add = self.admitted(request, |request| convert::add_reaction(&request)).await?;
        Ok(Response::new(pb::AddReactionResponse { seq: self.seq_of(add).await? }))
    }

    async fn remove_reaction(
        &self,
        request: Request<pb::RemoveReactionRequest>,
    ) -> Answer<pb::RemoveReactionResponse> {
        let remove = self.admitted(request, |request| convert::remove_reaction(&request)).await?;
        Ok(Response::new(pb::RemoveReactionResponse { seq: self.seq_of(remove).await? }))
    }

    async fn pin_message(
        &self,
        request: Request<pb::PinMessageRequest>,
    ) -> Answer<pb::PinMessageResponse> {
        let pin = self.admitted(request, |request| convert::pin(&request)).await?;
        Ok(Response::new(pb::PinMessageResponse { seq: self.seq_of(pin).await? }))
    }

    async fn unpin_message(
        &self,
        request: Request<pb::UnpinMessageRequest>,
    ) -> Answer<pb::UnpinMessageResponse> {
        let unpin = self.admitted(request, |request| convert::unpin(&request)).await?;
        Ok(Response::new(pb::UnpinMessageResponse { seq: self.seq_of(unpin).await? }))
    }

    async fn list_pinned_messages(
        &self,
        request: Request<pb::ListPinnedMessagesRequest>,
    ) -> Answer<pb::ListPinnedMessagesResponse> {
        let admitted = self.admission.admit(request).await?;
        let list = admitted.try_map(|request| convert::conversation(&request.conversation_id))?;
        let found = self.domain.pinned(list).await.map_err(refuse)?;
        let (messages, as_of_seq) = (messages(&found), found.as_of);
        Ok(Response::new(pb::ListPinnedMessagesResponse { messages, as_of_seq }))
    }

    async fn list_reactions(
        &self,
        request: Request<pb::ListReactionsRequest>,
    ) -> Answer<pb::ListReactionsResponse> {
        let admitted = self.admission.admit(request).await?;
        let message_seq = admitted.message().message_seq;
        let page = admitted.try_map(|request| {
            convert::one(&request.conversation_id, request.message_seq)?;
            convert::page(
                &request.conversation_id,
                request.page_size,
                (100, 200),
                request.page_token,
            )
        })?;
        let (rows, next_page_token) =
            self.domain.reactions(page, message_seq).await.map_err(refuse)?;
        let reactions = rows
            .into_iter()
            .map(|(user, emoji)| pb::UserReactions { user_id: user.to_string(), emoji })
            .collect();
        Ok(Response::new(pb::ListReactionsResponse { reactions, next_page_token }))
    }

    async fn mark_read(
        &self,
        request: Request<pb::MarkReadRequest>,
    ) -> Answer<pb::MarkReadResponse> {
        let admitted = self.admission.admit(request).await?;
        let mark = admitted.try_map(|request| {
            convert::mark(&request.conversation_id, "read_seq", request.read_seq)
        })?;
        let (user, cursors, unread_count) = self.domain.mark(mark, true).await.map_err(refuse)?;
        let receipt = Some(convert::receipt_to_pb(&user, cursors));
        Ok(Response::new(pb::MarkReadResponse { receipt, unread_count }))
    }

    async fn mark_delivered(
        &self,
        request: Request<pb::MarkDeliveredRequest>,
    ) -> Answer<pb::MarkDeliveredResponse> {
        let admitted = self.admission.admit(request).await?;
        let mark = admitted.try_map(|request| {
            convert::mark(&request.conversation_id, "delivered_seq", request.delivered_seq)
        })?;
        let (user, cursors, _) = self.domain.mark(mark, false).await.map_err(refuse)?;
        let receipt = Some(convert::receipt_to_pb(&user, cursors));
        Ok(Response::new(pb::MarkDeliveredResponse { receipt }))
    }

    async fn list_receipts(
        &self,
        request: Request<pb::ListReceiptsRequest>,
    ) -> Answer<pb::ListReceiptsResponse> {
        let admitted = self.admission.admit(request).await?;
        let page = admitted.try_map(|request| {
            convert::page(
                &request.conversation_id,
                request.page_size,
                (100, 200),
                request.page_token,
            )
        })?;
        let found = self.domain.receipts(page).await.map_err(refuse)?;
        let receipts = found
            .rows
            .into_iter()
            .map(|(user, cursors)| convert::receipt_to_pb(&user, cursors))
            .collect();
        let next_page_token = found.next_page_token;
        Ok(Response::new(pb::ListReceiptsResponse { receipts, next_page_token }))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Answer<pb::ListEventsResponse> {
        let (after, page) = (request.get_ref().after_seq, convert::events(request.get_ref()));
        let wanted = page.as_ref().ok().map(|page| {
            let span = Span::beside(after, Direction::OldestFirst, page.size);
            (page.conversation.clone(), span)
        });
        let (admitted, ahead) = self.domain.admit(&self.admission, request, wanted).await?;
        let page = admitted.try_map(|_| page)?;
        let found = self.domain.events(page, after, ahead).await.map_err(refuse)?;
        let events = found
            .rows
            .iter()
            .map(|(row, own)| event::event_to_pb(&found.key.conversation, row, own))
            .collect();
        Ok(Response::new(pb::ListEventsResponse { events, head_seq: found.head }))
    }
}

fn messages(found: &Messages) -> Vec<pb::Message> {
    let id = &found.key.conversation;
    found.rows.iter().filter_map(|(row, own)| event::message_to_pb(id, row, own)).collect()
}
