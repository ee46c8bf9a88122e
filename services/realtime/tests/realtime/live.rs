//! What happens, as it happens.

use std::time::Duration;

use confab_kit::{bus::Signal, error::Reason};
use confab_log::mutant;
use confab_proto::{
    messages::v1::Receipt,
    realtime::v1::{Watch, connect_request, connect_response::Frame},
};

use crate::support::{Client, Node, Way, World, cursor, id, watching};

/// Conversation 1 with alice in it from its first event on.
fn world() -> World {
    let world = World::default();
    world.join(1, "alice");
    world
}

async fn live(world: &World, way: Way) -> (Node, Client) {
    let node = Node::with(world.clone(), |_| {}).by(way);
    let head = world.lock().logs[&id(1)].head();
    let mut client = node.hello("alice", watching(&[(1, head)])).await;
    client.synced(1).await;
    (node, client)
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_once() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        let first = world.write(1, "a");
        let second = world.write(1, "b");
        // The bus may double and reorder.
        for event in [&second, &first, &first, &second] {
            world.tell(event);
        }
        assert_eq!(client.event().await, 2);
        assert_eq!(client.event().await, 3);
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_loses_is_read() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        for _ in 0..20 {
            world.write(1, "lost");
        }
        world.say(1, "told");
        for seq in 2..=22 {
            assert_eq!(client.event().await, seq);
        }
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nothing_follows_is_found_too() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        world.write(1, "lost");
        world.note(1, "alice");
        let start = tokio::time::Instant::now();
        let mut kinds = [false, false];
        for _ in 0..2 {
            match client.next().await {
                Frame::Event(event) => kinds[0] = event.seq == 2,
                Frame::Inbox(event) => kinds[1] = event.inbox_seq == 2,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(kinds, [true, true]);
        assert!(start.elapsed() <= Duration::from_secs(46), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_own_removal_is_the_last_event() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        world.say(1, "a");
        let (left, noted) = world.leave(1, "alice");
        world.tell(&left);
        world.say(1, "secret");
        world.tell_inbox("alice", &noted);
        world.say(1, "secret");
        assert_eq!(client.event().await, 2);
        assert_eq!(client.event().await, 3);
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
        assert!(matches!(client.next().await, Frame::Inbox(_)));
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_removal_is_the_last_event_all_the_same() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        world.say(1, "a");
        assert_eq!(client.event().await, 2);
        world.leave(1, "alice");
        world.say(1, "secret");
        world.say(1, "secret");
        assert_eq!(client.event().await, 3);
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
        assert!(matches!(client.next().await, Frame::Inbox(_)));
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn others_may_leave_and_join() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        let (joined, _) = world.join(1, "bob");
        let (left, _) = world.leave(1, "bob");
        world.tell(&joined);
        world.tell(&left);
        world.say(1, "hi");
        for seq in 2..=4 {
            assert_eq!(client.event().await, seq);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_be_added_moved_and_removed() {
    let world = world();
    world.join(2, "alice");
    world.write_many(2, 3);
    let (_node, mut client) = live(&world, Way::Connect).await;
    let add = |seq| Watch { add: vec![cursor(2, seq)], ..Watch::default() };
    client.send(connect_request::Frame::Watch(add(2)));
    assert_eq!([client.event().await, client.event().await], [3, 4]);
    assert!(matches!(client.next().await, Frame::Synced(_)));
    world.say(2, "live");
    assert_eq!(client.event().await, 5);
    client.send(connect_request::Frame::Watch(add(4)));
    assert_eq!(client.event().await, 5);
    assert!(matches!(client.next().await, Frame::Synced(_)));
    client.send(connect_request::Frame::Watch(Watch { remove: vec![id(2)], ..Watch::default() }));
    assert!(client.is_silent_for(Duration::from_secs(1)).await);
    world.say(2, "not watched");
    assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 6));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_watch_is_refused_alone() {
    let world = world();
    world.join(3, "bob");
    let (_node, mut client) = live(&world, Way::Connect).await;
    let mut add = vec![cursor(3, 0), cursor(4, 0), cursor(1, 2)];
    add.push(confab_proto::conversations::v1::ConversationCursor {
        conversation_id: "nonsense".into(),
        seq: 0,
    });
    client.send(connect_request::Frame::Watch(Watch {
        add,
        remove: vec!["nonsense".into()],
        ..Watch::default()
    }));
    let mut ended = Vec::new();
    for _ in 0..4 {
        ended.push(client.watch_ended().await);
    }
    ended.sort_by_key(|(id, _)| id.clone());
    assert_eq!(
        ended,
        [
            (id(1), Reason::CursorAboveHead),
            (id(3), Reason::ConversationNotFound),
            (id(4), Reason::ConversationNotFound),
            ("nonsense".into(), Reason::InvalidArgument),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_watches_as_many_as_it_may() {
    let world = world();
    let node = Node::with(world.clone(), |limits| limits.watches = 1);
    let mut client = node.hello("alice", watching(&[(1, 1)])).await;
    client.synced(1).await;
    let add = Watch { add: vec![cursor(2, 0)], ..Watch::default() };
    client.send(connect_request::Frame::Watch(add));
    assert_eq!(client.watch_ended().await, (id(2), Reason::Overloaded));
    let swap = Watch { add: vec![cursor(2, 0)], remove: vec![id(1)], ..Watch::default() };
    client.send(connect_request::Frame::Watch(swap));
    assert_eq!(client.watch_ended().await, (id(2), Reason::ConversationNotFound));
}

#[tokio::test(start_paused = true)]
async fn heads_come_at_once_and_then_once_a_second() {
    for way in Way::BOTH {
        let world = world();
        world.join(2, "alice");
        let (_node, mut client) = live(&world, way).await;
        let start = tokio::time::Instant::now();
        world.say(2, "a");
        assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 2));
        assert!(start.elapsed() < Duration::from_millis(10));
        for _ in 0..50 {
            world.say(2, "b");
            tokio::task::yield_now().await;
        }
        assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 52));
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

/// Whether the head of a conversation that is not watched is found after its event
/// was lost on the bus, and shown once.
async fn a_lost_head_comes(way: Way) -> bool {
    let world = world();
    world.join(2, "alice");
    let (_node, mut client) = live(&world, way).await;
    world.write(2, "lost");
    world.bus.deliver(&Signal::Missed);
    match tokio::time::timeout(Duration::from_secs(10), client.next()).await {
        Ok(Frame::Head(head)) => assert!(head.conversation_id == id(2) && head.seq == 2),
        Ok(other) => panic!("{other:?}"),
        Err(_) => return false,
    }
    // What is said meanwhile does not wait for the look.
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.bus.deliver(&Signal::Missed);
    let start = tokio::time::Instant::now();
    world.say(2, "heard");
    assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 3));
    assert!(start.elapsed() < Duration::from_millis(10), "{:?}", start.elapsed());
    client.is_silent_for(Duration::from_secs(100)).await
}

#[tokio::test(start_paused = true)]
async fn heads_that_the_bus_has_lost_are_read() {
    for way in Way::BOTH {
        assert!(a_lost_head_comes(way).await);
        mutant::set(Some("heads-not-doubted"));
        let found = a_lost_head_comes(way).await;
        mutant::set(None);
        assert!(!found, "the mutant was not caught");
    }
}

#[tokio::test(start_paused = true)]
async fn heads_follow_the_inbox() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        world.join(2, "bob");
        world.say(2, "before");
        let (_, noted) = world.join(2, "alice");
        world.tell_inbox("alice", &noted);
        assert!(matches!(client.next().await, Frame::Inbox(_)));
        assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 3));
        let (_, noted) = world.leave(2, "alice");
        world.tell_inbox("alice", &noted);
        world.say(2, "secret");
        assert!(matches!(client.next().await, Frame::Inbox(_)));
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn no_head_is_shown_after_a_removal_that_nobody_told_of() {
    for way in Way::BOTH {
        let world = world();
        world.join(2, "alice");
        let (_node, mut client) = live(&world, way).await;
        world.leave(2, "alice");
        world.say(2, "secret");
        assert!(client.is_silent_for(Duration::from_secs(10)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_are_shown_up_to_what_was_sent() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        let receipt =
            |read_seq| Receipt { user_id: "bob".into(), read_seq, delivered_seq: read_seq };
        world.tell_receipt(1, receipt(1));
        assert!(matches!(client.next().await, Frame::Receipt(moved)
        if moved.conversation_id == id(1) && moved.receipt == Some(receipt(1))));
        world.write(1, "lost");
        world.tell_receipt(1, receipt(2));
        assert_eq!(client.event().await, 2, "a receipt tells of what the bus lost");
    }
}

#[tokio::test(start_paused = true)]
async fn every_device_of_a_user_hears() {
    for way in Way::BOTH {
        let world = world();
        let (node, mut phone) = live(&world, way).await;
        let mut laptop = node.hello("alice", watching(&[(1, 1)])).await;
        laptop.synced(1).await;
        world.say(1, "hi");
        let noted = world.note(1, "alice");
        world.tell_inbox("alice", &noted);
        for client in [&mut phone, &mut laptop] {
            assert_eq!(client.event().await, 2);
            assert!(matches!(client.next().await, Frame::Inbox(event) if event.inbox_seq == 2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_never_meet() {
    for way in Way::BOTH {
        let world = world();
        let (_node, mut client) = live(&world, way).await;
        let event = world.write(1, "hi");
        world.bus.publish(confab_kit::bus::Signal::Event {
            tenant: confab_log::TenantId::parse("other").expect("a tenant"),
            conversation: confab_log::ConversationId::parse(&id(1)).expect("an id"),
            event,
            participants: None,
        });
        assert!(client.is_silent_for(Duration::from_secs(5)).await);
    }
}
