//! Readers that do not keep up, and clients that vanish.

use std::time::Duration;

use confab_kit::error::Reason;
use confab_proto::realtime::v1::connect_response::Frame;
use tokio::task::yield_now;

use crate::support::{Client, Node, Said, Way, World, id, watching};

async fn two(world: &World, way: Way) -> (Node, Client, Client) {
    world.join(1, "alice");
    world.join(1, "bob");
    let node = Node::with(world.clone(), |_| {}).by(way);
    let mut slow = node.hello("alice", watching(&[(1, 2)])).await;
    slow.synced(1).await;
    let mut fast = node.hello("bob", watching(&[(1, 2)])).await;
    fast.synced(1).await;
    (node, slow, fast)
}

/// Two megabytes, of which `fast` takes each event at once.
async fn storm(world: &World, fast: &mut Client) {
    let text = "x".repeat(10_000);
    for _ in 0..200 {
        let seq = world.say(1, &text);
        yield_now().await;
        assert_eq!(fast.event().await, seq);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_and_dropped_alone() {
    for way in Way::BOTH {
        let world = World::default();
        let (_node, mut slow, mut fast) = two(&world, way).await;
        storm(&world, &mut fast).await;
        assert_eq!(slow.farewell().await, Reason::SlowConsumer);
        world.say(1, "on we go");
        assert_eq!(fast.event().await, 203);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_even_take_the_goodbye_is_reset() {
    for way in Way::BOTH {
        let world = World::default();
        let (_node, mut slow, mut fast) = two(&world, way).await;
        storm(&world, &mut fast).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(matches!(slow.said().await, Said::Reset));
        world.say(1, "on we go");
        assert_eq!(fast.event().await, 203);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stopped_in_a_replay_is_dropped() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        for _ in 0..500 {
            world.write(1, &"x".repeat(10_000));
        }
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        let mut seq = 0;
        while seq < 10 {
            if let Frame::Event(event) = client.next().await {
                seq = event.seq;
            }
        }
        tokio::time::sleep(Duration::from_secs(40)).await;
        for expected in 11..=300 {
            assert_eq!(client.event().await, expected, "a pause is no reason to drop anybody");
        }
        tokio::time::sleep(Duration::from_mins(2)).await;
        while let Said::Frame(_) = client.said().await {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_larger_than_the_queue_passes() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        for _ in 0..900 {
            world.write(1, &"x".repeat(10_000));
        }
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        assert_eq!(client.synced(1).await.len(), 901);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_leaves_nothing() {
    for way in Way::BOTH {
        let world = World::default();
        let (_node, slow, mut fast) = two(&world, way).await;
        drop(slow);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = world.lock().calls.len();
        world.write(1, "lost");
        world.say(1, "told");
        assert_eq!([fast.event().await, fast.event().await], [3, 4]);
        let calls = world.lock().calls[before..].to_vec();
        assert_eq!(calls, ["/confab.messages.v1.MessagesService/ListEvents"], "one reads, not two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_falls_behind_the_bus_reads_the_log() {
    for way in Way::BOTH {
        let world = World::default();
        let (_node, mut client, _other) = two(&world, way).await;
        // More than the mailbox holds, before the stream's task runs at all. After a
        // hole nothing passes by it.
        world.write(1, "unheard");
        for _ in 1..3000 {
            world.say(1, "hi");
        }
        let mut next = 3;
        while next <= 3002 {
            match client.next().await {
                Frame::Event(event) => {
                    assert_eq!(event.seq, next);
                    next += 1;
                }
                Frame::Gap(gap) => {
                    assert_eq!((gap.conversation_id, gap.from_seq), (id(1), next));
                    next = gap.to_seq + 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
