//! Who is here, and who may see it.

use std::time::Duration;

use confab_kit::error::{Error, Reason};
use confab_log::mutant;
use confab_proto::realtime::v1::{
    Hello, Presence, PresenceStatus, SetPresenceRequest, Watch, connect_request,
    connect_response::Frame,
};
use confab_realtime::store::LastSeenStore as _;

use crate::support::{Client, Disk, Lingering, Node, Way, World, watching};

use PresenceStatus::{Away, Offline, Online};

/// Alice shares conversation 1 with bob and 2 with carol; mallory is in neither.
pub(crate) fn world() -> World {
    let world = World::default();
    for (number, user) in [(1, "alice"), (1, "bob"), (2, "alice"), (2, "carol"), (3, "mallory")] {
        world.join(number, user);
    }
    world
}

fn seeing(users: &[&str]) -> Hello {
    let presence = users.iter().map(|&user| user.to_owned()).collect();
    Hello { presence, ..Hello::default() }
}

async fn stream(node: &Node, user: &str) -> Client {
    let mut client = node.hello(user, watching(&[])).await;
    client.synced(0).await;
    client
}

/// The user is here until this is dropped.
pub(crate) async fn present(node: &Node, user: &str) -> Lingering {
    stream(node, user).await.linger()
}

/// Alice, who watches these, and what she sees of each at first.
pub(crate) async fn watcher(node: &Node, users: &[&str]) -> (Client, Vec<Presence>) {
    let mut alice = node.hello("alice", seeing(users)).await;
    let seen = first_seen(&mut alice, 0, users.len()).await;
    (alice, seen)
}

/// What is seen at first of so many users; some of it may come before all is synced.
async fn first_seen(client: &mut Client, watches: usize, users: usize) -> Vec<Presence> {
    let early = client.synced(watches).await.into_iter().filter_map(|frame| match frame {
        Frame::Presence(presence) => Some(presence),
        _ => None,
    });
    let mut seen: Vec<Presence> = early.collect();
    while seen.len() < users {
        seen.push(presence(client).await);
    }
    seen
}

/// The next frame on anybody's presence; heads pass by.
pub(crate) async fn presence(client: &mut Client) -> Presence {
    loop {
        match client.next().await {
            Frame::Presence(presence) => return presence,
            Frame::Head(_) | Frame::Event(_) | Frame::Inbox(_) => {}
            other => panic!("presence was expected: {other:?}"),
        }
    }
}

pub(crate) async fn is_silent(client: &mut Client) -> bool {
    client.is_silent_for(Duration::from_secs(100)).await
}

/// As somebody looks who was never here.
pub(crate) fn never_here(user: &str) -> Presence {
    Presence { user_id: user.to_owned(), status: Offline.into(), ..Presence::default() }
}

pub(crate) fn here(user: &str) -> Presence {
    Presence { user_id: user.to_owned(), status: Online.into(), ..Presence::default() }
}

#[tokio::test(start_paused = true)]
async fn a_stream_makes_its_user_online_and_its_end_offline_after_a_while() {
    for way in Way::BOTH {
        let node = Node::with(world(), |_| {}).by(way);
        let (mut alice, seen) = watcher(&node, &["bob"]).await;
        assert_eq!(seen, [never_here("bob")]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let bob = present(&node, "bob").await;
        assert_eq!(presence(&mut alice).await, here("bob"));
        let second = present(&node, "bob").await;
        drop(bob);
        assert!(is_silent(&mut alice).await, "a second device is still here");
        drop(second);
        let left = tokio::time::Instant::now();
        let offline = presence(&mut alice).await;
        assert_eq!(left.elapsed().as_secs(), 10);
        assert_eq!(offline.status(), Offline);
        assert!(offline.last_seen_time.is_some());
        // Whoever looks later sees the same.
        let (_later, seen) = watcher(&node, &["bob"]).await;
        assert_eq!(seen, [offline]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_reconnects_does_not_flicker() {
    let node = Node::with(world(), |_| {});
    let mut bob = present(&node, "bob").await;
    let (mut alice, seen) = watcher(&node, &["bob"]).await;
    assert_eq!(seen, [here("bob")]);
    for _ in 0..5 {
        drop(bob);
        tokio::time::sleep(Duration::from_secs(9)).await;
        bob = present(&node, "bob").await;
    }
    assert!(is_silent(&mut alice).await);
}

#[tokio::test(start_paused = true)]
async fn last_seen_outlives_the_node() {
    let (world, disk) = (world(), Disk::default());
    let node = Node::over(world.clone(), &disk, |_| {});
    let (mut alice, _) = watcher(&node, &["bob"]).await;
    let bob = present(&node, "bob").await;
    assert_eq!(presence(&mut alice).await, here("bob"));
    drop(bob);
    let offline = presence(&mut alice).await;
    let later = Node::over(world, &disk, |_| {});
    let (_alice, seen) = watcher(&later, &["bob", "carol"]).await;
    assert_eq!(seen, [offline, never_here("carol")]);
}

pub(crate) fn away(text: &str) -> SetPresenceRequest {
    SetPresenceRequest { status: Away.into(), text: text.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn users_say_how_present_they_are_while_they_are_here() {
    let node = Node::with(world(), |_| {});
    let absent = node.set_presence("bob", away("lunch")).await.expect("answered");
    assert_eq!(absent, never_here("bob"), "who is not here is offline");
    let bob = present(&node, "bob").await;
    let (mut alice, seen) = watcher(&node, &["bob"]).await;
    assert_eq!(seen, [here("bob")], "and what was said is forgotten");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let set = node.set_presence("bob", away("lunch")).await.expect("answered");
    let due = Presence { status: Away.into(), text: "lunch".to_owned(), ..here("bob") };
    assert_eq!(set, due);
    assert_eq!(presence(&mut alice).await, due);
    let second = present(&node, "bob").await;
    drop(bob);
    assert!(is_silent(&mut alice).await, "it lasts as long as the user is here");
    drop(second);
    let offline = presence(&mut alice).await;
    assert_eq!((offline.status(), offline.text.as_str()), (Offline, ""));
    let _bob = present(&node, "bob").await;
    assert_eq!(presence(&mut alice).await, here("bob"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_said_is_refused() {
    let node = Node::with(world(), |_| {});
    let _bob = present(&node, "bob").await;
    let offline = SetPresenceRequest { status: Offline.into(), text: String::new() };
    let nothing = SetPresenceRequest::default();
    let unknown = SetPresenceRequest { status: 9, text: String::new() };
    for (request, field) in [
        (offline, "status"),
        (nothing, "status"),
        (unknown, "status"),
        (away(&"x".repeat(257)), "text"),
    ] {
        let error = node.set_presence("bob", request).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidArgument);
        assert_eq!(error.violations()[0].field, field);
    }
    node.set_presence("bob", away(&"x".repeat(256))).await.expect("it fits");
}

#[tokio::test(start_paused = true)]
async fn the_first_change_is_told_at_once_and_then_the_latest_every_five_seconds() {
    let node = Node::with(world(), |_| {});
    let _bob = present(&node, "bob").await;
    let (mut alice, _) = watcher(&node, &["bob"]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let begun = tokio::time::Instant::now();
    let speak = async {
        for number in 0..120 {
            node.set_presence("bob", away(&number.to_string())).await.expect("answered");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let look = async {
        let mut seen = Vec::new();
        while let Ok(frame) = tokio::time::timeout(Duration::from_secs(20), alice.next()).await {
            let Frame::Presence(presence) = frame else { panic!("{frame:?}") };
            seen.push((begun.elapsed().as_secs(), presence.text));
        }
        seen
    };
    let seen = tokio::join!(speak, look).1;
    let times: Vec<u64> = seen.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 5, 10, 15]);
    let texts: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!((texts[0], texts[3]), ("0", "119"), "the first and the last: {texts:?}");
}

/// What alice sees of somebody online with whom she shares nothing.
async fn seen_of_a_stranger() -> Vec<Presence> {
    let node = Node::with(world(), |_| {});
    let _mallory = present(&node, "mallory").await;
    let (mut alice, mut seen) = watcher(&node, &["mallory", "nobody"]).await;
    node.set_presence("mallory", away("secret")).await.expect("answered");
    // Over several heals.
    while let Ok(frame) = tokio::time::timeout(Duration::from_mins(2), alice.next()).await {
        let Frame::Presence(presence) = frame else { panic!("{frame:?}") };
        seen.push(presence);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_stranger_looks_like_somebody_who_was_never_here() {
    let nothing = [never_here("mallory"), never_here("nobody")];
    assert_eq!(seen_of_a_stranger().await, nothing);
    mutant::set(Some("presence-of-strangers"));
    let seen = seen_of_a_stranger().await;
    mutant::set(None);
    assert_ne!(seen, nothing, "the mutant is seen");
}

/// How long after the change alice sees it, in seconds; a heal comes within 45.
async fn sees(alice: &mut Client, due: PresenceStatus) -> u64 {
    let changed = tokio::time::Instant::now();
    let seen = presence(alice).await;
    assert_eq!(seen.status(), due);
    if due == Offline {
        assert_eq!(seen.last_seen_time, None, "as a stranger");
    }
    changed.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_conversation_no_longer_is_a_stranger() {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let _bob = present(&node, "bob").await;
    let mut hello = seeing(&["bob"]);
    hello.watch = watching(&[(1, 2)]).watch;
    let mut alice = node.hello("alice", hello).await;
    assert_eq!(first_seen(&mut alice, 1, 1).await, [here("bob")]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Told by an event of a watched conversation.
    let (left, _) = world.leave(1, "bob");
    world.tell(&left);
    assert!(sees(&mut alice, Offline).await <= 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Told by alice's own inbox.
    world.join(4, "bob");
    let (_, joined) = world.join(4, "alice");
    world.tell_inbox("alice", &joined);
    assert!(sees(&mut alice, Online).await <= 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (_, left) = world.leave(4, "alice");
    world.tell_inbox("alice", &left);
    assert!(sees(&mut alice, Offline).await <= 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Told by nobody.
    world.join(2, "bob");
    assert!(sees(&mut alice, Online).await <= 45);
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_loses_is_found_by_a_look() {
    let node = Node::with(world(), |_| {});
    let (mut alice, seen) = watcher(&node, &["bob"]).await;
    assert_eq!(seen, [never_here("bob")]);
    // Of another node, whose word never came: known from the store only.
    let user = confab_log::UserId::parse("bob").expect("a user");
    let tenant = confab_log::TenantId::parse("acme").expect("a tenant");
    node.disk.last_seen.note(&tenant, &user, 1_000_000, 0).await.expect("noted");
    let seen = presence(&mut alice).await;
    assert_eq!(seen.last_seen_time.map(|time| time.seconds), Some(1));
}

fn change(client: &Client, add: &[&str], remove: &[&str]) {
    let list = |users: &[&str]| users.iter().map(|&user| user.to_owned()).collect();
    let watch =
        Watch { add_presence: list(add), remove_presence: list(remove), ..Watch::default() };
    client.send(connect_request::Frame::Watch(watch));
}

#[tokio::test(start_paused = true)]
async fn users_are_added_and_removed() {
    let node = Node::with(world(), |_| {});
    let _bob = present(&node, "bob").await;
    let _carol = present(&node, "carol").await;
    let mut alice = stream(&node, "alice").await;
    change(&alice, &["bob"], &[]);
    assert_eq!(presence(&mut alice).await, here("bob"));
    change(&alice, &["carol"], &["bob"]);
    assert_eq!(presence(&mut alice).await, here("carol"));
    node.set_presence("bob", away("")).await.expect("answered");
    assert!(is_silent(&mut alice).await, "bob is not watched any more");
    change(&alice, &["carol", "alice"], &["nobody", "no name"]);
    let again = [presence(&mut alice).await, presence(&mut alice).await];
    assert_eq!(again, [here("alice"), here("carol")], "told anew, and oneself as well");
}

#[tokio::test(start_paused = true)]
async fn a_stream_watches_as_many_users_as_it_may() {
    let node = Node::with(world(), |limits| limits.presences = 2);
    let mut alice = stream(&node, "alice").await;
    change(&alice, &["bob", "no name"], &[]);
    let Frame::PresenceRefused(refused) = alice.next().await else { panic!("not refused") };
    assert_eq!(refused.user_ids, ["no name"]);
    let error = Error::from_failure(&refused.failure.expect("a failure"));
    assert_eq!(error.reason(), Reason::InvalidArgument);
    assert_eq!(presence(&mut alice).await, never_here("bob"));
    change(&alice, &["carol", "mallory"], &[]);
    let Frame::PresenceRefused(refused) = alice.next().await else { panic!("not refused") };
    assert_eq!(refused.user_ids, ["mallory"]);
    let error = Error::from_failure(&refused.failure.expect("a failure"));
    assert_eq!(error.reason(), Reason::Overloaded);
    assert_eq!(presence(&mut alice).await, never_here("carol"));
    // One frame that names more than could ever be is a defect of the client.
    change(&alice, &["a", "b", "c"], &[]);
    assert_eq!(alice.farewell().await, Reason::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_hello_names_as_many_users_as_it_may() {
    for way in Way::BOTH {
        let node = Node::with(world(), |_| {}).by(way);
        let many: Vec<String> = (0..10_000).map(|number| format!("u{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for users in [&many[..], &many[..201], &["bob", "no name"]] {
            let mut client = node.connect("alice").await;
            client.hello(seeing(users));
            let reason = client.farewell().await;
            let due =
                if users.len() > 5000 { Reason::RequestTooLarge } else { Reason::InvalidArgument };
            assert_eq!(reason, due, "{} users", users.len());
        }
        let (_alice, seen) = watcher(&node, &many[..200]).await;
        assert!(seen.iter().all(|presence| presence.status() == Offline));
    }
}

#[tokio::test(start_paused = true)]
async fn presence_goes_with_a_session_as_without() {
    let node = Node::with(world(), |_| {});
    let _bob = present(&node, "bob").await;
    let alice = stream(&node, "alice").await;
    let session_id = alice.welcome.session_id.clone();
    let mut alice = node.hello("alice", Hello { session_id, ..seeing(&["bob"]) }).await;
    assert_eq!(first_seen(&mut alice, 0, 1).await, [here("bob")]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_tried_again() {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let _bob = present(&node, "bob").await;
    let mut alice = stream(&node, "alice").await;
    world.lock().failing_reads = 3;
    change(&alice, &["bob"], &[]);
    assert_eq!(presence(&mut alice).await, here("bob"));
    assert_eq!(world.lock().failing_reads, 0);
}

#[tokio::test(start_paused = true)]
async fn who_stays_is_noted_from_time_to_time() {
    let node = Node::with(world(), |_| {});
    let (mut alice, _) = watcher(&node, &["bob"]).await;
    let bob = present(&node, "bob").await;
    assert_eq!(presence(&mut alice).await, here("bob"));
    for _ in 0..34 {
        assert!(is_silent(&mut alice).await, "which is nobody's news");
    }
    let noted = node.disk.last_seen.noted("bob");
    assert!((4..=5).contains(&noted), "once and three times in 57 minutes: {noted}");
    drop(bob);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_when_the_node_drains() {
    let node = Node::with(world(), |_| {});
    let bob = present(&node, "bob").await;
    node.draining.cancel();
    // The goodbye is read, and that is all the time there is.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(bob);
    assert_eq!(node.disk.last_seen.noted("bob"), 2, "here, and gone");
}
