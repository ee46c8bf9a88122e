//! The unary RPCs: admits, converts, calls, answers. What is about a session's
//! stream goes to `sessions`, the rest to `typing` and `presence`.

use std::{pin::Pin, sync::Arc};

use confab_kit::{
    admission::{Admitted, View},
    clock,
    error::Coded as _,
};
use confab_log::mutant;
use confab_proto::{
    method::RpcRequest,
    realtime::v1::{self as pb, realtime_service_server::RealtimeService},
};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Shared,
    convert::unary::{self as convert, EndSession, ListSessions},
    error::Error,
    sessions::Listed,
    store::SessionId,
    typing::{self, Place},
};

/// See the module.
#[derive(Clone)]
pub(crate) struct Unary {
    shared: Arc<Shared>,
}

type Frames<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

impl Unary {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn admit<T: RpcRequest>(&self, request: Request<T>) -> Result<Admitted<T>, Error> {
        Ok(self.shared.admission.admit(request).await?)
    }

    async fn acknowledge(&self, request: Request<pb::AcknowledgeRequest>) -> Result<(), Error> {
        let watches = self.shared.limits.watches;
        let (caller, request, _) = self.admit(request).await?.into_parts();
        let (session, acknowledged) = convert::acknowledged(&request, watches)?;
        self.shared.acknowledge(&caller, session, acknowledged).await
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<pb::ListSessionsResponse, Error> {
        let (caller, request, _) = self.admit(request).await?.into_parts();
        let ListSessions { user, size, page_token } = convert::list_sessions(request)?;
        let user = Shared::subject(&caller, user)?;
        let (tenant, by) = (&caller.tenant, caller.user.as_str());
        let context = ["ListSessions", tenant.as_str(), by, user.as_str()];
        let after = self.after(&context, &page_token)?;
        let mut listed = self.shared.list_sessions(tenant, &user, after.as_ref(), size + 1).await?;
        let more = listed.len() > size;
        listed.truncate(size);
        let next_page_token = match listed.last().filter(|_| more) {
            Some(Listed { id, .. }) => self.shared.sealer.seal(&context, id.as_str().as_bytes()),
            None => String::new(),
        };
        let sessions = listed.iter().map(convert::session).collect();
        Ok(pb::ListSessionsResponse { sessions, next_page_token })
    }

    fn after(&self, context: &[&str], page_token: &str) -> Result<Option<SessionId>, Error> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let payload = self.shared.sealer.open(context, page_token)?;
        Ok(std::str::from_utf8(&payload).ok().and_then(SessionId::parse))
    }

    async fn end_session(&self, request: Request<pb::EndSessionRequest>) -> Result<(), Error> {
        let (caller, request, _) = self.admit(request).await?.into_parts();
        let EndSession { user, end } = convert::end_session(&request, caller.kind)?;
        let user = Shared::subject(&caller, user)?;
        self.shared.end_session(&caller, &user, end).await
    }

    async fn revoke_user(
        &self,
        request: Request<pb::RevokeUserRequest>,
    ) -> Result<pb::RevokeUserResponse, Error> {
        let (caller, request, _) = self.admit(request).await?.into_parts();
        let user = convert::named_user(&request.user_id)?;
        let user = Shared::subject(&caller, user)?;
        let second = self.shared.revoke_user(&caller.tenant, &user).await?;
        let revoke_time = clock::timestamp(second.saturating_mul(1_000_000));
        Ok(pb::RevokeUserResponse { revoke_time: Some(revoke_time) })
    }

    async fn send_typing(&self, request: Request<pb::SendTypingRequest>) -> Result<(), Error> {
        let (caller, request, view) = self.admit(request).await?.into_parts();
        let (conversation, started) = convert::typing(&request)?;
        let limit = self.shared.limits.typing_participants;
        // Who may not write types for nobody, and need not be told.
        let may = |view: &View| view.can_write || mutant::is("typing-of-muted");
        let Some(view) = view.filter(|view| may(view) && view.participants <= limit) else {
            typing::count("not_for_others");
            return Ok(());
        };
        let place = Place { tenant: caller.tenant, conversation, user: caller.user };
        self.shared.typists.hear(place, started, view.as_of);
        Ok(())
    }

    async fn set_presence(
        &self,
        request: Request<pb::SetPresenceRequest>,
    ) -> Result<pb::SetPresenceResponse, Error> {
        let (caller, request, _) = self.admit(request).await?.into_parts();
        let (status, text) = convert::own_presence(request)?;
        let presences = &self.shared.presences;
        let presence = presences.set(&caller.tenant, &caller.user, status, &text).await?;
        Ok(pb::SetPresenceResponse { presence: Some(presence) })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refuse(error: Error) -> Status {
    error.to_error().into()
}

#[tonic::async_trait]
impl RealtimeService for Unary {
    type ConnectStream = Frames<pb::ConnectResponse>;
    type SubscribeStream = Frames<pb::SubscribeResponse>;

    /// Never called: the endpoint serves streams itself.
    async fn connect(
        &self,
        _: Request<Streaming<pb::ConnectRequest>>,
    ) -> Answer<Self::ConnectStream> {
        Err(Status::unimplemented("a stream"))
    }

    /// Never called: the endpoint serves streams itself.
    async fn subscribe(&self, _: Request<pb::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        Err(Status::unimplemented("a stream"))
    }

    async fn acknowledge(
        &self,
        request: Request<pb::AcknowledgeRequest>,
    ) -> Answer<pb::AcknowledgeResponse> {
        Unary::acknowledge(self, request).await.map_err(refuse)?;
        Ok(Response::new(pb::AcknowledgeResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Answer<pb::ListSessionsResponse> {
        Unary::list_sessions(self, request).await.map(Response::new).map_err(refuse)
    }

    async fn end_session(
        &self,
        request: Request<pb::EndSessionRequest>,
    ) -> Answer<pb::EndSessionResponse> {
        Unary::end_session(self, request).await.map_err(refuse)?;
        Ok(Response::new(pb::EndSessionResponse {}))
    }

    async fn revoke_user(
        &self,
        request: Request<pb::RevokeUserRequest>,
    ) -> Answer<pb::RevokeUserResponse> {
        Unary::revoke_user(self, request).await.map(Response::new).map_err(refuse)
    }

    async fn send_typing(
        &self,
        request: Request<pb::SendTypingRequest>,
    ) -> Answer<pb::SendTypingResponse> {
        Unary::send_typing(self, request).await.map_err(refuse)?;
        Ok(Response::new(pb::SendTypingResponse {}))
    }

    async fn set_presence(
        &self,
        request: Request<pb::SetPresenceRequest>,
    ) -> Answer<pb::SetPresenceResponse> {
        Unary::set_presence(self, request).await.map(Response::new).map_err(refuse)
    }
}
