//! `LogService`: the mesh's face of the log. The mesh credential was the proof;
//! whose command it is stands in the request.

use std::sync::Arc;

use confab_kit::{
    clock,
    error::{Coded, Error as KitError},
    validate::Violations,
};
use confab_log::{ConversationId, TenantId, UserId, event::Role};
use confab_proto::{
    messages::v1::{self as pb, log_service_server::LogService},
    method::Relation,
};
use tonic::{Request, Response, Status};

use crate::{
    convert::{event::message_to_pb, receipt_to_pb},
    domain::{Append, Domain, Head, HeadQuery, Standing},
    error::Error,
    store::{LogKey, LogStore},
};

/// Conversations of one Heads call, at most.
const MAX_QUERIES: usize = 1000;

/// The mesh's face of the messages service.
pub struct LogHandler<S> {
    pub(crate) domain: Arc<Domain<S>>,
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refuse(error: Error) -> Status {
    error.to_error().into()
}

#[tonic::async_trait]
impl<S: LogStore> LogService for LogHandler<S> {
    async fn append(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        let append = Append::try_from(request.into_inner())?;
        let committed = self.domain.append(append).await.map_err(refuse)?;
        Ok(Response::new(pb::AppendResponse { seq: committed.seq }))
    }

    async fn observe(
        &self,
        request: Request<pb::ObserveRequest>,
    ) -> Result<Response<pb::ObserveResponse>, Status> {
        let request = request.into_inner();
        let mut v = Violations::default();
        let tenant = v.parse("tenant_id", TenantId::parse(&request.tenant_id));
        let conversation =
            v.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        let user = v.parse("user_id", UserId::parse(&request.user_id));
        v.finish()?;
        let (Some(tenant), Some(conversation), Some(user)) = (tenant, conversation, user) else {
            return Err(KitError::violation("request", "is incomplete").into());
        };
        let key = LogKey { tenant, conversation };
        if request.application {
            let observed = self.domain.logs.observe(&key, Vec::new()).await.map_err(refuse)?;
            return Ok(Response::new(observed_by_application(observed.as_of)));
        }
        let standing = self.domain.standing(&key, &user).await.map_err(refuse)?;
        Ok(Response::new(observed(&user, &standing)))
    }

    async fn heads(
        &self,
        request: Request<pb::HeadsRequest>,
    ) -> Result<Response<pb::HeadsResponse>, Status> {
        let (user, queries) = head_queries(&request.into_inner())?;
        let heads = self.domain.heads(&user, queries).await.map_err(refuse)?;
        let heads = heads.iter().map(|head| head_to_pb(&user, head)).collect();
        Ok(Response::new(pb::HeadsResponse { heads }))
    }
}

fn observed(user: &UserId, standing: &Standing) -> pb::ObserveResponse {
    let Some(member) = standing.member() else {
        return pb::ObserveResponse { as_of_seq: standing.as_of, ..Default::default() };
    };
    let relation = match standing.role() {
        None if member.intervals.is_empty() => Relation::Stranger,
        None => Relation::FormerMember,
        Some(Role::Member) => Relation::Member,
        Some(Role::Admin) => Relation::Admin,
        Some(Role::Owner) => Relation::Owner,
    };
    let sight = standing.sight();
    let spans = sight.parts().iter();
    pb::ObserveResponse {
        as_of_seq: standing.as_of,
        relation: relation.number(),
        visible_seq: sight.visible(),
        join_seq: member.intervals.last().map_or(0, |interval| interval.join),
        spans: spans.map(|(from, to)| pb::VisibleSpan { from_seq: *from, to_seq: *to }).collect(),
        can_write: standing.can_write(user),
        participant_count: standing.conversation().map_or(0, |row| row.participant_count),
    }
}

/// An application has an owner's rights in every conversation of its tenant.
fn observed_by_application(as_of: u64) -> pb::ObserveResponse {
    let relation = if as_of > 0 { Relation::Owner } else { Relation::Stranger };
    pb::ObserveResponse {
        as_of_seq: as_of,
        relation: relation.number(),
        visible_seq: as_of,
        ..Default::default()
    }
}

fn head_queries(request: &pb::HeadsRequest) -> Result<(UserId, Vec<HeadQuery>), KitError> {
    let mut v = Violations::default();
    let tenant = v.parse("tenant_id", TenantId::parse(&request.tenant_id));
    let user = v.parse("user_id", UserId::parse(&request.user_id));
    v.check(request.queries.len() <= MAX_QUERIES, "queries", "must be at most 1000");
    let mut queries = Vec::new();
    for query in request.queries.iter().take(MAX_QUERIES) {
        let conversation =
            v.parse("queries.conversation_id", ConversationId::parse(&query.conversation_id));
        if let (Some(tenant), Some(conversation)) = (tenant.clone(), conversation) {
            queries.push(HeadQuery {
                key: LogKey { tenant, conversation },
                limit: Some(query.limit_seq).filter(|seq| *seq > 0),
                above: query.above_seq,
                position_only: request.positions_only,
            });
        }
    }
    v.finish()?;
    let user = user.ok_or_else(|| KitError::violation("request", "is incomplete"))?;
    Ok((user, queries))
}

fn head_to_pb(user: &UserId, head: &Head) -> pb::LogHead {
    let id = &head.key.conversation;
    pb::LogHead {
        conversation_id: id.to_string(),
        seq: head.seq,
        activity_time: Some(clock::timestamp(head.time)),
        unread_count: head.unread,
        last_message: head
            .last_message
            .as_ref()
            .and_then(|(event, own)| message_to_pb(id, event, own)),
        receipt: Some(receipt_to_pb(user, head.cursors)),
        mention_count: head.mentions,
    }
}
