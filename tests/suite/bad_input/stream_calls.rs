//! Calls on a stream that are none, and too many of them at once.

use std::collections::BTreeMap;

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{GetConversationRequest, LoadRowRequest},
    messages::v1::{AppendRequest, Content, ObserveRequest, SendMessageRequest},
    participants::v1::RecordReadRequest,
    realtime::v1::{
        Call, ConnectRequest, Result as CallResult, SubscribeRequest,
        connect_request::Frame as Request, connect_response::Frame, result::Outcome,
    },
};
use confab_tests::harness::{Checked, Violation};
use prost::{Message as _, Name as _};
use prost_types::{Any, Duration};

use super::{Place, passes};
use crate::raw::{Refused, Stream, call, framed, hello, reason_name};

/// Calls that run at a time on one stream.
const AT_A_TIME: usize = 64;

fn result(frame: Frame) -> Option<CallResult> {
    match frame {
        Frame::Result(result) => Some(result),
        _ => None,
    }
}

/// The call is refused so, and the stream goes on.
async fn refuses(stream: &mut Stream, what: &str, call: Call, reason: Reason) -> Checked {
    let call_id = call.call_id;
    stream.say(Request::Call(call)).await?;
    let result = stream.until(result).await?;
    let Some(Outcome::Failure(failure)) = &result.outcome else {
        return Err(Violation::broken(format!("{what}: {result:?}")));
    };
    let refused = Refused::of_failure(failure)?;
    let right = result.call_id == call_id && refused.reason == reason_name(reason);
    Violation::unless(right, || format!("{what}: {refused:?} instead of {reason:?}"))
}

async fn calls_that_are_none(place: &Place) -> Checked {
    let any = |name: &str, value: Vec<u8>| {
        Some(Any { type_url: format!("type.googleapis.com/{name}"), value })
    };
    let named = |name: String| any(&name, Vec::new());
    let get = GetConversationRequest { conversation_id: place.group.clone() };
    let malformed = any(&GetConversationRequest::full_name(), b"\x0a\xff".to_vec());
    let foreign = GetConversationRequest { conversation_id: place.neighbours.conversation.clone() };
    let foreign = any(&GetConversationRequest::full_name(), foreign.encode_to_vec());
    let unknown = Reason::UnknownCall;
    let wrong = [
        ("no request", None, unknown),
        ("an empty type", Some(Any::default()), unknown),
        ("an unknown type", named("confab.nope.v1.NopeRequest".to_owned()), unknown),
        ("a message that is no request", named(Content::full_name()), unknown),
        ("a stream's request", named(SubscribeRequest::full_name()), unknown),
        ("an answer", named("confab.messages.v1.SendMessageResponse".to_owned()), unknown),
        ("the stream's own", named(ConnectRequest::full_name()), unknown),
        ("a mesh RPC", named(AppendRequest::full_name()), unknown),
        ("another mesh RPC", named(ObserveRequest::full_name()), unknown),
        ("a row", named(LoadRowRequest::full_name()), unknown),
        ("another's cursor", named(RecordReadRequest::full_name()), unknown),
        ("a path", named("confab.messages.v1.LogService/Append".to_owned()), unknown),
        ("malformed", malformed, Reason::MalformedRequest),
        ("a foreign conversation", foreign, Reason::ConversationNotFound),
    ];
    let mut stream = Stream::welcomed(&place.raw, hello(&[])).await?;
    for (index, (what, request, reason)) in wrong.into_iter().enumerate() {
        let call = Call { call_id: index as u64, request, timeout: None };
        refuses(&mut stream, what, call, reason).await?;
    }
    let times = [(0, 0), (-1, 0), (i64::MIN, -1)];
    for (seconds, nanos) in times {
        let request = any(&GetConversationRequest::full_name(), get.encode_to_vec());
        let call = Call { call_id: 1, request, timeout: Some(Duration { seconds, nanos }) };
        refuses(&mut stream, "no time", call, Reason::InvalidArgument).await?;
    }
    // After all that, a good one.
    stream.say(call(u64::MAX, &get)).await?;
    let result = stream.until(result).await?;
    let answered = matches!(result.outcome, Some(Outcome::Response(_)));
    Violation::unless(answered && result.call_id == u64::MAX, || format!("{result:?}"))
}

/// One push, 100 calls: each is answered once, or told that it is too many.
async fn a_hundred_at_once(place: &Place) -> Checked {
    let mut stream = Stream::welcomed(&place.raw, hello(&[])).await?;
    let mut bytes = Vec::new();
    for call_id in 0..100 {
        let send = SendMessageRequest {
            conversation_id: place.group.clone(),
            request_id: format!("at-once-{call_id}"),
            after_seq: 0,
            content: Some(Content { text: "x".to_owned(), ..Default::default() }),
            ..SendMessageRequest::default()
        };
        let frame = Some(call(call_id, &send));
        bytes.extend_from_slice(&framed(&ConnectRequest { frame }.encode_to_vec()));
    }
    stream.push(bytes.into()).await?;
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < 100 {
        let result = stream.until(result).await?;
        let good = match result.outcome {
            Some(Outcome::Response(_)) => true,
            Some(Outcome::Failure(failure)) => {
                let refused = Refused::of_failure(&failure)?;
                let overloaded = refused.reason == reason_name(Reason::Overloaded);
                Violation::unless(overloaded && refused.retry, || format!("{refused:?}"))?;
                false
            }
            None => return Err(Violation::broken("a result without an outcome")),
        };
        let first = outcomes.insert(result.call_id, good).is_none();
        Violation::unless(first, || format!("call {} was answered twice", result.call_id))?;
    }
    let good = outcomes.values().filter(|good| **good).count();
    Violation::unless(good >= AT_A_TIME, || format!("only {good} of 100 calls were served"))?;
    let (events, head) = place.mallory.events_after(&place.group, 0, 500).await?;
    let stored = events.iter().filter(|event| event.request_id.starts_with("at-once")).count();
    Violation::unless(stored == good, || format!("{good} were answered, {stored} of {head} stored"))
}

async fn check() -> Checked {
    let place = Place::new().await?;
    calls_that_are_none(&place).await?;
    a_hundred_at_once(&place).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_none_are_refused_one_by_one() {
    passes(check().await);
}
