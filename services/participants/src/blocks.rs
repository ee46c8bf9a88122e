//! Blocks between two people, and what their direct conversation is told of them.
//!
//! A block is kept first and told to the conversation after, and whoever makes
//! the conversation asks for blocks after it is made. So, whatever comes first,
//! one of the two finds the other; and whoever has told looks again, because the
//! block may have been lifted meanwhile.

use std::sync::Arc;

use confab_kit::{
    channel::Channel,
    error::{Error as KitError, Reason},
    random,
};
use confab_log::{ConversationId, TenantId, UserId};
use confab_proto::messages::v1::{
    AppendRequest, ParticipantBlocked, ParticipantUnblocked, append_request::Command,
    log_service_client::LogServiceClient,
};

use crate::{
    error::{Error, upstream},
    store::UserStore,
};

/// How often a conversation is told while the block keeps changing.
const ROUNDS: usize = 4;

/// See the module.
pub(crate) struct Blocks<S> {
    pub(crate) store: Arc<S>,
    pub(crate) log: LogServiceClient<Channel>,
}

impl<S: UserStore> Blocks<S> {
    /// Brings the direct conversation of two to what one's block of the other says.
    pub(crate) async fn tell(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
    ) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let blocked = self.store.has_blocked(tenant, user, other).await?;
            self.append(tenant, user, other, blocked).await?;
            if self.store.has_blocked(tenant, user, other).await? == blocked {
                break;
            }
        }
        Ok(())
    }

    /// The same for whoever has just made the conversation: where there is no
    /// block there is nothing to tell.
    pub(crate) async fn enforce(
        &self,
        tenant: &TenantId,
        one: &UserId,
        other: &UserId,
    ) -> Result<(), Error> {
        for (user, other) in [(one, other), (other, one)] {
            if self.store.has_blocked(tenant, user, other).await? {
                self.tell(tenant, user, other).await?;
            }
        }
        Ok(())
    }

    async fn append(
        &self,
        tenant: &TenantId,
        user: &UserId,
        other: &UserId,
        blocked: bool,
    ) -> Result<(), Error> {
        let user_id = other.as_str().to_owned();
        let command = if blocked {
            Command::BlockParticipant(ParticipantBlocked { user_id })
        } else {
            Command::UnblockParticipant(ParticipantUnblocked { user_id })
        };
        let request = AppendRequest {
            tenant_id: tenant.as_str().to_owned(),
            conversation_id: ConversationId::direct(tenant, user, other).as_str().to_owned(),
            actor_id: user.as_str().to_owned(),
            // Blocks come and go: each telling is a command of its own.
            request_id: random::uuid(),
            command: Some(command),
            ..AppendRequest::default()
        };
        let Err(status) = self.log.clone().append(request).await else { return Ok(()) };
        match KitError::from_status(&status).reason() {
            // There is no conversation, or it knows already.
            Reason::ConversationNotFound | Reason::NoChange => Ok(()),
            _ => Err(upstream(&status)),
        }
    }
}
