//! Who types.

use std::time::Duration;

use confab_kit::error::Reason;
use confab_log::mutant;
use confab_proto::realtime::v1::{
    SendTypingRequest, SendTypingResponse, TypingState, connect_response::Frame,
};

use crate::support::{Client, Node, Way, World, caller, id, watching};

use TypingState::{Started, Stopped};

/// Conversation 1 with alice, bob and carol in it.
fn world() -> World {
    let world = World::default();
    for user in ["alice", "bob", "carol"] {
        world.join(1, user);
    }
    world
}

async fn watcher(node: &Node, user: &str) -> Client {
    let head = node.world.lock().logs[&id(1)].head();
    let mut client = node.hello(user, watching(&[(1, head)])).await;
    client.synced(1).await;
    client
}

/// Who types next, and for how many seconds it is shown.
async fn typing(client: &mut Client) -> (String, i64) {
    match client.next().await {
        Frame::Typing(typing) => {
            assert_eq!(typing.conversation_id, id(1));
            (typing.user_id, typing.lasts.expect("a time").seconds)
        }
        other => panic!("typing was expected: {other:?}"),
    }
}

async fn is_silent(client: &mut Client) -> bool {
    client.is_silent_for(Duration::from_secs(10)).await
}

#[tokio::test(start_paused = true)]
async fn the_others_who_watch_are_told() {
    for way in Way::BOTH {
        let node = Node::with(world(), |_| {}).by(way);
        let mut alice = watcher(&node, "alice").await;
        let mut other_device = watcher(&node, "alice").await;
        let mut bob = watcher(&node, "bob").await;
        let mut carol = node.hello("carol", watching(&[])).await;
        carol.synced(0).await;
        node.types("alice", 1, Started).await;
        assert_eq!(typing(&mut bob).await, ("alice".to_owned(), 6));
        tokio::time::sleep(Duration::from_secs(3)).await;
        node.types("alice", 1, Stopped).await;
        assert_eq!(typing(&mut bob).await, ("alice".to_owned(), 0));
        for client in [&mut alice, &mut other_device, &mut carol, &mut bob] {
            assert!(is_silent(client).await, "neither the typist nor who does not watch");
        }
    }
}

/// What a user does, and after how many milliseconds.
type Words = [(u64, TypingState)];

/// When each word is passed on, in seconds after the first, and whether it is a start.
async fn passed_on(words: &Words) -> Vec<(u64, bool)> {
    let node = Node::with(world(), |_| {});
    let mut bob = watcher(&node, "bob").await;
    let begun = tokio::time::Instant::now();
    let speak = async {
        for (at, state) in words {
            tokio::time::sleep_until(begun + Duration::from_millis(*at)).await;
            node.types("alice", 1, *state).await;
        }
    };
    let hear = async {
        let mut heard = Vec::new();
        while let Ok(frame) = tokio::time::timeout(Duration::from_secs(10), bob.next()).await {
            let Frame::Typing(typing) = frame else { panic!("{frame:?}") };
            let lasts = typing.lasts.expect("a time").seconds > 0;
            heard.push((begun.elapsed().as_secs(), lasts));
        }
        heard
    };
    tokio::join!(speak, hear).1
}

#[tokio::test(start_paused = true)]
async fn one_word_every_two_seconds_is_passed_on_and_the_last_stop_always() {
    let cases: [(&Words, &[(u64, bool)]); 6] = [
        (&[(0, Started), (100, Started), (1900, Started)], &[(0, true)]),
        (&[(0, Started), (3000, Started), (6000, Started)], &[(0, true), (3, true), (6, true)]),
        // A stop that comes too soon waits for its time.
        (&[(0, Started), (500, Stopped)], &[(0, true), (2, false)]),
        // Unless the user goes on.
        (&[(0, Started), (500, Stopped), (900, Started)], &[(0, true)]),
        // A start that comes too soon after a stop is for the client to repeat.
        (&[(0, Stopped), (500, Started), (3500, Started)], &[(0, false), (3, true)]),
        (
            &[(0, Started), (500, Stopped), (2500, Started), (2600, Stopped), (5000, Started)],
            &[(0, true), (2, false), (5, true)],
        ),
    ];
    for (words, due) in cases {
        assert_eq!(passed_on(words).await, due, "{words:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_one_word_every_two_seconds() {
    let node = Node::with(world(), |_| {});
    let mut bob = watcher(&node, "bob").await;
    let begun = tokio::time::Instant::now();
    for number in 0..10_000_u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        node.types("alice", 1, if number % 2 == 0 { Started } else { Stopped }).await;
    }
    let mut words = 0;
    while tokio::time::timeout(Duration::from_millis(1), bob.next()).await.is_ok() {
        words += 1;
    }
    let due = begun.elapsed().as_secs() / 2 + 1;
    assert!((2..=due).contains(&words), "{words} words, {due} may be");
}

#[tokio::test(start_paused = true)]
async fn each_place_has_a_budget_of_its_own() {
    let world = world();
    for user in ["alice", "bob"] {
        world.join(2, user);
    }
    let node = Node::with(world, |_| {});
    let mut bob = node.hello("bob", watching(&[(1, 3), (2, 2)])).await;
    bob.synced(2).await;
    node.types("alice", 1, Started).await;
    node.types("alice", 2, Started).await;
    node.types("carol", 1, Started).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let Frame::Typing(typing) = bob.next().await else { panic!("typing") };
        heard.push((typing.conversation_id, typing.user_id));
    }
    let one = |number, user: &str| (id(number), user.to_owned());
    assert_eq!(heard, [one(1, "alice"), one(2, "alice"), one(1, "carol")]);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_types_for_nobody() {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let mut bob = watcher(&node, "bob").await;
    world.lock().muted.insert("alice".to_owned());
    node.types("alice", 1, Started).await;
    assert!(is_silent(&mut bob).await, "a muted user");
    mutant::set(Some("typing-of-muted"));
    node.types("alice", 1, Started).await;
    mutant::set(None);
    assert_eq!(typing(&mut bob).await, ("alice".to_owned(), 6), "the mutant is seen");
    world.lock().muted.clear();
    let (left, _) = world.leave(1, "carol");
    world.tell(&left);
    assert_eq!(bob.event().await, 4);
    for (user, reason) in
        [("carol", Reason::NotAParticipant), ("mallory", Reason::ConversationNotFound)]
    {
        let request = SendTypingRequest { conversation_id: id(1), state: Started.into() };
        let answer = node.call::<_, SendTypingResponse>(&caller(user), request).await;
        assert_eq!(answer.expect_err("refused").reason(), reason);
    }
    assert!(is_silent(&mut bob).await);
}

#[tokio::test(start_paused = true)]
async fn it_is_off_in_conversations_of_more_than_200() {
    for (participants, told) in [(200, true), (201, false)] {
        let world = world();
        let node = Node::with(world.clone(), |_| {});
        let mut bob = watcher(&node, "bob").await;
        world.lock().logs.get_mut(&id(1)).expect("a log").participants = Some(participants);
        node.types("alice", 1, Started).await;
        assert_eq!(!is_silent(&mut bob).await, told, "{participants} participants");
    }
    for (watchers, told) in [(2, true), (3, false)] {
        let node = Node::with(world(), |limits| limits.typing_participants = 2);
        node.world.lock().logs.get_mut(&id(1)).expect("a log").participants = Some(2);
        let mut others = Vec::new();
        for _ in 0..watchers {
            others.push(watcher(&node, "bob").await);
        }
        node.types("alice", 1, Started).await;
        assert_eq!(!is_silent(&mut others[0]).await, told, "{watchers} watchers");
    }
}

/// Bob was removed, and nobody told his stream.
async fn heard_after_a_removal() -> bool {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let mut bob = watcher(&node, "bob").await;
    world.leave(1, "bob");
    node.types("alice", 1, Started).await;
    let mut heard = false;
    while let Ok(frame) = tokio::time::timeout(Duration::from_secs(10), bob.next()).await {
        heard |= matches!(frame, Frame::Typing(_));
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_removed_watcher_hears_nothing() {
    assert!(!heard_after_a_removal().await);
    mutant::set(Some("typing-ahead"));
    let caught = heard_after_a_removal().await;
    mutant::set(None);
    assert!(caught, "the mutant is seen");
}

/// Bob takes nothing, and more waits for him than a quarter of what may.
#[tokio::test(start_paused = true)]
async fn nothing_is_queued_for_a_slow_reader() {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let mut bob = watcher(&node, "bob").await;
    let text = "x".repeat(10_000);
    for _ in 0..60 {
        world.say(1, &text);
        tokio::task::yield_now().await;
    }
    node.types("alice", 1, Started).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    for seq in 4..=63 {
        assert_eq!(bob.event().await, seq);
    }
    assert!(is_silent(&mut bob).await, "it was dropped");
    tokio::time::sleep(Duration::from_secs(2)).await;
    node.types("alice", 1, Started).await;
    assert_eq!(typing(&mut bob).await, ("alice".to_owned(), 6), "and the next one comes");
}

#[tokio::test(start_paused = true)]
async fn a_state_is_needed() {
    let node = Node::with(world(), |_| {});
    for state in [0, 3, -1] {
        let request = SendTypingRequest { conversation_id: id(1), state };
        let answer = node.call::<_, SendTypingResponse>(&caller("alice"), request).await;
        let error = answer.expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidArgument);
        assert_eq!(error.violations()[0].field, "state");
    }
}
