//! What this service asks of others: the log appends, observes and gives heads;
//! participants says where a user is. Answers are checked, errors pass through.

use std::collections::BTreeMap;

use confab_kit::{channel::Channel, error::Reason, identity::Caller};
use confab_log::ConversationId;
use confab_proto::{
    messages::v1::{
        AppendRequest, HeadQuery, HeadsRequest, LogHead, ObserveRequest,
        log_service_client::LogServiceClient,
    },
    method::Relation,
    participants::v1::{
        ListMembershipsRequest, member_rows_service_client::MemberRowsServiceClient,
    },
};
use metrics::counter;
use tonic::Status;

use crate::{
    domain::Membership,
    error::{Error, unanswered, unresolved},
};

/// How many heads one call asks for: each may carry a message.
const HEADS_PER_CALL: usize = 64;
/// How large an answer may be, in bytes: above what 64 messages or the
/// memberships of the busiest user come to.
const MAX_ANSWER: usize = 64 << 20;

/// Where a user is or was.
pub(crate) type Memberships = BTreeMap<ConversationId, Membership>;

/// The others.
pub(crate) struct Peers {
    log: LogServiceClient<Channel>,
    members: MemberRowsServiceClient<Channel>,
}

impl Peers {
    pub(crate) fn new(
        log: LogServiceClient<Channel>,
        members: MemberRowsServiceClient<Channel>,
    ) -> Self {
        Self {
            log: log.max_decoding_message_size(MAX_ANSWER),
            members: members.max_decoding_message_size(MAX_ANSWER),
        }
    }

    /// Submits a command; the seq of its event.
    pub(crate) async fn append(&self, request: AppendRequest) -> Result<u64, Error> {
        match self.log.clone().append(request).await {
            Ok(answer) => Ok(answer.into_inner().seq),
            Err(status) => {
                let error = unresolved(&status);
                if error.reason() == Some(Reason::EtagMismatch) {
                    counter!("confab_version_conflicts_total").increment(1);
                }
                Err(error)
            }
        }
    }

    /// Whether the caller is a participant now.
    pub(crate) async fn is_participant(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
    ) -> Result<bool, Error> {
        let request = ObserveRequest {
            tenant_id: caller.tenant.as_str().to_owned(),
            conversation_id: conversation.as_str().to_owned(),
            user_id: caller.user.as_str().to_owned(),
        };
        let seen = self.log.clone().observe(request).await.map_err(read_error)?.into_inner();
        Ok(Relation::from_number(seen.relation) >= Relation::Member)
    }

    /// Where the caller is or was.
    pub(crate) async fn memberships(&self, caller: &Caller) -> Result<Memberships, Error> {
        let request = ListMembershipsRequest {
            tenant_id: caller.tenant.as_str().to_owned(),
            user_id: caller.user.as_str().to_owned(),
        };
        let answer = self.members.clone().list_memberships(request).await.map_err(read_error)?;
        let list = answer.into_inner().memberships.into_iter().map(|membership| {
            let id = ConversationId::parse(&membership.conversation_id)
                .map_err(|_| Error::Contract("a membership of a malformed conversation"))?;
            let membership = Membership {
                active: membership.active,
                join_seq: membership.join_seq,
                leave_seq: membership.leave_seq,
            };
            Ok((id, membership))
        });
        list.collect()
    }

    /// The ends of logs as the caller sees them, each as what `keep` makes of
    /// it: a user may have thousands, and their messages are not kept in vain.
    pub(crate) async fn heads<T>(
        &self,
        caller: &Caller,
        queries: &[HeadQuery],
        keep: impl Fn(ConversationId, LogHead) -> T,
    ) -> Result<Vec<T>, Error> {
        let mut kept = Vec::with_capacity(queries.len());
        for chunk in queries.chunks(HEADS_PER_CALL) {
            let request = HeadsRequest {
                tenant_id: caller.tenant.as_str().to_owned(),
                user_id: caller.user.as_str().to_owned(),
                queries: chunk.to_vec(),
            };
            let answer = self.log.clone().heads(request).await.map_err(read_error)?;
            for head in answer.into_inner().heads {
                let id = ConversationId::parse(&head.conversation_id)
                    .map_err(|_| Error::Contract("a head of a malformed conversation"))?;
                kept.push(keep(id, head));
            }
        }
        Ok(kept)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn read_error(status: Status) -> Error {
    unanswered(&status)
}
