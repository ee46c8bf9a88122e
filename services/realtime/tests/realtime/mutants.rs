//! Each promise's test fails on the code that breaks the promise on purpose.

use std::time::Duration;

use confab_log::mutant;
use confab_proto::realtime::v1::connect_response::Frame;

use crate::support::{Node, Way, World, watching};

/// What a client sees of 30 live events, of which the bus loses the 15th, and
/// of its removal and 5 events after it.
async fn seen(way: Way) -> Vec<u64> {
    let world = World::default();
    world.join(1, "alice");
    world.write_many(1, 4);
    let node = Node::with(world.clone(), |_| {}).by(way);
    let mut client = node.hello("alice", watching(&[(1, 0)])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 1..=30 {
        let event = world.write(1, "hi");
        if number != 15 {
            world.tell(&event);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (left, _) = world.leave(1, "alice");
    world.tell(&left);
    for _ in 0..5 {
        world.say(1, "secret");
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut seqs = Vec::new();
    while let Ok(frame) = tokio::time::timeout(Duration::from_secs(1), client.next()).await {
        if let Frame::Event(event) = frame {
            seqs.push(event.seq);
        }
    }
    seqs
}

#[tokio::test(start_paused = true)]
async fn each_mutant_is_seen() {
    for way in Way::BOTH {
        let all: Vec<u64> = (1..=36).collect();
        assert_eq!(seen(way).await, all, "without a mutant every event is seen, up to the removal");
        for name in [
            "realtime-drop-event",
            "realtime-no-replay",
            "realtime-after-removal",
            "realtime-skip-hole-check",
        ] {
            mutant::set(Some(name));
            let seen = seen(way).await;
            mutant::set(None);
            assert_ne!(seen, all, "{name}");
        }
    }
}
