//! The fakes of all services that a stream calls, behind one router. A test's
//! token is its user's name unless the world knows better.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use confab_kit::error::{Error, Reason};
use confab_proto::{
    messages::v1::{
        HeadsRequest, HeadsResponse, ListEventsRequest, ListEventsResponse, LogHead,
        ObserveRequest, ObserveResponse, SendMessageRequest, SendMessageResponse,
    },
    participants::v1::{
        ListInboxEventsRequest, ListInboxEventsResponse, ListMembershipsRequest,
        ListMembershipsResponse, ListSharingRequest, ListSharingResponse, Membership,
    },
};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use tonic::{Status, body::Body};

use super::World;

/// See the module.
#[derive(Clone)]
pub(crate) struct Router(pub(crate) World);

impl tower::Service<http::Request<Body>> for Router {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let world = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes().slice(5..);
            let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
            let token = token.and_then(|token| token.strip_prefix("Bearer ")).unwrap_or_default();
            let user = world.lock().tokens.get(token).cloned().unwrap_or_else(|| token.to_owned());
            let answer = answer(&world, parts.uri.path(), &user, bytes).await;
            Ok(answer
                .map_or_else(|error| Status::from(error).into_http(), |message| respond(&message)))
        })
    }
}

fn respond(message: &[u8]) -> http::Response<Body> {
    let mut data = BytesMut::new();
    data.put_u8(0);
    data.put_u32(u32::try_from(message.len()).expect("short"));
    data.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [http_body::Frame::data(data.freeze()), http_body::Frame::trailers(trailers)];
    let frames = frames.into_iter().map(Ok::<_, Status>);
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let mut response = http::Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

async fn answer(world: &World, path: &str, user: &str, bytes: Bytes) -> Result<Vec<u8>, Error> {
    world.lock().calls.push(path.to_owned());
    let method = path.rsplit('/').next().unwrap_or_default();
    // Answers take a moment, so that things happen in between.
    tokio::task::yield_now().await;
    match method {
        "Observe" => Ok(observe(world, &decode(bytes)).encode_to_vec()),
        "Heads" => Ok(heads(world, &decode(bytes)).encode_to_vec()),
        "ListEvents" => Ok(list_events(world, user, &decode(bytes))?.encode_to_vec()),
        "ListInboxEvents" => Ok(list_inbox(world, user, &decode(bytes)).encode_to_vec()),
        "ListSharing" => Ok(list_sharing(world, &decode(bytes))?.encode_to_vec()),
        "ListMemberships" => Ok(memberships(world, &decode(bytes)).encode_to_vec()),
        "SendMessage" => send(world, user, &decode(bytes)).await,
        _ => Err(Error::new(Reason::UnknownMethod, "the fakes do not have it")),
    }
}

fn decode<T: prost::Message + Default>(bytes: Bytes) -> T {
    T::decode(bytes).expect("the request decodes")
}

fn observe(world: &World, request: &ObserveRequest) -> ObserveResponse {
    let inner = world.lock();
    let Some(log) = inner.logs.get(&request.conversation_id) else {
        return ObserveResponse::default();
    };
    let (relation, visible_seq) = match log.view(&request.user_id) {
        None => (0, 0),
        Some((false, leave)) => (1, leave),
        Some((true, head)) => (2, head),
    };
    ObserveResponse {
        as_of_seq: log.head(),
        relation,
        visible_seq,
        join_seq: 0,
        spans: Vec::new(),
        can_write: relation == 2 && !inner.muted.contains(&request.user_id),
        participant_count: log.participants.unwrap_or(3),
    }
}

/// Looks at two a call.
fn list_sharing(world: &World, request: &ListSharingRequest) -> Result<ListSharingResponse, Error> {
    let mut inner = world.lock();
    if inner.failing_reads > 0 {
        inner.failing_reads -= 1;
        return Err(Error::new(Reason::StoreUnavailable, "on purpose"));
    }
    let is_in =
        |log: &super::world::Log, user: &str| log.view(user).is_some_and(|(active, _)| active);
    let shares = |other: &&String| {
        inner.logs.values().any(|log| is_in(log, &request.user_id) && is_in(log, other))
    };
    let looked = request.other_ids.iter().take(2);
    let user_ids = looked.clone().filter(shares).cloned().collect();
    let checked = u32::try_from(looked.count()).expect("few");
    Ok(ListSharingResponse { user_ids, checked })
}

fn heads(world: &World, request: &HeadsRequest) -> HeadsResponse {
    let inner = world.lock();
    let mut heads = Vec::new();
    for query in &request.queries {
        let head = inner.logs.get(&query.conversation_id).map_or(0, super::world::Log::head);
        let limit = if query.limit_seq == 0 { u64::MAX } else { query.limit_seq };
        let seq = head.min(limit);
        if seq > query.above_seq {
            heads.push(LogHead {
                conversation_id: query.conversation_id.clone(),
                seq,
                ..LogHead::default()
            });
        }
    }
    HeadsResponse { heads }
}

fn list_events(
    world: &World,
    user: &str,
    request: &ListEventsRequest,
) -> Result<ListEventsResponse, Error> {
    let mut inner = world.lock();
    if inner.failing_reads > 0 {
        inner.failing_reads -= 1;
        return Err(Error::new(Reason::StoreUnavailable, "on purpose"));
    }
    let log = inner.logs.get(&request.conversation_id);
    let Some((log, (_, visible))) = log.and_then(|log| Some((log, log.view(user)?))) else {
        return Err(Error::new(Reason::ConversationNotFound, "no such conversation"));
    };
    let from = usize::try_from(request.after_seq).expect("small");
    let to = usize::try_from(visible).expect("small");
    let page = usize::try_from(request.page_size).expect("small");
    let events = log.events.get(from..to).unwrap_or_default();
    Ok(ListEventsResponse {
        events: events.iter().take(page).cloned().collect(),
        head_seq: visible,
    })
}

fn list_inbox(
    world: &World,
    user: &str,
    request: &ListInboxEventsRequest,
) -> ListInboxEventsResponse {
    let inner = world.lock();
    let inbox = inner.inboxes.get(user).cloned().unwrap_or_default();
    let head_inbox_seq = inbox.len() as u64;
    let from = usize::try_from(request.after_inbox_seq).expect("small");
    let page = usize::try_from(request.page_size).expect("small");
    let events = inbox.get(from..).unwrap_or_default();
    ListInboxEventsResponse { events: events.iter().take(page).cloned().collect(), head_inbox_seq }
}

fn memberships(world: &World, request: &ListMembershipsRequest) -> ListMembershipsResponse {
    let inner = world.lock();
    let mut memberships = Vec::new();
    for (conversation_id, log) in &inner.logs {
        if let Some((active, _)) = log.view(&request.user_id) {
            memberships.push(Membership {
                conversation_id: conversation_id.clone(),
                active,
                ..Membership::default()
            });
        }
    }
    let inbox = inner.inboxes.get(&request.user_id);
    ListMembershipsResponse { memberships, head_inbox_seq: inbox.map_or(0, Vec::len) as u64 }
}

/// Text "slow" never answers, text "bad" is refused.
async fn send(world: &World, user: &str, request: &SendMessageRequest) -> Result<Vec<u8>, Error> {
    let text = request.content.as_ref().map(|content| content.text.as_str()).unwrap_or_default();
    match text {
        "slow" => std::future::pending().await,
        "bad" => Err(Error::violation("content.text", format!("{user} may not say so"))),
        text => {
            let number = u8::from_str_radix(&request.conversation_id, 16).expect("a test's id");
            let event = world.write(number, text);
            world.tell(&event);
            let message = confab_proto::messages::v1::Message {
                seq: event.seq,
                sender_id: user.to_owned(),
                ..confab_proto::messages::v1::Message::default()
            };
            Ok(SendMessageResponse { message: Some(message) }.encode_to_vec())
        }
    }
}
