//! Typing, presence, subscriptions, tokens on a stream, and what large
//! conversations do not tell.

use std::collections::BTreeSet;

use confab_client::{Client, EventStream, StreamOptions, Update};
use confab_kit::identity::Claims;
use confab_proto::{
    conversations::v1::ConversationCursor,
    participants::v1::{MuteParticipantRequest, UnmuteParticipantRequest},
    realtime::v1::{
        AcknowledgeRequest, Authenticate, Hello, ListSessionsRequest, PresenceStatus,
        SendTypingRequest, SetPresenceRequest, SubscribeRequest, SubscribeResponse, TypingState,
        connect_request::Frame as Request, connect_response::Frame,
        realtime_service_client::RealtimeServiceClient, subscribe_response::Frame as Subscribed,
    },
};
use confab_tests::harness::{Checked, Mesh, Node, Violation, eventually, within};
use tonic::Streaming;

use super::{
    Cast, PATIENCE, equal,
    operations::{ask, holds},
};
use crate::{
    promises::program,
    raw::{Raw, Stream, hello},
};

/// A stream that watches the conversation, after its replay.
async fn watching(client: &Client, id: &str) -> Checked<EventStream> {
    let mut stream = client.stream(StreamOptions::default().watching(id, 0));
    until(&mut stream, |update| {
        matches!(update, Update::Synced { conversation_id: Some(_), .. }).then_some(())
    })
    .await?;
    Ok(stream)
}

async fn until<T>(
    stream: &mut EventStream,
    mut wanted: impl FnMut(Update) -> Option<T>,
) -> Checked<T> {
    let looking = async {
        loop {
            let update = stream.next().await;
            let update = update.ok_or_else(|| Violation::broken("the stream has ended"))??;
            if let Some(found) = wanted(update) {
                return Ok(found);
            }
        }
    };
    within(PATIENCE, "an update", looking).await?
}

/// Who types next, and whether it is a start; a message comes as nobody.
async fn typing(stream: &mut EventStream) -> Checked<Option<(String, bool)>> {
    until(stream, |update| match update {
        Update::Typing { user_id, lasts, .. } => Some(Some((user_id, !lasts.is_zero()))),
        Update::Event(_) => Some(None),
        _ => None,
    })
    .await
}

async fn types(client: &Client, id: &str, state: TypingState) -> Checked {
    let request = SendTypingRequest { conversation_id: id.to_owned(), state: state.into() };
    client.call(request).await?;
    Ok(())
}

#[tokio::test]
async fn typing_is_told_to_the_others_but_not_of_the_muted() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let mut bob = watching(&cast.bob, &id).await?;
    types(&cast.alice, &id, TypingState::Started).await?;
    equal(typing(&mut bob).await?, Some(("alice".to_owned(), true)))?;
    types(&cast.alice, &id, TypingState::Stopped).await?;
    equal(typing(&mut bob).await?, Some(("alice".to_owned(), false)))?;
    let (conversation_id, user_id) = (id.clone(), "carol".to_owned());
    let mute = MuteParticipantRequest { conversation_id, user_id, ..Default::default() };
    cast.alice.command(mute).await?;
    equal(typing(&mut bob).await?, None)?;
    types(&cast.carol, &id, TypingState::Started).await?;
    let (conversation_id, user_id) = (id.clone(), "carol".to_owned());
    let unmute = UnmuteParticipantRequest { conversation_id, user_id, ..Default::default() };
    cast.alice.command(unmute).await?;
    equal(typing(&mut bob).await?, None)?;
    types(&cast.carol, &id, TypingState::Started).await?;
    equal(typing(&mut bob).await?, Some(("carol".to_owned(), true)))
}

#[tokio::test]
async fn presence_is_for_those_who_share_a_conversation() -> Checked {
    let cast = Cast::new().await?;
    cast.alice.open_direct("bob").await?;
    let presence = vec!["bob".to_owned(), "carol".to_owned()];
    let mut alice = cast.alice.stream(StreamOptions { presence, ..StreamOptions::default() });
    let seen = |update| match update {
        Update::Presence(presence) => Some((presence.user_id.clone(), presence.status())),
        _ => None,
    };
    let nobody = BTreeSet::from([until(&mut alice, seen).await?, until(&mut alice, seen).await?]);
    let offline = |user: &str| (user.to_owned(), PresenceStatus::Offline);
    equal(nobody, BTreeSet::from([offline("bob"), offline("carol")]))?;
    // Carol is here first, so she would be seen first.
    let mut carol = cast.carol.stream(StreamOptions::default());
    let connected = |update| matches!(update, Update::Connected { .. }).then_some(());
    until(&mut carol, connected).await?;
    let mut bob = cast.bob.stream(StreamOptions::default());
    until(&mut bob, connected).await?;
    equal(until(&mut alice, seen).await?, ("bob".to_owned(), PresenceStatus::Online))?;
    let away = SetPresenceRequest { status: PresenceStatus::Away.into(), text: String::new() };
    let set = cast.bob.call(away).await?.presence.unwrap_or_default();
    equal(set.status(), PresenceStatus::Away)?;
    equal(until(&mut alice, seen).await?, ("bob".to_owned(), PresenceStatus::Away))
}

/// The next frame of a subscription that is wanted.
async fn subscribed<T>(
    stream: &mut Streaming<SubscribeResponse>,
    mut wanted: impl FnMut(Subscribed) -> Option<T>,
) -> Checked<T> {
    loop {
        let message = within(PATIENCE, "a frame", stream.message()).await??;
        let frame = message.and_then(|message| message.frame);
        let frame = frame.ok_or_else(|| Violation::broken("the subscription has ended"))?;
        if let Some(found) = wanted(frame) {
            return Ok(found);
        }
    }
}

/// As a browser does it, with the generated client.
#[tokio::test]
async fn a_subscription_is_acknowledged_and_resumed_by_calls() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let mut browser = RealtimeServiceClient::new(cast.bob.transport());
    let cursor = |seq| ConversationCursor { conversation_id: id.clone(), seq };
    let hello = Hello { watch: vec![cursor(0)], ..Hello::default() };
    let request = SubscribeRequest { hello: Some(hello) };
    let mut stream = browser.subscribe(request).await?.into_inner();
    let welcome = |frame| match frame {
        Subscribed::Welcome(welcome) => Some(welcome.session_id),
        _ => None,
    };
    let session_id = subscribed(&mut stream, welcome).await?;
    let sent = cast.alice.send(&id, "hello").await?.seq;
    let event = |frame| match frame {
        Subscribed::Event(event) => Some(event.seq),
        _ => None,
    };
    while subscribed(&mut stream, event).await? < sent {}
    let (cursors, session) = (vec![cursor(sent)], session_id.clone());
    let acknowledge = AcknowledgeRequest { session_id: session, cursors, inbox_seq: Some(1) };
    cast.bob.call(acknowledge).await?;
    // Another one with the session goes on from there; the first one is told.
    let hello = Hello { session_id, ..Hello::default() };
    let mut next = browser.subscribe(SubscribeRequest { hello: Some(hello) }).await?.into_inner();
    let watching = |frame| match frame {
        Subscribed::Welcome(welcome) => Some(welcome.watching),
        _ => None,
    };
    equal(subscribed(&mut next, watching).await?, vec![cursor(sent)])?;
    let goodbye = |frame| matches!(frame, Subscribed::Goodbye(_)).then_some(());
    subscribed(&mut stream, goodbye).await?;
    cast.alice.send(&id, "again").await?;
    equal(subscribed(&mut next, event).await?, sent + 1)
}

#[tokio::test]
async fn a_large_conversation_tells_only_who_watches_it() -> Checked {
    let mesh = Mesh::in_process_with(|config| config.limits.live_head_participants = 3).await?;
    let alice = mesh.client("dev", "alice").await?;
    let bob = mesh.client("dev", "bob").await?;
    let large = alice.create_group("large", &["bob", "carol", "dave"]).await?.conversation_id;
    let small = alice.create_group("small", &["bob", "carol"]).await?.conversation_id;
    let mut unwatching = bob.stream(StreamOptions::default());
    let synced = |update| matches!(update, Update::Synced { .. }).then_some(());
    until(&mut unwatching, synced).await?;
    let mut watching = watching(&bob, &large).await?;
    let mut told = BTreeSet::new();
    for _ in 0..5 {
        let sent = alice.send(&large, "hello").await?.seq;
        let event = |update| match update {
            Update::Event(event) => Some(event.seq),
            _ => None,
        };
        equal(until(&mut watching, event).await?, sent)?;
        let sent = alice.send(&small, "hello").await?.seq;
        let head = |update| match update {
            Update::Head(head) => {
                let last = head.conversation_id == small && head.seq == sent;
                told.insert(head.conversation_id);
                last.then_some(())
            }
            _ => None,
        };
        until(&mut unwatching, head).await?;
    }
    equal(told, BTreeSet::from([small]))
}

/// The old token lasts three seconds, the new one an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_the_token_that_opened_it() -> Checked {
    let node = Node::start(program(None).env("CONFAB_AUTH__LEEWAY_SECONDS", "0")).await?;
    let tokens = node.tokens()?;
    let claims = Claims::user("dev", "alice");
    let short = tokens.sign(&Claims { exp: claims.iat + 3, ..claims.clone() });
    let raw = Raw::connect(node.uri()).await?.token(&short);
    let mut stream = Stream::welcomed(&raw, hello(&[])).await?;
    let notice = |frame| matches!(frame, Frame::TokenExpiring(_)).then_some(());
    stream.until(notice).await?;
    let token = tokens.sign(&claims);
    stream.say(Request::Authenticate(Authenticate { token })).await?;
    let answer = stream.until(|frame| match frame {
        Frame::Authenticated(outcome) => Some(outcome),
        _ => None,
    });
    let answer = answer.await?;
    equal(answer.failure, None)?;
    equal(answer.expire_time.map(|time| time.seconds), Some(claims.exp))?;
    eventually(PATIENCE, "the end of the old token", || async {
        Ok(raw.unary(&ListSessionsRequest::default()).await?.err())
    })
    .await?;
    stream.is_alive().await?;
    // And so do the calls made on it.
    stream.say(crate::raw::call(1, &ListSessionsRequest::default())).await?;
    let result = stream.until(|frame| match frame {
        Frame::Result(result) => result.outcome,
        _ => None,
    });
    let answered =
        matches!(result.await?, confab_proto::realtime::v1::result::Outcome::Response(_));
    equal(answered, true)?;
    let metrics = ask(&node, "/metrics").await?;
    for due in [
        r#"confab_streams_opened_total{rpc="Connect"} 1"#,
        r#"confab_stream_tokens_total{reason="OK"} 1"#,
        "confab_users_present 1",
        "confab_presence_changes_total 1",
    ] {
        holds(&metrics, due)?;
    }
    node.finish()
}
