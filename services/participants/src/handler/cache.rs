//! What an operator asks about the participant cache, on the mesh's port.

use std::sync::Arc;

use confab_kit::{error::Error as KitError, validate::Violations};
use confab_log::{ConversationId, TenantId, UserId};
use confab_proto::participants::v1::{
    self as pb, forget_participants_request::What,
    participant_cache_service_server::ParticipantCacheService,
};
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    rosters::{Forget, Rosters},
    store::Store,
};

/// The operator's handler.
pub struct Cache<S> {
    pub(crate) rosters: Arc<Rosters<S>>,
}

#[tonic::async_trait]
impl<S: Store> ParticipantCacheService for Cache<S> {
    async fn set_participant_cache(
        &self,
        request: Request<pb::SetParticipantCacheRequest>,
    ) -> Result<Response<pb::SetParticipantCacheResponse>, Status> {
        let enabled = request.into_inner().enabled;
        let was_enabled = self.rosters.enable(enabled);
        tracing::info!(enabled, was_enabled, "participant cache switched");
        Ok(Response::new(pb::SetParticipantCacheResponse { was_enabled }))
    }

    async fn forget_participants(
        &self,
        request: Request<pb::ForgetParticipantsRequest>,
    ) -> Result<Response<pb::ForgetParticipantsResponse>, Status> {
        let what = what(request.into_inner())?;
        let forgotten = self.rosters.forget(what).await.map_err(Error::from)?;
        let conversations = u32::try_from(forgotten.conversations).unwrap_or(u32::MAX);
        tracing::info!(conversations, redis = forgotten.shared, "participants forgotten");
        let redis = forgotten.shared;
        Ok(Response::new(pb::ForgetParticipantsResponse { conversations, redis }))
    }
}

fn what(request: pb::ForgetParticipantsRequest) -> Result<Forget, KitError> {
    let mut check = Violations::default();
    let what = match request.what {
        Some(What::Everything(_)) => {
            check.check(request.tenant_id.is_empty(), "tenant_id", "must be empty for everything");
            check.finish()?;
            return Ok(Forget::Everything);
        }
        Some(What::ConversationId(id)) => {
            let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
            let id = check.parse("conversation_id", ConversationId::parse(&id));
            tenant.zip(id).map(|(tenant, id)| Forget::Conversation(tenant, id))
        }
        Some(What::UserId(user)) => {
            let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
            let user = check.parse("user_id", UserId::parse(&user));
            tenant.zip(user).map(|(tenant, user)| Forget::User(tenant, user))
        }
        None => {
            check.check(false, "what", "must say what is to be forgotten");
            None
        }
    };
    check.finish()?;
    what.ok_or_else(|| KitError::violation("what", "must say what is to be forgotten"))
}
