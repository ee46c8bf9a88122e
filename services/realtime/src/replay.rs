//! What a stream reads of other services. Events and inbox events are read as
//! the user would read them, so that policy and visibility apply unchanged.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use confab_kit::{channel::Channel, identity::Caller};
use confab_log::{ConversationId, UserId};
use confab_proto::{
    messages::v1::{
        HeadQuery, HeadsRequest, ListEventsRequest, LogHead, ObserveRequest,
        messages_service_client::MessagesServiceClient,
    },
    method::Relation,
    participants::v1::{
        InboxEvent, ListInboxEventsRequest, ListMembershipsRequest, ListMembershipsResponse,
        ListSharingRequest, participants_service_client::ParticipantsServiceClient,
    },
};
use futures_util::future::try_join_all;
use tonic::Request;

use crate::{
    Shared,
    error::Error,
    watch::{Read, View, Wanted},
};

/// How long a read may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A page of events with the largest texts fits.
const MAX_ANSWER: usize = 64 << 20;

/// Reads for one user. It makes the clients as it needs them: a stream keeps one of
/// these for its life, and most streams hardly ever read.
#[derive(Clone)]
pub(crate) struct Reads {
    shared: Arc<Shared>,
    /// Under the user's token.
    public: Channel,
    caller: Caller,
}

impl Reads {
    pub(crate) fn new(shared: &Arc<Shared>, caller: &Caller) -> Arc<Self> {
        let public = shared.reads.with_token(&caller.token);
        Arc::new(Self { shared: Arc::clone(shared), public, caller: caller.clone() })
    }

    fn messages(&self) -> MessagesServiceClient<Channel> {
        MessagesServiceClient::new(self.public.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    fn participants(&self) -> ParticipantsServiceClient<Channel> {
        ParticipantsServiceClient::new(self.public.clone())
    }

    /// The events that are wanted; with a look, first what the user is to the
    /// conversation, and no events when that says enough.
    pub(crate) async fn events(
        self: Arc<Self>,
        conversation: ConversationId,
        Wanted { after, most, look }: Wanted,
    ) -> Result<Read, Error> {
        let view = if look { Some(self.observe(&conversation).await?) } else { None };
        if let Some(view) = &view {
            let far = view.visible.saturating_sub(after) > self.shared.limits.gap_events;
            if view.relation == Relation::Stranger || view.visible <= after || far {
                let head = view.visible;
                return Ok(Read { view: Some(view.clone()), events: Vec::new(), head });
            }
        }
        let request = ListEventsRequest {
            conversation_id: conversation.as_str().to_owned(),
            after_seq: after,
            page_size: most,
        };
        let answer = self.messages().list_events(timed(request)).await?.into_inner();
        Ok(Read { view, events: answer.events, head: answer.head_seq })
    }

    async fn observe(&self, conversation: &ConversationId) -> Result<View, Error> {
        let request = ObserveRequest {
            tenant_id: self.caller.tenant.as_str().to_owned(),
            conversation_id: conversation.as_str().to_owned(),
            user_id: self.caller.user.as_str().to_owned(),
            application: false,
        };
        let answer = self.shared.log.clone().observe(timed(request)).await?.into_inner();
        Ok(View {
            as_of: answer.as_of_seq,
            relation: Relation::from_number(answer.relation),
            visible: answer.visible_seq,
            spans: answer.spans.iter().map(|span| (span.from_seq, span.to_seq)).collect(),
        })
    }

    /// Inbox events above `after`, and the inbox's head.
    pub(crate) async fn inbox(
        self: Arc<Self>,
        after: u64,
    ) -> Result<(Vec<InboxEvent>, u64), Error> {
        let request = ListInboxEventsRequest {
            after_inbox_seq: after,
            page_size: self.shared.limits.page_events,
        };
        let mut client = self.participants();
        let answer = client.list_inbox_events(timed(request)).await?.into_inner();
        Ok((answer.events, answer.head_inbox_seq))
    }

    /// Where the user is and was a participant.
    pub(crate) async fn memberships(self: Arc<Self>) -> Result<ListMembershipsResponse, Error> {
        let request = ListMembershipsRequest {
            tenant_id: self.caller.tenant.as_str().to_owned(),
            user_id: self.caller.user.as_str().to_owned(),
        };
        let client = self.shared.members.clone().max_decoding_message_size(MAX_ANSWER);
        Ok({ client }.list_memberships(timed(request)).await?.into_inner())
    }

    /// Those of the others who are in a conversation that the user is in, too.
    pub(crate) async fn sharing(&self, others: &[UserId]) -> Result<BTreeSet<UserId>, Error> {
        let mut sharing = BTreeSet::new();
        let mut left = others;
        while !left.is_empty() {
            let request = ListSharingRequest {
                tenant_id: self.caller.tenant.as_str().to_owned(),
                user_id: self.caller.user.as_str().to_owned(),
                other_ids: left.iter().map(|user| user.as_str().to_owned()).collect(),
            };
            let answer =
                self.shared.members.clone().list_sharing(timed(request)).await?.into_inner();
            sharing.extend(answer.user_ids.iter().filter_map(|text| UserId::parse(text).ok()));
            // At least one each time, or this would go on for ever.
            let checked = usize::try_from(answer.checked).unwrap_or(usize::MAX).max(1);
            left = left.get(checked..).unwrap_or_default();
        }
        Ok(sharing)
    }

    /// Whether the user may see these events, and the inbox has this one.
    pub(crate) async fn exist(
        &self,
        cursors: Vec<(ConversationId, u64)>,
        inbox_seq: Option<u64>,
    ) -> Result<(), Error> {
        let views = try_join_all(cursors.iter().map(|(id, _)| self.observe(id))).await?;
        for ((_, cursor), view) in cursors.into_iter().zip(views) {
            if cursor > view.visible {
                return Err(Error::CursorAboveHead { cursor, head: view.visible });
            }
        }
        if let Some(cursor) = inbox_seq {
            // Above every event, so that none is read.
            let request = ListInboxEventsRequest { after_inbox_seq: u64::MAX, page_size: 1 };
            let answer = self.participants().list_inbox_events(timed(request)).await?;
            let head = answer.into_inner().head_inbox_seq;
            if cursor > head {
                return Err(Error::CursorAboveHead { cursor, head });
            }
        }
        Ok(())
    }

    /// The ends of conversations, as far as the user may see them for sure:
    /// not further than a look found the user to be a participant.
    pub(crate) async fn heads(
        self: Arc<Self>,
        wanted: Vec<(ConversationId, u64)>,
    ) -> Result<Vec<LogHead>, Error> {
        let views = try_join_all(wanted.iter().map(|(id, _)| self.observe(id))).await?;
        let mut queries = Vec::with_capacity(wanted.len());
        for ((id, above), view) in wanted.into_iter().zip(views) {
            if view.relation >= Relation::Member {
                queries.push(HeadQuery {
                    conversation_id: id.as_str().to_owned(),
                    limit_seq: view.visible,
                    above_seq: above,
                });
            }
        }
        self.query_heads(queries).await
    }

    /// Which conversations have a head above the cursor, and where. Says nothing
    /// of what the user may see.
    pub(crate) async fn behind(
        self: Arc<Self>,
        cursors: Vec<(ConversationId, u64)>,
    ) -> Result<Vec<LogHead>, Error> {
        let query = |(id, cursor): (ConversationId, u64)| HeadQuery {
            conversation_id: id.as_str().to_owned(),
            limit_seq: 0,
            above_seq: cursor,
        };
        self.query_heads(cursors.into_iter().map(query).collect()).await
    }

    async fn query_heads(&self, queries: Vec<HeadQuery>) -> Result<Vec<LogHead>, Error> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let request = HeadsRequest {
            tenant_id: self.caller.tenant.as_str().to_owned(),
            user_id: self.caller.user.as_str().to_owned(),
            queries,
            positions_only: false,
        };
        let client = self.shared.log.clone().max_decoding_message_size(MAX_ANSWER);
        Ok({ client }.heads(timed(request)).await?.into_inner().heads)
    }
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}
