//! The caller's list, and the comparison of heads. Both are made of answers of
//! three services, read one after the other; what was read while the caller's
//! membership changed is not shown, so that nobody sees past their leave.

use std::collections::BTreeMap;

use confab_kit::{admission::Admitted, identity::Caller};
use confab_log::{ConversationId, row::ConversationRow};
use confab_proto::{conversations::v1 as pb, messages::v1::HeadQuery, method::RpcRequest};
use prost::Message as _;

use super::public::Public;
use crate::{
    convert::rows,
    domain::{Compare, Filter, List, ListPublic, Part, Place},
    error::Error,
    peers::Memberships,
    store::ConversationStore,
};

/// How often heads are asked for while memberships change under the question.
const ROUNDS: usize = 3;

/// Rows read at once while a filter looks for the ones it shows.
const ROWS_PER_READ: usize = 128;

/// How many bytes an answer may have before it is cut short: clients take 4 MiB,
/// and one more item has far less than what is left.
const MAX_BYTES: usize = 3 << 20;

impl<S: ConversationStore> Public<S> {
    pub(crate) async fn list(
        &self,
        admitted: &Admitted<List>,
    ) -> Result<pb::ListConversationsResponse, Error> {
        let (caller, list) = (admitted.caller(), admitted.message());
        let after = self.open_token(caller, list)?;
        let before = self.peers.memberships(caller).await?;
        let mut places = self.places(caller, &list.filter, &before).await?;
        places.retain(|place| after.as_ref().is_none_or(|after| place > after));
        let mut places = self.shown(caller, list, places).await?;
        let mut more = places.len() > list.limit;
        places.truncate(list.limit);

        let mut items = self.items(caller, &list.filter, &places, &before).await?;
        let mut answer = pb::ListConversationsResponse::default();
        let (mut bytes, mut end) = (0, None);
        for place in &places {
            if bytes > MAX_BYTES {
                more = true;
                break;
            }
            end = Some(place);
            if let Some(item) = items.remove(&place.conversation) {
                bytes += item.encoded_len();
                answer.conversations.push(item);
            }
        }
        if let Some(end) = end.filter(|_| more) {
            answer.next_page_token = self.seal_token(caller, list, end);
        }
        Ok(answer)
    }

    /// The places of the caller's conversations, in order. When they moved may be a
    /// second old; that there is one is never.
    async fn places(
        &self,
        caller: &Caller,
        filter: &Filter,
        memberships: &Memberships,
    ) -> Result<Vec<Place>, Error> {
        let active = memberships.iter().filter(|(_, membership)| membership.active);
        let wanted = active.filter(|(_, membership)| filter.part.holds(&membership.settings));
        let wanted: Vec<&ConversationId> = wanted.map(|(id, _)| id).collect();
        let order = self.orders.of(caller);
        let mut order = order.lock().await;
        let known = order.young();
        let unknown: Vec<HeadQuery> =
            wanted.iter().filter(|id| !known.contains_key(**id)).map(|id| unlimited(id)).collect();
        known.extend(self.peers.activity(caller, &unknown).await?);
        let places = wanted.iter().filter_map(|id| {
            let activity = *known.get(*id)?;
            Some(Place { activity, conversation: (*id).clone() })
        });
        let mut places: Vec<Place> = places.collect();
        drop(order);
        places.sort_unstable();
        Ok(places)
    }

    /// As many places as a page needs, and one more, of those that the filter shows.
    async fn shown(
        &self,
        caller: &Caller,
        list: &List,
        places: Vec<Place>,
    ) -> Result<Vec<Place>, Error> {
        let mut shown = Vec::new();
        for chunk in places.chunks(ROWS_PER_READ) {
            let ids: Vec<_> = chunk.iter().map(|place| place.conversation.clone()).collect();
            let rows = self.rows(caller, &ids, &list.filter).await?;
            let seen = chunk.iter().filter(|place| rows.contains_key(&place.conversation));
            shown.extend(seen.cloned());
            if shown.len() > list.limit {
                break;
            }
        }
        shown.truncate(list.limit + 1);
        Ok(shown)
    }

    /// What is shown at these places. The rows are read after the heads, so that
    /// each holds what its head promises, and the memberships after the rows.
    async fn items(
        &self,
        caller: &Caller,
        filter: &Filter,
        places: &[Place],
        before: &Memberships,
    ) -> Result<BTreeMap<ConversationId, pb::ConversationListItem>, Error> {
        let ids: Vec<ConversationId> =
            places.iter().map(|place| place.conversation.clone()).collect();
        let queries: Vec<HeadQuery> = ids.iter().map(unlimited).collect();
        let heads = self.peers.heads(caller, &queries).await?;
        let mut rows = self.rows(caller, &ids, filter).await?;
        let now = self.peers.memberships(caller).await?;
        let items = heads.into_iter().filter_map(|(id, head)| {
            let membership = now.get(&id).filter(|now| before.get(&id) == Some(now))?;
            let row = rows.remove(&id)?;
            let conversation = Some(rows::conversation_to_pb(&id, row));
            let head = Some(rows::head_to_pb(head));
            let settings = Some(rows::settings_to_pb(&membership.settings));
            Some((id, pb::ConversationListItem { conversation, head, settings }))
        });
        Ok(items.collect())
    }

    pub(crate) async fn public_channels(
        &self,
        admitted: &Admitted<ListPublic>,
    ) -> Result<pb::ListPublicChannelsResponse, Error> {
        let (caller, list) = (admitted.caller(), admitted.message());
        let context = [
            pb::ListPublicChannelsRequest::METHOD.path,
            caller.tenant.as_str(),
            caller.user.as_str(),
            &list.title,
        ];
        let after = match list.page_token.as_str() {
            "" => None,
            token => {
                let id = self.sealer.open(&context, token)?.try_into();
                let id = id.map_err(|_| Error::Contract("a page token that is ours and wrong"))?;
                Some(ConversationId::from_bytes(id))
            }
        };
        // A page is what one read finds: a rare title is not searched for at once.
        let rows = self.store.public(&caller.tenant, after.as_ref(), ROWS_PER_READ).await?;
        let mut answer = pb::ListPublicChannelsResponse::default();
        let mut end = rows.last().filter(|_| rows.len() == ROWS_PER_READ).map(|(id, _)| id.clone());
        for (id, row) in rows {
            if answer.conversations.len() == list.limit {
                break;
            }
            if list.title.is_empty() || row.title.to_lowercase().contains(&list.title) {
                answer.conversations.push(rows::conversation_to_pb(&id, row));
                if answer.conversations.len() == list.limit {
                    end = Some(id);
                }
            }
        }
        if let Some(end) = end {
            answer.next_page_token = self.sealer.seal(&context, &end.to_bytes());
        }
        Ok(answer)
    }

    async fn rows(
        &self,
        caller: &Caller,
        ids: &[ConversationId],
        filter: &Filter,
    ) -> Result<BTreeMap<ConversationId, ConversationRow>, Error> {
        let rows = self.store.rows(&caller.tenant, ids).await?;
        Ok(rows.into_iter().filter(|(_, row)| filter.shows(row)).collect())
    }

    pub(crate) async fn compare(
        &self,
        admitted: &Admitted<Compare>,
    ) -> Result<pb::CompareHeadsResponse, Error> {
        let (caller, cursors) = (admitted.caller(), &admitted.message().cursors);
        let mut memberships = self.peers.memberships(caller).await?;
        for round in 1.. {
            let queries: Vec<HeadQuery> = cursors
                .iter()
                .filter_map(|(id, seq)| {
                    Some(HeadQuery {
                        conversation_id: id.as_str().to_owned(),
                        limit_seq: memberships.get(id)?.limit(),
                        above_seq: *seq,
                    })
                })
                .collect();
            let mut heads = self.peers.heads(caller, &queries).await?;
            let now = self.peers.memberships(caller).await?;
            let asked = heads.len();
            heads.retain(|(id, _)| memberships.get(id) == now.get(id));
            if heads.len() == asked || round == ROUNDS {
                let moved = heads.into_iter().map(|(_, head)| rows::head_to_pb(head)).collect();
                return Ok(pb::CompareHeadsResponse { moved: bounded(moved) });
            }
            memberships = now;
        }
        Ok(pb::CompareHeadsResponse::default())
    }

    fn open_token(&self, caller: &Caller, list: &List) -> Result<Option<Place>, Error> {
        if list.page_token.is_empty() {
            return Ok(None);
        }
        let context = context(caller, list);
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let payload = self.sealer.open(&context, &list.page_token)?;
        // Only we seal tokens, so a wrong payload is a fault of ours.
        let place = place(&payload).ok_or(Error::Contract("a page token that is ours and wrong"));
        place.map(Some)
    }

    fn seal_token(&self, caller: &Caller, list: &List, place: &Place) -> String {
        let context = context(caller, list);
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let mut payload = place.activity.to_be_bytes().to_vec();
        payload.extend(place.conversation.to_bytes());
        self.sealer.seal(&context, &payload)
    }
}

fn unlimited(id: &ConversationId) -> HeadQuery {
    HeadQuery { conversation_id: id.as_str().to_owned(), limit_seq: 0, above_seq: 0 }
}

/// Without the messages that would make the answer too large. Their heads have
/// moved, so the client is about to read them anyway.
fn bounded(mut moved: Vec<pb::ConversationHead>) -> Vec<pb::ConversationHead> {
    let mut bytes = 0;
    for head in &mut moved {
        if bytes > MAX_BYTES {
            head.last_message = None;
        }
        bytes += head.encoded_len();
    }
    moved
}

/// What a token is good for: this user and these filters, nothing else.
fn context(caller: &Caller, list: &List) -> [String; 7] {
    let kind = list.filter.kind.map_or(0, |kind| i32::from(rows::kind_to_pb(kind)));
    [
        pb::ListConversationsRequest::METHOD.path.to_owned(),
        caller.tenant.as_str().to_owned(),
        caller.user.as_str().to_owned(),
        kind.to_string(),
        list.filter.title.clone(),
        list.filter.archived.to_string(),
        match list.filter.part {
            Part::Current => "current",
            Part::Archive => "archive",
            Part::Favourites => "favourites",
            Part::Everything => "everything",
        }
        .to_owned(),
    ]
}

fn place(payload: &[u8]) -> Option<Place> {
    let (activity, id) = payload.split_at_checked(8)?;
    let activity = i64::from_be_bytes(activity.try_into().ok()?);
    let conversation = ConversationId::from_bytes(id.try_into().ok()?);
    Some(Place { activity, conversation })
}
