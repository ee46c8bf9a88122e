//! What this service asks of others: the log appends, observes and gives heads;
//! participants says where a user is. Answers are checked, errors pass through.

use std::collections::BTreeMap;

use confab_kit::{channel::Channel, clock, error::Reason, identity::Caller};
use confab_log::{ConversationId, Micros, UserId};
use confab_proto::{
    messages::v1::{
        AppendRequest, HeadQuery, HeadsRequest, LogHead, ObserveRequest,
        log_service_client::LogServiceClient,
    },
    method::Relation,
    participants::v1::{
        EnforceBlocksRequest, FindBlocksRequest, FindBlocksResponse, ListMembershipsRequest,
        member_rows_service_client::MemberRowsServiceClient,
    },
};
use metrics::counter;
use tonic::Status;

use crate::{
    convert::rows::settings_from_pb,
    domain::Membership,
    error::{Error, unanswered, unresolved},
};

/// How many heads one call asks for: each may carry a message.
const HEADS_PER_CALL: usize = 64;
/// How many positions one call asks for.
const POSITIONS_PER_CALL: usize = 1000;
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
            application: !caller.is_user(),
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
                settings: settings_from_pb(membership.settings),
            };
            Ok((id, membership))
        });
        list.collect()
    }

    /// The ends of logs as the caller sees them.
    pub(crate) async fn heads(
        &self,
        caller: &Caller,
        queries: &[HeadQuery],
    ) -> Result<Vec<(ConversationId, LogHead)>, Error> {
        let mut heads = Vec::with_capacity(queries.len());
        for chunk in queries.chunks(HEADS_PER_CALL) {
            heads.extend(self.some_heads(caller, chunk, false).await?);
        }
        Ok(heads)
    }

    /// When logs moved last.
    pub(crate) async fn activity(
        &self,
        caller: &Caller,
        queries: &[HeadQuery],
    ) -> Result<Vec<(ConversationId, Micros)>, Error> {
        let mut activity = Vec::with_capacity(queries.len());
        for chunk in queries.chunks(POSITIONS_PER_CALL) {
            let heads = self.some_heads(caller, chunk, true).await?;
            activity.extend(heads.into_iter().map(|(id, head)| {
                (id, head.activity_time.as_ref().and_then(clock::micros).unwrap_or(0))
            }));
        }
        Ok(activity)
    }

    async fn some_heads(
        &self,
        caller: &Caller,
        queries: &[HeadQuery],
        positions_only: bool,
    ) -> Result<Vec<(ConversationId, LogHead)>, Error> {
        let request = HeadsRequest {
            tenant_id: caller.tenant.as_str().to_owned(),
            user_id: caller.user.as_str().to_owned(),
            queries: queries.to_vec(),
            positions_only,
        };
        let answer = self.log.clone().heads(request).await.map_err(read_error)?;
        let heads = answer.into_inner().heads.into_iter().map(|head| {
            let id = ConversationId::parse(&head.conversation_id)
                .map_err(|_| Error::Contract("a head of a malformed conversation"))?;
            Ok((id, head))
        });
        heads.collect()
    }

    /// Which of some people have blocked somebody, or are blocked by them.
    pub(crate) async fn blocks(
        &self,
        caller: &Caller,
        one: &UserId,
        others: impl IntoIterator<Item = &UserId>,
    ) -> Result<FindBlocksResponse, Error> {
        let request = FindBlocksRequest {
            tenant_id: caller.tenant.as_str().to_owned(),
            user_id: one.as_str().to_owned(),
            other_ids: others.into_iter().map(|other| other.as_str().to_owned()).collect(),
        };
        let answer = self.members.clone().find_blocks(request).await.map_err(read_error)?;
        Ok(answer.into_inner())
    }

    /// Lets a block count that has come while the conversation was made.
    pub(crate) async fn enforce_blocks(
        &self,
        caller: &Caller,
        one: &UserId,
        other: &UserId,
    ) -> Result<(), Error> {
        let request = EnforceBlocksRequest {
            tenant_id: caller.tenant.as_str().to_owned(),
            user_id: one.as_str().to_owned(),
            other_id: other.as_str().to_owned(),
        };
        self.members.clone().enforce_blocks(request).await.map_err(|status| unresolved(&status))?;
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn read_error(status: Status) -> Error {
    unanswered(&status)
}
