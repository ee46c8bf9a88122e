//! Page tokens of others, of other calls, of other filters, and forged ones.

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{ListConversationsRequest, ListConversationsResponse},
    messages::v1::{
        ListMessagesRequest, ListMessagesResponse, ListOrder, ListReactionsRequest,
        ListReactionsResponse, ListReceiptsRequest, ListReceiptsResponse, MarkReadRequest,
    },
    method::RpcRequest,
    participants::v1::{
        BanParticipantRequest, ListBansRequest, ListBansResponse, ListParticipantsRequest,
        ListParticipantsResponse,
    },
};
use confab_tests::harness::{Checked, Violation};
use prost::Message as _;

use super::{Place, is_refused, passes};

/// A first page of one, for each RPC that pages by token.
struct Pages {
    messages: ListMessagesRequest,
    reactions: ListReactionsRequest,
    receipts: ListReceiptsRequest,
    participants: ListParticipantsRequest,
    bans: ListBansRequest,
    conversations: ListConversationsRequest,
}

/// Fills every list of mallory's with two entries, and takes each first page.
async fn pages(place: &Place) -> Checked<(Pages, Vec<String>)> {
    let id = &place.group;
    let first = place.mallory.send(id, "one").await?.seq;
    place.mallory.send(id, "two").await?;
    let walter = place.node.client(super::TENANT, "walter").await?;
    for client in [&place.mallory, &walter] {
        client.react(id, first, "👍").await?;
        client.call(MarkReadRequest { conversation_id: id.clone(), read_seq: 1 }).await?;
    }
    for user in ["eve", "oscar"] {
        let (conversation_id, user_id) = (id.clone(), user.to_owned());
        let ban = BanParticipantRequest { conversation_id, user_id, ..Default::default() };
        place.mallory.command(ban).await?;
    }
    place.mallory.create_group("another", &["walter"]).await?;
    let (page_size, conversation_id) = (1, id.clone());
    let mut pages = Pages {
        messages: ListMessagesRequest { conversation_id, page_size, ..Default::default() },
        reactions: ListReactionsRequest {
            conversation_id: id.clone(),
            message_seq: first,
            page_size,
            page_token: String::new(),
        },
        receipts: ListReceiptsRequest {
            conversation_id: id.clone(),
            page_size,
            page_token: String::new(),
        },
        participants: ListParticipantsRequest {
            conversation_id: id.clone(),
            page_size,
            page_token: String::new(),
        },
        bans: ListBansRequest { conversation_id: id.clone(), page_size, page_token: String::new() },
        conversations: ListConversationsRequest { page_size, ..Default::default() },
    };
    let mut tokens = Vec::new();
    macro_rules! take {
        ($field:ident, $response:ident) => {
            let answer = place.answers(&pages.$field).await?;
            let answer = $response::decode(answer).map_err(Violation::unable)?;
            Violation::unless(!answer.next_page_token.is_empty(), || {
                format!("no second page of {}", stringify!($field))
            })?;
            pages.$field.page_token.clone_from(&answer.next_page_token);
            tokens.push(answer.next_page_token);
        };
    }
    take!(messages, ListMessagesResponse);
    take!(reactions, ListReactionsResponse);
    take!(receipts, ListReceiptsResponse);
    take!(participants, ListParticipantsResponse);
    take!(bans, ListBansResponse);
    take!(conversations, ListConversationsResponse);
    Ok((pages, tokens))
}

async fn refused<R: RpcRequest + std::fmt::Debug>(
    place: &Place,
    what: &str,
    request: &R,
) -> Checked {
    let outcome = place.raw.unary(request).await?;
    is_refused(&format!("{what}: {request:?}"), outcome, Reason::InvalidPageToken, &[]).map(drop)
}

/// Tokens of other RPCs, and tokens that nobody made.
async fn of_other_calls(place: &Place, pages: &Pages, tokens: &[String]) -> Checked {
    macro_rules! check {
        ($field:ident) => {
            let own = pages.$field.page_token.clone();
            place.answers(&pages.$field).await?;
            let mut forged = vec![
                "x".to_owned(),
                "not base64!".to_owned(),
                "A".repeat(5000),
                own[..own.len() - 1].to_owned(),
                format!("{own}A"),
            ];
            forged.extend((0..own.len()).step_by(7).map(|index| flipped(&own, index)));
            forged.extend(tokens.iter().filter(|token| **token != own).cloned());
            for page_token in forged {
                let request = {
                    let mut r = pages.$field.clone();
                    r.page_token = page_token;
                    r
                };
                refused(place, "a token of another call, or forged", &request).await?;
            }
        };
    }
    check!(messages);
    check!(reactions);
    check!(receipts);
    check!(participants);
    check!(bans);
    check!(conversations);
    Ok(())
}

/// One character of the token is another one: of the same alphabet.
fn flipped(token: &str, index: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap_or_default()
}

/// The same call with another filter, or about something else.
async fn of_other_filters(place: &Place, pages: &Pages) -> Checked {
    let other = place.mallory.create_group("third", &["walter"]).await?.conversation_id;
    let order = ListOrder::OldestFirst.into();
    refused(place, "order", &ListMessagesRequest { order, ..pages.messages.clone() }).await?;
    refused(place, "from", &ListMessagesRequest { from_seq: 2, ..pages.messages.clone() }).await?;
    let message_seq = pages.reactions.message_seq + 1;
    refused(place, "message", &ListReactionsRequest { message_seq, ..pages.reactions.clone() })
        .await?;
    let list = pages.conversations.clone();
    refused(place, "type", &ListConversationsRequest { r#type: 2, ..list.clone() }).await?;
    let title_query = "o".to_owned();
    refused(place, "title", &ListConversationsRequest { title_query, ..list.clone() }).await?;
    refused(place, "archived", &ListConversationsRequest { include_archived: true, ..list })
        .await?;
    macro_rules! elsewhere {
        ($($field:ident),*) => {$({
            let mut request = pages.$field.clone();
            request.conversation_id.clone_from(&other);
            refused(place, "another conversation", &request).await?;
        })*};
    }
    elsewhere!(messages, receipts, participants, bans);
    Ok(())
}

/// Walter sees the same conversation and has no use for mallory's tokens.
async fn of_other_users(place: &Place, pages: &Pages) -> Checked {
    let walter = place.raw_as("walter");
    let outcomes = [
        walter.unary(&pages.messages).await?,
        walter.unary(&pages.reactions).await?,
        walter.unary(&pages.receipts).await?,
        walter.unary(&pages.participants).await?,
        walter.unary(&pages.conversations).await?,
    ];
    for outcome in outcomes {
        is_refused("walter with mallory's token", outcome, Reason::InvalidPageToken, &[])?;
    }
    Ok(())
}

async fn check() -> Checked {
    let place = Place::new().await?;
    let (pages, tokens) = pages(&place).await?;
    of_other_calls(&place, &pages, &tokens).await?;
    of_other_filters(&place, &pages).await?;
    of_other_users(&place, &pages).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn page_tokens_are_good_for_their_own_call_only() {
    passes(check().await);
}
