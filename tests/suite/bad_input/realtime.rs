//! What cannot be said of sessions, tokens, typing and presence, and too much of
//! what can.

use confab_kit::error::Reason;
use confab_proto::realtime::v1::{
    AcknowledgeRequest, Authenticate, EndSessionRequest, Hello, ListSessionsRequest,
    RevokeUserRequest, SendTypingRequest, SetPresenceRequest, SubscribeRequest, TypingState, Watch,
    connect_request::Frame as Request, connect_response::Frame,
};
use confab_tests::harness::{Checked, Violation};
use prost::Message as _;
use tokio::task::JoinSet;

use super::{Place, TENANT, is_refused, passes, streams::ends};
use crate::raw::{Refused, Stream, hello, reason_name, watching};

/// More than anybody may name.
const MANY: usize = 10_000;
const NO_SESSION: &str = "00000000-0000-4000-8000-000000000000";

/// Lists of 10,000, in a hello of either kind and in a watch: what does not fit
/// into a frame is too large, and what does is too many.
async fn long_lists(place: &Place) -> Checked {
    let ids = |id: &str| vec![watching(id, 0); MANY];
    let users: Vec<String> = (0..MANY).map(|number| format!("{number:x}")).collect();
    let long = users.iter().map(|user| user.repeat(3)).collect();
    let hellos = [
        ("conversations", Hello { watch: ids(&"0".repeat(32)), ..Hello::default() }, true),
        ("short conversations", Hello { watch: ids("x"), ..Hello::default() }, false),
        ("long users", Hello { presence: long, ..Hello::default() }, true),
        ("users", Hello { presence: users, ..Hello::default() }, false),
    ];
    for (what, list, too_large) in hellos {
        let reason = if too_large { Reason::RequestTooLarge } else { Reason::InvalidArgument };
        let mut stream = Stream::open(&place.raw).await?;
        stream.say(Request::Hello(list.clone())).await?;
        ends(&format!("a hello of {what}"), stream, reason).await?;
        let request = SubscribeRequest { hello: Some(list.clone()) }.encode_to_vec();
        let stream = Stream::subscribe(&place.raw, &request).await?;
        ends(&format!("a subscription to {what}"), stream, reason).await?;
        let mut stream = Stream::welcomed(&place.raw, hello(&[])).await?;
        let watch = Watch { add: list.watch, add_presence: list.presence, ..Watch::default() };
        stream.say(Request::Watch(watch)).await?;
        ends(&format!("a watch of {what}"), stream, reason).await?;
    }
    let mut stream = Stream::welcomed(&place.raw, hello(&[])).await?;
    let remove = vec!["x".to_owned(); MANY];
    let watch = Watch { remove: remove.clone(), remove_presence: remove, ..Watch::default() };
    stream.say(Request::Watch(watch)).await?;
    stream.is_alive().await
}

/// A stream goes on under its old token, until there are too many.
async fn tokens(place: &Place) -> Checked {
    let mut stream = Stream::welcomed(&place.raw, hello(&[])).await?;
    let other = place.tokens.user(TENANT, "walter");
    let garbage = [
        (String::new(), Reason::InvalidToken),
        ("garbage".to_owned(), Reason::InvalidToken),
        ("x".repeat(8193), Reason::InvalidToken),
        ("x".repeat(60_000), Reason::InvalidToken),
        ("a.b.c".to_owned(), Reason::InvalidToken),
        ("\u{0}\u{ffff}".to_owned(), Reason::InvalidToken),
        (place.tokens.expired(TENANT, "mallory"), Reason::TokenExpired),
        (place.tokens.user("other", "mallory"), Reason::TokenMismatch),
        (place.tokens.application(TENANT, "mallory"), Reason::TokenMismatch),
        (other, Reason::TokenMismatch),
    ];
    for (token, reason) in garbage {
        stream.say(Request::Authenticate(Authenticate { token })).await?;
        let failure = stream.until(|frame| match frame {
            Frame::Authenticated(answer) => Some(answer.failure),
            _ => None,
        });
        let refused = Refused::of_failure(&failure.await?.unwrap_or_default())?;
        Violation::unless(refused.reason == reason_name(reason), || format!("{refused:?}"))?;
    }
    ends("ten of them", stream, Reason::TokenMismatch).await?;
    let mut flooded = Stream::welcomed(&place.raw, hello(&[])).await?;
    let token = "x".repeat(8000);
    for _ in 0..MANY / 100 {
        flooded.say(Request::Authenticate(Authenticate { token: token.clone() })).await?;
    }
    let ending = flooded.ending().await?;
    let right = [Reason::InvalidToken, Reason::Overloaded].map(reason_name);
    Violation::unless(right.contains(&ending.refused.reason), || format!("{ending:?}"))?;
    let log = place.node.log().lines().join("\n");
    Violation::unless(!log.contains("xxxxxxxx"), || "a token stands in the log")
}

async fn sessions(place: &Place) -> Checked {
    let mut theirs = Stream::open(&place.raw_as("walter")).await?;
    theirs.say(hello(&[&place.group])).await?;
    let session_id = theirs.welcome().await?.session_id;
    let cursors = vec![watching(&place.group, 1)];
    for session_id in [session_id.as_str(), NO_SESSION, "", "x", "../..", "äöü"] {
        let (session_id, cursors) = (session_id.to_owned(), cursors.clone());
        let acknowledge =
            AcknowledgeRequest { session_id: session_id.clone(), cursors, inbox_seq: None };
        place.refuses(&acknowledge, Reason::SessionNotFound, &[]).await?;
        if !session_id.is_empty() {
            let end = EndSessionRequest { session_id, revoke: true, ..Default::default() };
            place.refuses(&end, Reason::SessionNotFound, &[]).await?;
        }
    }
    let own = AcknowledgeRequest { session_id: NO_SESSION.to_owned(), ..Default::default() };
    let many = AcknowledgeRequest { cursors: vec![watching("x", 1); 201], ..own.clone() };
    let outcome = place.raw.unary(&many).await?;
    let fields = outcome.as_ref().err().map(|refused| refused.fields.len());
    Violation::unless(fields == Some(20), || format!("201 cursors: {outcome:?}"))?;
    let malformed = AcknowledgeRequest { cursors: vec![watching("x", 1)], ..own };
    let field = ["cursors[0].conversation_id"];
    place.refuses(&malformed, Reason::InvalidArgument, &field).await?;
    for user_id in ["walter", "nobody"] {
        let user_id = user_id.to_owned();
        let list = ListSessionsRequest { user_id: user_id.clone(), ..Default::default() };
        place.refuses(&list, Reason::CallerNotAllowed, &[]).await?;
        let session_id = session_id.clone();
        let end = EndSessionRequest { session_id, user_id: user_id.clone(), revoke: false };
        place.refuses(&end, Reason::CallerNotAllowed, &[]).await?;
        place.refuses(&RevokeUserRequest { user_id }, Reason::CallerNotAllowed, &[]).await?;
    }
    let user_id = "no name".to_owned();
    let list = ListSessionsRequest { user_id, page_size: -1, page_token: String::new() };
    place.refuses(&list, Reason::InvalidArgument, &["user_id", "page_size"]).await?;
    let page_token = "garbage".to_owned();
    let list = ListSessionsRequest { page_token, ..ListSessionsRequest::default() };
    place.refuses(&list, Reason::InvalidPageToken, &[]).await?;
    let nothing = EndSessionRequest::default();
    place.refuses(&nothing, Reason::InvalidArgument, &["session_id"]).await?;
    theirs.is_alive().await
}

async fn fields(place: &Place) -> Checked {
    for state in [0, 3, -1] {
        let typing = SendTypingRequest { conversation_id: place.group.clone(), state };
        place.refuses(&typing, Reason::InvalidArgument, &["state"]).await?;
    }
    for status in [0, 3, 4, -1] {
        let set = SetPresenceRequest { status, text: "x".repeat(257) };
        place.refuses(&set, Reason::InvalidArgument, &["status", "text"]).await?;
    }
    let foreign = place.neighbours.conversation.clone();
    let state = TypingState::Started.into();
    let typing = SendTypingRequest { conversation_id: foreign, state };
    place.refuses(&typing, Reason::ConversationNotFound, &[]).await
}

/// Mallory types 2,000 times; walter hears of it a few times, and of nothing else.
async fn typing_flood(place: &Place) -> Checked {
    let mut walter = Stream::welcomed(&place.raw_as("walter"), hello(&[&place.group])).await?;
    let synced = |frame| match frame {
        Frame::Synced(synced) => (!synced.conversation_id.is_empty()).then_some(()),
        _ => None,
    };
    walter.until(synced).await?;
    let mut hands = JoinSet::new();
    for _ in 0..20 {
        let (raw, conversation_id) = (place.raw.clone(), place.group.clone());
        hands.spawn(async move {
            for number in 0..100 {
                let state = 1 + number % 2;
                let request = SendTypingRequest { conversation_id: conversation_id.clone(), state };
                let outcome = raw.unary(&request).await?;
                if let Err(refused) = outcome {
                    is_refused("typing", Err(refused), Reason::Overloaded, &[])?;
                }
            }
            Ok::<(), Violation>(())
        });
    }
    let begun = tokio::time::Instant::now();
    while let Some(hand) = hands.join_next().await {
        hand.map_err(Violation::unable)??;
    }
    let sent = place.mallory.send(&place.group, "the end").await?.seq;
    let mut words = 0;
    walter
        .until(|frame| {
            words += u64::from(matches!(frame, Frame::Typing(_)));
            matches!(frame, Frame::Event(event) if event.seq == sent).then_some(())
        })
        .await?;
    let most = begun.elapsed().as_secs() / 2 + 2;
    Violation::unless((1..=most).contains(&words), || format!("{words} words on typing"))
}

async fn check() -> Checked {
    let place = Place::new().await?;
    long_lists(&place).await?;
    tokens(&place).await?;
    sessions(&place).await?;
    fields(&place).await?;
    typing_flood(&place).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_tokens_typing_and_presence_that_cannot_be_are_refused() {
    passes(check().await);
}
