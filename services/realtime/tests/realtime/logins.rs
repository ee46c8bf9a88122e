//! Sessions and logins, listed, ended and revoked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use confab_kit::{
    bus::Signal,
    error::Reason,
    identity::{Caller, CallerKind, Revocation, RevokedTokens},
};
use confab_log::{TenantId, mutant};
use confab_proto::realtime::v1::{
    Authenticate, EndSessionRequest, EndSessionResponse, Hello, ListSessionsRequest,
    ListSessionsResponse, RevokeUserRequest, RevokeUserResponse, connect_request,
    connect_response::Frame,
};

use crate::support::{
    Client, Disk, Node, Said, Way, World, application, caller, caller_in, watching,
};

async fn stream(node: &Node, caller: Caller) -> Client {
    let mut client = node.hello_as(caller, watching(&[])).await;
    client.synced(0).await;
    client
}

fn session(client: &Client) -> String {
    client.welcome.session_id.clone()
}

async fn resumed(node: &Node, caller: Caller, session_id: &str) -> Result<Client, Reason> {
    let mut client = node.connect_as(caller).await;
    client.hello(Hello { session_id: session_id.to_owned(), ..Hello::default() });
    match client.next().await {
        Frame::Welcome(_) => Ok(client),
        Frame::Goodbye(goodbye) => Err(goodbye.failure.expect("a failure").reason()),
        other => panic!("{other:?}"),
    }
}

fn laptop(login: &str) -> Caller {
    Caller { device_id: "laptop".into(), ..caller_in("alice", login) }
}

#[tokio::test(start_paused = true)]
async fn own_sessions_are_listed() {
    let node = Node::new();
    let phone = stream(&node, caller_in("alice", "one")).await;
    let laptop = stream(&node, laptop("two")).await;
    let _bob = stream(&node, caller("bob")).await;
    drop(phone);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sessions = node.sessions(&caller("alice"), "").await;
    let of = |device: &str| {
        let found = sessions.iter().find(|session| session.device_id == device);
        found.expect("listed").clone()
    };
    assert_eq!(sessions.len(), 2);
    assert!(!of("phone").connected && of("laptop").connected);
    assert_eq!(of("phone").login_session_id, "one");
    assert_eq!(of("laptop").session_id, session(&laptop));
    assert!(of("laptop").create_time.is_some() && of("laptop").last_seen_time.is_some());
    assert_eq!(node.sessions(&application(), "alice").await, sessions);
    assert_eq!(node.sessions(&caller("alice"), "alice").await, sessions);
    assert_eq!(node.sessions(&application(), "nobody").await, []);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_listed_by_pages() {
    let node = Node::new();
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(stream(&node, caller("alice")).await);
    }
    let (mut listed, mut token) = (BTreeSet::new(), String::new());
    let mut pages = 0;
    loop {
        let request = ListSessionsRequest {
            page_size: 2,
            page_token: token.clone(),
            ..ListSessionsRequest::default()
        };
        let page: ListSessionsResponse =
            node.call(&caller("alice"), request.clone()).await.expect("listed");
        assert!(page.sessions.len() <= 2);
        listed.extend(page.sessions.into_iter().map(|session| session.session_id));
        pages += 1;
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
        // Good for its caller and user only.
        let request = ListSessionsRequest {
            page_token: token.clone(),
            user_id: "alice".to_owned(),
            ..ListSessionsRequest::default()
        };
        let answer = node.call::<_, ListSessionsResponse>(&application(), request).await;
        assert_eq!(answer.expect_err("refused").reason(), Reason::InvalidPageToken);
    }
    let due: BTreeSet<String> = open.iter().map(session).collect();
    assert_eq!((listed, pages), (due, 3));
}

#[tokio::test(start_paused = true)]
async fn who_may_name_whom() {
    let node = Node::new();
    let alice = stream(&node, caller("alice")).await;
    let list = |user: &str| ListSessionsRequest {
        user_id: user.to_owned(),
        ..ListSessionsRequest::default()
    };
    let end = |user: &str| EndSessionRequest {
        session_id: session(&alice),
        user_id: user.to_owned(),
        revoke: true,
    };
    let bob = caller("bob");
    for (by, user, due) in [
        (&bob, "alice", Reason::CallerNotAllowed),
        (&bob, "no name", Reason::InvalidArgument),
        (&application(), "", Reason::InvalidArgument),
        (&application(), "no name", Reason::InvalidArgument),
    ] {
        let answer = node.call::<_, ListSessionsResponse>(by, list(user)).await;
        assert_eq!(answer.expect_err("refused").reason(), due, "{user}");
        let answer = node.call::<_, EndSessionResponse>(by, end(user)).await;
        assert_eq!(answer.expect_err("refused").reason(), due, "{user}");
    }
    let revoke = RevokeUserRequest::default();
    let answer = node.call::<_, RevokeUserResponse>(&application(), revoke).await;
    assert_eq!(answer.expect_err("refused").reason(), Reason::InvalidArgument);
    // Another tenant's backend finds nobody here.
    let tenant = TenantId::parse("other").expect("a tenant");
    let elsewhere = Caller { tenant, ..application() };
    assert_eq!(node.sessions(&elsewhere, "alice").await, []);
    let answer = node.call::<_, EndSessionResponse>(&elsewhere, end("alice")).await;
    assert_eq!(answer.expect_err("refused").reason(), Reason::SessionNotFound);
    node.revoke_user(&elsewhere, "alice").await.expect("revoked there");
    let request = EndSessionRequest { session_id: String::new(), ..end("alice") };
    let answer = node.call::<_, EndSessionResponse>(&application(), request).await;
    assert_eq!(answer.expect_err("refused").reason(), Reason::InvalidArgument);
    assert_eq!(node.sessions(&caller("alice"), "").await.len(), 1, "nothing has ended");
    assert_eq!(node.revocations.check(&caller("alice")), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_is_told_and_cannot_be_resumed() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut phone = stream(&node, caller("alice")).await;
        let mut laptop = stream(&node, laptop("login")).await;
        let ended = session(&phone);
        node.end_session(&caller("alice"), &ended, false).await.expect("ended");
        let (reason, goodbye) = phone.goodbye().await;
        assert_eq!(reason, Reason::SessionEnded);
        assert_eq!(goodbye.retry_after, None, "not before somebody wants it");
        let lost = resumed(&node, caller("alice"), &ended).await;
        assert_eq!(lost.err(), Some(Reason::SessionLost));
        let again = node.end_session(&caller("alice"), &ended, false).await;
        assert_eq!(again.expect_err("refused").reason(), Reason::SessionNotFound);
        // The token is as good as before, and so are other sessions of the login.
        assert_eq!(node.revocations.check(&caller("alice")), Ok(()));
        assert!(laptop.is_silent_for(Duration::from_secs(100)).await);
        stream(&node, caller("alice")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_stream_is_ended_too() {
    let node = Node::new();
    let phone = stream(&node, caller("alice")).await;
    let ended = session(&phone);
    drop(phone);
    tokio::time::sleep(Duration::from_secs(5)).await;
    node.end_session(&caller("alice"), &ended, false).await.expect("ended");
    assert_eq!(resumed(&node, caller("alice"), &ended).await.err(), Some(Reason::SessionLost));
    let unknown = "00000000-0000-4000-8000-000000000000";
    for nobodys in [unknown, "nonsense"] {
        for revoke in [false, true] {
            let answer = node.end_session(&caller("alice"), nobodys, revoke).await;
            assert_eq!(answer.expect_err("refused").reason(), Reason::SessionNotFound);
        }
    }
    let answer = node.end_session(&caller("alice"), "", false).await;
    assert_eq!(answer.expect_err("refused").reason(), Reason::InvalidArgument);
}

/// Every stream of the login ends, nothing of it can be resumed, and its tokens are
/// refused: here, and on a node that starts later.
async fn revokes(way: Way) -> Result<(), String> {
    let disk = Disk::default();
    let node = Node::over(World::default(), &disk, |_| {}).by(way);
    let mut phone = stream(&node, caller_in("alice", "one")).await;
    let mut second = stream(&node, caller_in("alice", "one")).await;
    let mut other = stream(&node, caller_in("alice", "two")).await;
    let mut bob = stream(&node, caller_in("bob", "one")).await;
    let sessions = [session(&phone), session(&second)];
    node.end_session(&caller_in("alice", "two"), &sessions[0], true).await.expect("ended");
    for client in [&mut phone, &mut second] {
        let said = tokio::time::timeout(Duration::from_secs(10), client.goodbye()).await;
        match said.map(|(reason, _)| reason) {
            Ok(Reason::SessionRevoked) => {}
            other => return Err(format!("a stream of the login: {other:?}")),
        }
    }
    for client in [&mut other, &mut bob] {
        if !client.is_silent_for(Duration::from_secs(10)).await {
            return Err("a stream of another login ended".to_owned());
        }
    }
    let later = Node::over(World::default(), &disk, |_| {}).by(way);
    later.service.load().await.expect("loaded");
    for node in [&node, &later] {
        for (user, login, due) in [
            ("alice", "one", Err(Reason::SessionRevoked)),
            ("alice", "two", Ok(())),
            ("bob", "one", Ok(())),
        ] {
            let check = node.revocations.check(&caller_in(user, login));
            let outcome = check.map_err(|error| error.reason());
            if outcome != due {
                return Err(format!("{user} of login {login}: {outcome:?}"));
            }
        }
    }
    for session in &sessions {
        // With a new login on the same device.
        let outcome = resumed(&later, caller_in("alice", "three"), session).await.err();
        if outcome != Some(Reason::SessionLost) {
            return Err(format!("resumed: {outcome:?}"));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_revoked_login_is_over_everywhere_and_for_good() {
    for way in Way::BOTH {
        revokes(way).await.expect("revoked");
        for name in ["revocation-not-kept", "revocation-spares-streams", "revocation-not-checked"] {
            mutant::set(Some(name));
            let seen = revokes(way).await;
            mutant::set(None);
            assert!(seen.is_err(), "{name} is not seen");
        }
    }
}

/// An event that is published just after the login was revoked, before the stream's
/// task has run at all.
async fn hears_after_revocation(revoked: &str) -> Vec<Frame> {
    let world = World::default();
    world.join(1, "alice");
    let node = Node::with(world.clone(), |_| {});
    let mut phone = node.hello_as(caller_in("alice", "one"), watching(&[(1, 1)])).await;
    phone.synced(1).await;
    world.say(1, "before");
    let until = node.revocations.keep_until(confab_kit::clock::now_seconds());
    let tokens = RevokedTokens::OfSession(revoked.into());
    let (tenant, user) = (caller("alice").tenant, caller("alice").user);
    world.bus.publish(Signal::Revoked(Arc::new(Revocation { tenant, user, tokens, until })));
    world.say(1, "after");
    let mut frames = Vec::new();
    while let Ok(Said::Frame(frame)) =
        tokio::time::timeout(Duration::from_secs(1), phone.said()).await
    {
        frames.push(*frame);
    }
    if revoked != "one" {
        // Whom it does not concern goes on as before.
        world.say(1, "later");
        frames.push(phone.next().await);
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_a_revocation() {
    let seqs = |frames: &[Frame]| -> Vec<u64> {
        let seq = |frame: &Frame| match frame {
            Frame::Event(event) => Some(event.seq),
            _ => None,
        };
        frames.iter().filter_map(seq).collect()
    };
    let frames = hears_after_revocation("one").await;
    assert_eq!(seqs(&frames), [2]);
    assert!(matches!(frames.last(), Some(Frame::Goodbye(_))));
    assert_eq!(seqs(&hears_after_revocation("two").await), [2, 3, 4]);
    mutant::set(Some("lane-past-revocation"));
    let seen = hears_after_revocation("one").await;
    mutant::set(None);
    assert_eq!(seqs(&seen), [2, 3], "the mutant is seen");
}

#[tokio::test(start_paused = true)]
async fn a_user_logs_out() {
    let node = Node::new();
    let mut phone = stream(&node, caller_in("alice", "one")).await;
    // Without the name of a session: that of the token.
    node.end_session(&caller_in("alice", "one"), "", true).await.expect("ended");
    assert_eq!(phone.farewell().await, Reason::SessionRevoked);
    let revoked = node.revocations.check(&caller_in("alice", "one"));
    assert_eq!(revoked.expect_err("refused").reason(), Reason::SessionRevoked);
    assert_eq!(node.revocations.check(&caller_in("alice", "two")), Ok(()));
    assert_eq!(node.sessions(&application(), "alice").await, []);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_user_must_log_in_again() {
    let disk = Disk::default();
    let node = Node::over(World::default(), &disk, |_| {});
    let mut streams = [
        stream(&node, caller_in("alice", "one")).await,
        stream(&node, caller_in("alice", "two")).await,
    ];
    let mut bob = stream(&node, caller("bob")).await;
    let admin = Caller { kind: CallerKind::TenantAdmin, ..application() };
    let old = caller_in("alice", "three");
    node.revoke_user(&admin, "alice").await.expect("revoked");
    for client in &mut streams {
        assert_eq!(client.farewell().await, Reason::SessionRevoked);
    }
    assert!(bob.is_silent_for(Duration::from_secs(100)).await);
    let later = Node::over(World::default(), &disk, |_| {});
    later.service.load().await.expect("loaded");
    for node in [&node, &later] {
        let refused = node.revocations.check(&old).expect_err("refused");
        assert_eq!(refused.reason(), Reason::SessionRevoked);
        let issued_at = confab_kit::clock::now_seconds() + 1;
        let new = Caller { issued_at, ..old.clone() };
        assert_eq!(node.revocations.check(&new), Ok(()), "a token that is issued later");
    }
    assert_eq!(node.sessions(&admin, "alice").await, []);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_opens_no_stream_and_extends_none() {
    let node = Node::new();
    let mut client = stream(&node, caller_in("alice", "one")).await;
    node.end_session(&caller_in("alice", "two"), "", true).await.expect("ended");
    let token = node.token("alice", |claims| claims.session_id = Some("two".to_owned()));
    client.send(connect_request::Frame::Authenticate(Authenticate { token }));
    let Frame::Authenticated(answer) = client.next().await else { panic!("no outcome") };
    assert_eq!(answer.failure.expect("a failure").reason(), Reason::SessionRevoked);
    assert!(client.is_silent_for(Duration::from_secs(10)).await, "the stream goes on");
    // The layers had let it pass just before it was revoked.
    let mut late = node.connect_as(caller_in("alice", "two")).await;
    late.hello(watching(&[]));
    assert_eq!(late.farewell().await, Reason::SessionRevoked);
}
