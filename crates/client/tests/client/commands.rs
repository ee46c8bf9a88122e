//! Commands: one request id and one `after_seq` from the first try to the last.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use confab_client::{
    Client, ClientOptions, Error, Refusal, SendOptions, TokenSource, Violation,
    proto::{errors::v1::Reason, messages::v1::SendMessageRequest},
};
use tonic::Code;

use crate::support::{Answer, Fake, ROOM, message};

fn same_ids(sends: &[SendMessageRequest]) -> (String, u64) {
    let first = &sends[0];
    assert!(!first.request_id.is_empty());
    for send in sends {
        assert_eq!(send, first, "every try is the same");
    }
    (first.request_id.clone(), first.after_seq)
}

#[tokio::test]
async fn a_send_is_repeated_under_the_same_ids_until_it_is_settled() {
    let server = Fake::start().await;
    server.fake.append(message(1, "bob", "hi"));
    server.fake.state().send_script.extend([
        Answer::DoAndRefuse(Reason::OutcomeUnknown, Code::Unavailable),
        Answer::Refuse(Reason::StoreUnavailable, Code::Unavailable),
    ]);
    let client = server.client().await;

    let sent = client.send(ROOM, "hello").await.expect("settled");

    let state = server.fake.state();
    assert_eq!(sent.seq, 2);
    assert_eq!(state.log.len(), 2, "one event, though the first try took effect too");
    assert_eq!(state.sends.len(), 3);
    assert_eq!(same_ids(&state.sends).1, 1, "the head known at the first try");
}

#[tokio::test]
async fn a_send_that_comes_too_early_waits_as_long_as_the_server_says() {
    let server = Fake::start().await;
    let delays = [Duration::from_millis(300), Duration::from_millis(200)];
    server.fake.state().send_script.extend(delays.map(Answer::RefuseFor));
    let client = server.client().await;
    let begun = tokio::time::Instant::now();

    client.send(ROOM, "hello").await.expect("settled");

    // Its own first delay is much shorter.
    assert!(begun.elapsed() >= delays.into_iter().sum());
    let state = server.fake.state();
    assert_eq!((state.log.len(), state.sends.len()), (1, 3));
    same_ids(&state.sends);
}

#[tokio::test]
async fn a_send_that_would_come_too_late_is_refused_at_once() {
    let server = Fake::start().await;
    let delay = Duration::from_hours(1);
    server.fake.state().send_script.push_back(Answer::RefuseFor(delay));
    let client = server.client().await;

    let error = client.send(ROOM, "hello").await.expect_err("no time is left");

    assert_eq!(error.reason(), Some(Reason::RateLimited));
    assert_eq!(error.retry_after(), Some(delay));
    assert_eq!(server.fake.state().sends.len(), 1);
}

#[tokio::test]
async fn after_seq_is_the_highest_head_known_and_asked_for_only_once() {
    let server = Fake::start().await;
    server.fake.append(message(1, "bob", "hi"));
    let client = server.client().await;
    for _ in 0..3 {
        client.send(ROOM, "hello").await.expect("sent");
    }
    client.note_head(ROOM, 9);
    client.send(ROOM, "hello").await.expect("sent");

    let state = server.fake.state();
    let after: Vec<u64> = state.sends.iter().map(|send| send.after_seq).collect();
    assert_eq!(after, [1, 2, 3, 9]);
    assert_eq!(state.looked, 1);
}

#[tokio::test]
async fn a_try_without_an_answer_is_repeated() {
    let server = Fake::start().await;
    server.fake.state().send_script.push_back(Answer::DoAndHang);
    let client = server.client().await;
    let options =
        SendOptions { deadline: Some(Duration::from_millis(300)), ..SendOptions::default() };

    let error = client.send_with(ROOM, "hello", options).await.expect_err("no time is left");

    let Error::Unsettled(unsettled) = error else { panic!("not unsettled: {error}") };
    assert_eq!(unsettled.after_seq, 0);
    let again = SendOptions {
        request_id: Some(unsettled.request_id),
        after_seq: Some(unsettled.after_seq),
        ..SendOptions::default()
    };
    let sent = client.send_with(ROOM, "hello", again).await.expect("settled");
    assert_eq!(sent.seq, 1);
    assert_eq!(server.fake.state().log.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_says_why() {
    let server = Fake::start().await;
    let refused = Answer::Refuse(Reason::Muted, Code::PermissionDenied);
    server.fake.state().send_script.push_back(refused);
    let client = server.client().await;

    let error = client.send(ROOM, "hello").await.expect_err("muted");

    assert_eq!(error.reason(), Some(Reason::Muted));
    assert_eq!(error.code(), Some(Code::PermissionDenied));
    assert_eq!(error.metadata("etag"), Some("7"));
    assert!(!error.is_retryable());
    assert_eq!(server.fake.state().sends.len(), 1);
}

#[tokio::test]
async fn a_refusal_after_an_unknown_outcome_is_the_settled_answer() {
    let server = Fake::start().await;
    server.fake.state().send_script.extend([
        Answer::Refuse(Reason::OutcomeUnknown, Code::Unavailable),
        Answer::Refuse(Reason::Muted, Code::PermissionDenied),
    ]);
    let client = server.client().await;
    let error = client.send(ROOM, "hello").await.expect_err("muted");
    assert_eq!(error.reason(), Some(Reason::Muted));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_apart_from_an_unknown_outcome() {
    let options = ClientOptions::new("http://127.0.0.1:9").deadline(Duration::from_millis(200));
    let client = Client::connect(options).await.expect("connects at the first call");
    let error = client.send(ROOM, "hello").await.expect_err("nobody listens");
    assert!(matches!(error, Error::Transport(_)), "{error}");
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let server = Fake::start().await;
    server.fake.state().accepted_token = Some("token-2".into());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let source = TokenSource::refreshing(move || {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok::<_, std::io::Error>(format!("token-{number}")) }
    });
    let options = ClientOptions::new(format!("http://{}", server.address)).token(source);
    let client = Client::connect(options).await.expect("a client");

    client.send(ROOM, "hello").await.expect("the second token is accepted");
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    server.fake.state().accepted_token = Some("another".into());
    let error = client.send(ROOM, "hello").await.expect_err("no token is accepted");
    assert_eq!(error.reason(), Some(Reason::TokenExpired));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_fixed_token_that_expired_is_an_error_at_once() {
    let server = Fake::start().await;
    server.fake.state().accepted_token = Some("another".into());
    let client = server.client().await;
    let error = client.send(ROOM, "hello").await.expect_err("expired");
    assert_eq!(error.reason(), Some(Reason::TokenExpired));
}

#[tokio::test]
async fn a_failing_token_source_is_named() {
    let source = TokenSource::refreshing(|| async {
        Err::<String, _>(std::io::Error::other("the vault is shut"))
    });
    let options = ClientOptions::new("http://127.0.0.1:9").token(source);
    let error = Client::connect(options).await.expect_err("no token");
    assert!(matches!(&error, Error::Token(text) if text == "the vault is shut"), "{error}");
}

#[tokio::test]
async fn bad_options_are_refused_before_anything_is_sent() {
    for uri in ["", "not a uri", "https://example.com", "ftp://example.com"] {
        let error = Client::connect(ClientOptions::new(uri)).await.expect_err(uri);
        assert!(matches!(error, Error::InvalidOptions(_)), "{uri}: {error}");
    }
}

#[test]
fn a_refusal_says_each_violation_once() {
    let refusal = |message: &str, fields: &[&str]| {
        let violation = |field: &&str| Violation {
            field: (*field).to_owned(),
            description: "must not be empty".to_owned(),
        };
        Refusal {
            code: Code::InvalidArgument,
            reason: Reason::InvalidArgument,
            message: message.to_owned(),
            metadata: std::collections::BTreeMap::new(),
            violations: fields.iter().map(violation).collect(),
            retry_after: None,
        }
    };
    let one = refusal("emoji: must not be empty", &["emoji"]);
    assert_eq!(one.to_string(), "emoji: must not be empty (INVALID_ARGUMENT)");
    let two = refusal("2 fields are wrong: a, b", &["a", "b"]).to_string();
    let due =
        "2 fields are wrong: a, b (INVALID_ARGUMENT); a: must not be empty; b: must not be empty";
    assert_eq!(two, due);
}
