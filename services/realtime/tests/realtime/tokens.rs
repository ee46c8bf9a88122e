//! The token that a stream lives under, and others in its place.

use std::time::Duration;

use confab_kit::{
    clock,
    error::{Error, Reason},
    identity::Caller,
};
use confab_log::mutant;
use confab_proto::{
    messages::v1::{Content, SendMessageRequest, SendMessageResponse},
    realtime::v1::{Authenticate, Call, connect_request, connect_response::Frame, result::Outcome},
};
use prost::{Message as _, Name as _};
use prost_types::Any;

use crate::support::{Client, Node, Way, World, caller, id, watching};

/// Alice, whose token ends in so many seconds.
fn ends_in(seconds: i64) -> Caller {
    Caller { expires_at: clock::now_seconds() + seconds, ..caller("alice") }
}

async fn stream(node: &Node, caller: Caller) -> Client {
    let mut client = node.hello_as(caller, watching(&[])).await;
    client.synced(0).await;
    client
}

fn authenticate(client: &Client, token: &str) {
    let token = token.to_owned();
    client.send(connect_request::Frame::Authenticate(Authenticate { token }));
}

/// What became of a token, and when the stream ends now.
async fn authenticated(client: &mut Client) -> (Result<(), Reason>, i64) {
    match client.next().await {
        Frame::Authenticated(answer) => {
            let failure = answer.failure.as_ref().map(Error::from_failure);
            let outcome = failure.map_or(Ok(()), |error| Err(error.reason()));
            (outcome, answer.expire_time.expect("a time").seconds)
        }
        other => panic!("the outcome of a token was expected: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_a_minute_before_its_token_ends() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let caller = ends_in(300);
        let due = caller.expires_at;
        let begun = tokio::time::Instant::now();
        let mut client = stream(&node, caller).await;
        let Frame::TokenExpiring(notice) = client.next().await else { panic!("no notice") };
        assert_eq!(notice.expire_time.expect("a time").seconds, due);
        let told = begun.elapsed().as_secs();
        assert!((238..=242).contains(&told), "told after {told} s of 300");
        // Once, and then the end: with the leeway that a header has, too.
        assert_eq!(client.farewell().await, Reason::TokenExpired);
        let ended = begun.elapsed().as_secs();
        assert!((358..=362).contains(&ended), "ended after {ended} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_token_ends_at_once_is_told_after_its_welcome() {
    let node = Node::new();
    let mut client = node.connect_as(ends_in(5)).await;
    client.hello(watching(&[]));
    client.welcomed().await;
    let frames = client.synced(0).await;
    let told = frames.iter().any(|frame| matches!(frame, Frame::TokenExpiring(_)));
    assert!(told || matches!(client.next().await, Frame::TokenExpiring(_)));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_extends_the_stream() {
    let node = Node::new();
    let mut client = stream(&node, ends_in(100)).await;
    for round in 1..=3 {
        // Real tokens count real seconds, and the clock of this test is ahead.
        let exp = clock::now_seconds() + 1000 + round;
        authenticate(&client, &node.token("alice", |claims| claims.exp = exp));
        assert_eq!(authenticated(&mut client).await, (Ok(()), exp));
        for _ in 0..3 {
            assert!(client.is_silent_for(Duration::from_secs(290)).await, "round {round}");
        }
        assert!(matches!(client.next().await, Frame::TokenExpiring(_)), "told for each token");
    }
}

#[tokio::test(start_paused = true)]
async fn later_calls_and_reads_are_made_under_the_new_token() {
    let world = World::default();
    world.join(1, "alice");
    let node = Node::with(world.clone(), |_| {});
    let mut client = node.hello_as(ends_in(100), watching(&[(1, 1)])).await;
    client.synced(1).await;
    let token = node.token("alice", |_| {});
    authenticate(&client, &token);
    assert_eq!(authenticated(&mut client).await.0, Ok(()));
    // From now on the old one is nobody's.
    world.lock().tokens.insert("alice".to_owned(), "nobody".to_owned());
    let request = SendMessageRequest {
        conversation_id: id(1),
        content: Some(Content { text: "hi".to_owned(), ..Content::default() }),
        ..SendMessageRequest::default()
    };
    let request =
        Some(Any { type_url: SendMessageRequest::type_url(), value: request.encode_to_vec() });
    client.send(connect_request::Frame::Call(Call { call_id: 1, request, timeout: None }));
    let (mut sender, mut heard) = (String::new(), 0);
    while sender.is_empty() || heard < 2 {
        match client.next().await {
            Frame::Event(event) => heard = event.seq,
            Frame::Result(result) => {
                let Some(Outcome::Response(answer)) = result.outcome else { panic!("{result:?}") };
                let answer = SendMessageResponse::decode(&*answer.value).expect("decodes");
                sender = answer.message.expect("a message").sender_id;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sender, "alice");
    world.write(1, "lost by the bus");
    assert_eq!(client.event().await, 3, "read from the log as alice");
}

/// What becomes of tokens that are not this stream's.
async fn of_others(node: &Node, client: &mut Client) -> Vec<(&'static str, Result<(), Reason>)> {
    use Reason::{InvalidToken, TokenExpired, TokenMismatch, WrongAudience};
    let some = |text: &str| Some(text.to_owned());
    let now = clock::now_seconds();
    let tokens = [
        ("another user", node.token("bob", |_| {}), TokenMismatch),
        (
            "another tenant",
            node.token("alice", |c| "other".clone_into(&mut c.tenant)),
            TokenMismatch,
        ),
        ("another device", node.token("alice", |c| c.device_id = some("laptop")), TokenMismatch),
        ("an application", node.token("alice", |c| c.kind = some("application")), TokenMismatch),
        ("expired", node.token("alice", |c| c.exp = now - 100), TokenExpired),
        (
            "another audience",
            node.token("alice", |c| "other".clone_into(&mut c.aud)),
            WrongAudience,
        ),
        ("too long a life", node.token("alice", |c| c.exp = now + 90_000), InvalidToken),
        ("garbage", "garbage".to_owned(), InvalidToken),
        ("nothing", String::new(), InvalidToken),
    ];
    let mut outcomes = Vec::new();
    for (what, token, due) in tokens {
        authenticate(client, &token);
        let (outcome, ends) = authenticated(client).await;
        assert!(ends > now, "the time of the token that counts");
        if outcome != Err(due) {
            outcomes.push((what, outcome));
        }
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn the_stream_goes_on_under_its_old_token_after_a_wrong_one() {
    let node = Node::new();
    let mut client = stream(&node, ends_in(1000)).await;
    assert_eq!(of_others(&node, &mut client).await, []);
    let token = node.token("alice", |_| {});
    authenticate(&client, &token);
    assert_eq!(authenticated(&mut client).await.0, Ok(()), "and takes the right one");
    mutant::set(Some("token-of-anybody"));
    let mut client = stream(&node, ends_in(1000)).await;
    let wrong = of_others(&node, &mut client).await;
    mutant::set(None);
    assert!(!wrong.is_empty(), "the mutant is seen");
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_in_a_row_end_the_stream() {
    let node = Node::new();
    let mut client = stream(&node, ends_in(1000)).await;
    for number in 1..=9 {
        authenticate(&client, "garbage");
        assert_eq!(authenticated(&mut client).await.0, Err(Reason::InvalidToken), "{number}");
    }
    authenticate(&client, &node.token("alice", |_| {}));
    assert_eq!(authenticated(&mut client).await.0, Ok(()));
    for _ in 1..=10 {
        authenticate(&client, "garbage");
        assert_eq!(authenticated(&mut client).await.0, Err(Reason::InvalidToken));
    }
    assert_eq!(client.farewell().await, Reason::InvalidToken);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_login_moves_the_session_there() {
    let node = Node::new();
    let mut client = stream(&node, ends_in(1000)).await;
    let login = |claims: &mut confab_kit::identity::Claims| {
        claims.session_id = Some("another-login".to_owned());
    };
    authenticate(&client, &node.token("alice", login));
    assert_eq!(authenticated(&mut client).await.0, Ok(()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sessions = node.sessions(&caller("alice"), "").await;
    assert_eq!(sessions[0].login_session_id, "another-login");
}
