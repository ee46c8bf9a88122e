//! Conversations of many: only who watches one hears of it as it happens.

use std::time::Duration;

use confab_log::mutant;
use confab_proto::{messages::v1::Receipt, realtime::v1::connect_response::Frame};

use crate::support::{Client, Node, Way, World, id, watching};

fn grow(world: &World, number: u8, participants: u32) {
    let mut inner = world.lock();
    inner.logs.get_mut(&id(number)).expect("a log").participants = Some(participants);
}

/// Alice, who watches conversation 1 and is in 2 as well.
async fn alice(world: &World, way: Way) -> (Node, Client) {
    world.join(1, "alice");
    world.join(2, "alice");
    let node = Node::with(world.clone(), |_| {}).by(way);
    let mut client = node.hello("alice", watching(&[(1, 1)])).await;
    client.synced(1).await;
    (node, client)
}

/// Whether a head came for what was said in conversation 2.
async fn head_comes(participants: u32, way: Way) -> bool {
    let world = World::default();
    let (_node, mut client) = alice(&world, way).await;
    grow(&world, 2, participants);
    world.say(2, "hi");
    // Longer than it takes the stream to ask what it has missed.
    let next = tokio::time::timeout(Duration::from_secs(100), client.next()).await;
    match next {
        Ok(Frame::Head(head)) => {
            assert_eq!(head.conversation_id, id(2));
            true
        }
        Ok(other) => panic!("{other:?}"),
        Err(_) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn heads_are_live_up_to_500_participants() {
    for way in Way::BOTH {
        assert!(head_comes(500, way).await);
        assert!(!head_comes(501, way).await);
        mutant::set(Some("heads-of-large"));
        let caught = head_comes(501, way).await;
        mutant::set(None);
        assert!(caught, "the mutant is seen");
    }
}

#[tokio::test(start_paused = true)]
async fn who_watches_a_large_conversation_gets_its_events_and_no_receipts() {
    for way in Way::BOTH {
        let world = World::default();
        let (_node, mut client) = alice(&world, way).await;
        let receipt = |read_seq| Receipt { user_id: "bob".into(), read_seq, delivered_seq: 1 };
        grow(&world, 1, 500);
        world.tell_receipt(1, receipt(1));
        assert!(matches!(client.next().await, Frame::Receipt(_)));
        grow(&world, 1, 501);
        world.tell_receipt(1, receipt(1));
        world.say(1, "hi");
        assert_eq!(client.event().await, 2, "and no receipt before it");
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}
