//! Calls made on a stream.

use std::{collections::BTreeSet, time::Duration};

use confab_kit::error::{Error, Reason};
use confab_log::mutant;
use confab_proto::{
    messages::v1::{
        Content, ListEventsRequest, ObserveRequest, SendMessageRequest, SendMessageResponse,
    },
    realtime::v1::{
        Call, ConnectRequest, Result as CallResult, connect_request, connect_response::Frame,
        result::Outcome,
    },
};
use prost::{Message as _, Name as _};
use prost_types::Any;

use crate::support::{Client, Node, World, id, watching};

async fn stream() -> (Node, Client) {
    let world = World::default();
    world.join(1, "alice");
    let node = Node::with(world, |_| {});
    let mut client = node.hello("alice", watching(&[])).await;
    client.synced(0).await;
    (node, client)
}

fn send(text: &str) -> Any {
    let request = SendMessageRequest {
        conversation_id: id(1),
        content: Some(Content { text: text.to_owned(), ..Content::default() }),
        ..SendMessageRequest::default()
    };
    any(SendMessageRequest::type_url(), &request.encode_to_vec())
}

fn any(type_url: String, value: &[u8]) -> Any {
    Any { type_url, value: value.to_vec() }
}

fn call(client: &Client, call_id: u64, request: Any) {
    let call = Call { call_id, request: Some(request), timeout: None };
    client.send(connect_request::Frame::Call(call));
}

async fn result(client: &mut Client) -> CallResult {
    loop {
        match client.next().await {
            Frame::Result(result) => return result,
            Frame::Head(_) => {}
            other => panic!("a result was expected: {other:?}"),
        }
    }
}

fn failure(result: &CallResult) -> Error {
    match &result.outcome {
        Some(Outcome::Failure(failure)) => Error::from_failure(failure),
        other => panic!("a failure was expected: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_as_the_user() {
    let (_node, mut client) = stream().await;
    call(&client, 7, send("hi"));
    let result = result(&mut client).await;
    assert_eq!(result.call_id, 7);
    let Some(Outcome::Response(response)) = result.outcome else {
        panic!("a response was expected: {result:?}");
    };
    assert_eq!(response.type_url, "type.googleapis.com/confab.messages.v1.SendMessageResponse");
    let response = SendMessageResponse::decode(&*response.value).expect("decodes");
    assert_eq!(response.message.expect("a message").sender_id, "alice");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_with_its_details() {
    let (_node, mut client) = stream().await;
    call(&client, 1, send("bad"));
    let error = failure(&result(&mut client).await);
    assert_eq!(error.reason(), Reason::InvalidArgument);
    assert_eq!(error.violations()[0].field, "content.text");
}

#[tokio::test(start_paused = true)]
async fn only_public_unary_rpcs_can_be_called() {
    let (node, mut client) = stream().await;
    let before = node.world.lock().calls.len();
    for type_url in [
        ObserveRequest::type_url(),
        ConnectRequest::type_url(),
        SendMessageResponse::type_url(),
        "nonsense".to_owned(),
        String::new(),
    ] {
        call(&client, 1, any(type_url, b""));
        assert_eq!(failure(&result(&mut client).await).reason(), Reason::UnknownCall);
    }
    client.send(connect_request::Frame::Call(Call::default()));
    assert_eq!(failure(&result(&mut client).await).reason(), Reason::UnknownCall);
    let paths = node.world.lock().calls[before..].to_vec();
    assert!(paths.is_empty(), "nothing was called: {paths:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_holds_up_nothing_and_times_out() {
    let (_node, mut client) = stream().await;
    let start = tokio::time::Instant::now();
    let with_timeout = |call_id, seconds, nanos| {
        let timeout = Some(prost_types::Duration { seconds, nanos });
        connect_request::Frame::Call(Call { call_id, request: Some(send("slow")), timeout })
    };
    call(&client, 1, send("slow"));
    client.send(with_timeout(2, 600, 0));
    client.send(with_timeout(3, 3, 0));
    call(&client, 4, send("hi"));
    assert_eq!(result(&mut client).await.call_id, 4);
    for (call_id, seconds) in [(3, 3), (1, 10), (2, 60)] {
        let result = result(&mut client).await;
        assert_eq!(result.call_id, call_id);
        assert_eq!(failure(&result).reason(), Reason::DeadlineExceeded);
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
    for (seconds, nanos) in [(-1, 0), (0, 0)] {
        client.send(with_timeout(5, seconds, nanos));
        assert_eq!(failure(&result(&mut client).await).reason(), Reason::InvalidArgument);
    }
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_64_at_a_time_are_refused() {
    let (_node, mut client) = stream().await;
    for call_id in 0..70 {
        call(&client, call_id, send("slow"));
    }
    let mut refused = BTreeSet::new();
    for _ in 0..6 {
        let result = result(&mut client).await;
        assert_eq!(failure(&result).reason(), Reason::Overloaded);
        refused.insert(result.call_id);
    }
    assert_eq!(refused, (64..70).collect());
    tokio::time::sleep(Duration::from_secs(11)).await;
    for _ in 0..64 {
        assert_eq!(failure(&result(&mut client).await).reason(), Reason::DeadlineExceeded);
    }
    call(&client, 99, send("hi"));
    assert_eq!(result(&mut client).await.call_id, 99);
}

/// How many of 30 reads of a megabyte are made while nobody takes their answers;
/// then all are taken.
async fn reads_of_who_takes_nothing() -> usize {
    let (node, mut client) = stream().await;
    for _ in 0..100 {
        node.world.write(1, &"x".repeat(10_000));
    }
    let request = ListEventsRequest { conversation_id: id(1), after_seq: 0, page_size: 100 };
    for call_id in 0..30 {
        let timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        let request = Some(any(ListEventsRequest::type_url(), &request.encode_to_vec()));
        client.send(connect_request::Frame::Call(Call { call_id, request, timeout }));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let calls = node.world.lock().calls.clone();
    for _ in 0..30 {
        let result = result(&mut client).await;
        assert!(matches!(result.outcome, Some(Outcome::Response(_))), "every call is answered");
    }
    calls.iter().filter(|path| path.ends_with("/ListEvents")).count()
}

#[tokio::test(start_paused = true)]
async fn two_reads_at_a_time_whose_answers_nobody_takes() {
    let made = reads_of_who_takes_nothing().await;
    assert!(made <= 3, "{made} reads");
    mutant::set(Some("calls-without-turns"));
    let made = reads_of_who_takes_nothing().await;
    mutant::set(None);
    assert_eq!(made, 30, "the mutant is seen");
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_megabyte_at_a_time_are_open() {
    let (_node, mut client) = stream().await;
    let Any { value, .. } = send("slow");
    let type_url = format!("{}{}", "x".repeat(60_000), SendMessageRequest::type_url());
    for call_id in 0..20 {
        call(&client, call_id, any(type_url.clone(), &value));
    }
    for call_id in 17..20 {
        let result = result(&mut client).await;
        assert_eq!(failure(&result).reason(), Reason::Overloaded);
        assert_eq!(result.call_id, call_id);
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    for _ in 0..17 {
        assert_eq!(failure(&result(&mut client).await).reason(), Reason::DeadlineExceeded);
    }
    call(&client, 99, send("hi"));
    assert_eq!(result(&mut client).await.call_id, 99);
}
