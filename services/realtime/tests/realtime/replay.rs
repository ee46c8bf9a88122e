//! What was missed.

use std::time::Duration;

use confab_kit::error::Reason;
use confab_proto::realtime::v1::{Gap, connect_response::Frame};

use crate::support::{Node, Way, World, id, watching};

fn seqs(frames: &[Frame]) -> Vec<u64> {
    let seq = |frame: &Frame| match frame {
        Frame::Event(event) => event.seq,
        other => panic!("an event was expected: {other:?}"),
    };
    frames.iter().map(seq).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_after_the_cursor_comes() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.write_many(1, 999);
        let node = Node::with(world, |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        let frames = client.synced(1).await;
        assert_eq!(seqs(&frames), (1..=1000).collect::<Vec<_>>());
        let mut client = node.hello("alice", watching(&[(1, 600)])).await;
        assert_eq!(seqs(&client.synced(1).await), (601..=1000).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_are_a_gap() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.write_many(1, 1000);
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        let gap = Gap { conversation_id: id(1), from_seq: 1, to_seq: 1001 };
        assert_eq!(client.synced(1).await, [Frame::Gap(gap)]);
        world.say(1, "live");
        assert_eq!(client.event().await, 1002);
        world.write_many(1, 1500);
        world.say(1, "after a storm that the bus lost");
        let gap = Gap { conversation_id: id(1), from_seq: 1003, to_seq: 2503 };
        assert_eq!(client.next().await, Frame::Gap(gap));
        world.say(1, "live");
        assert_eq!(client.event().await, 2504);
    }
}

#[tokio::test(start_paused = true)]
async fn the_inbox_is_replayed_too() {
    for way in Way::BOTH {
        let world = World::default();
        for _ in 0..700 {
            world.note(1, "alice");
        }
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut hello = watching(&[]);
        hello.inbox_seq = Some(5);
        let mut client = node.hello("alice", hello.clone()).await;
        let frames = client.synced(0).await;
        for (frame, expected) in frames.iter().zip(6..) {
            assert!(matches!(frame, Frame::Inbox(event) if event.inbox_seq == expected));
        }
        assert_eq!(frames.len(), 695);
        for _ in 0..400 {
            world.note(1, "alice");
        }
        let mut client = node.hello("alice", hello).await;
        let gap = Gap { conversation_id: String::new(), from_seq: 6, to_seq: 1100 };
        assert_eq!(client.synced(0).await, [Frame::Gap(gap)]);
        let noted = world.note(1, "alice");
        world.tell_inbox("alice", &noted);
        assert!(matches!(client.next().await, Frame::Inbox(event) if event.inbox_seq == 1101));
    }
}

#[tokio::test(start_paused = true)]
async fn memberships_are_known_after_a_gap_in_the_inbox() {
    for way in Way::BOTH {
        let world = World::default();
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[])).await;
        client.synced(0).await;
        world.join(1, "alice");
        for _ in 0..1200 {
            world.note(1, "alice");
        }
        let noted = world.note(1, "alice");
        world.tell_inbox("alice", &noted);
        assert!(matches!(client.next().await, Frame::Gap(gap) if gap.to_seq == 1202));
        assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 1));
        world.say(1, "hi");
        assert!(matches!(client.next().await, Frame::Head(head) if head.seq == 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_device_gets_only_what_comes() {
    for way in Way::BOTH {
        let world = World::default();
        for _ in 0..5 {
            world.note(1, "alice");
        }
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[])).await;
        assert_eq!(client.synced(0).await, []);
        let noted = world.note(1, "alice");
        world.tell_inbox("alice", &noted);
        assert!(matches!(client.next().await, Frame::Inbox(event) if event.inbox_seq == 6));
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_during_a_replay_follows_it() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.write_many(1, 800);
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        let writer = {
            let world = world.clone();
            async move {
                for _ in 0..300 {
                    world.say(1, "meanwhile");
                    tokio::task::yield_now().await;
                }
            }
        };
        let reader = async {
            let mut next = 1;
            while next <= 1101 {
                match client.next().await {
                    Frame::Event(event) => {
                        assert_eq!(event.seq, next);
                        next += 1;
                    }
                    Frame::Synced(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::join!(writer, reader);
    }
}

#[tokio::test(start_paused = true)]
async fn a_former_participant_gets_all_up_to_the_leave() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.write_many(1, 5);
        world.leave(1, "alice");
        world.write_many(1, 5);
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 3)])).await;
        assert!(matches!(client.next().await, Frame::Synced(_)), "the inbox");
        for seq in 4..=7 {
            assert_eq!(client.event().await, seq);
        }
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
        let mut client = node.hello("alice", watching(&[(1, 7)])).await;
        assert!(matches!(client.next().await, Frame::Synced(_)), "the inbox");
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
        let mut client = node.hello("alice", watching(&[(1, 8)])).await;
        assert!(matches!(client.next().await, Frame::Synced(_)), "the inbox");
        assert_eq!(client.watch_ended().await, (id(1), Reason::CursorAboveHead));
        world.say(1, "secret");
        assert!(client.is_silent_for(Duration::from_secs(100)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_absence_ends_nothing() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.leave(1, "alice");
        world.join(1, "alice");
        world.write(1, "hi");
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        assert_eq!(seqs(&client.synced(1).await), [1, 2, 3, 4]);
        world.say(1, "live");
        assert_eq!(client.event().await, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_replay_ends_it() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.write_many(1, 600);
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        assert!(matches!(client.next().await, Frame::Synced(_)), "the inbox");
        assert_eq!(client.event().await, 1);
        let (left, _) = world.leave(1, "alice");
        world.tell(&left);
        world.say(1, "secret");
        for seq in 2..=left.seq {
            assert_eq!(client.event().await, seq);
        }
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
    }
}

#[tokio::test(start_paused = true)]
async fn failing_reads_are_tried_again() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.write_many(1, 9);
        world.lock().failing_reads = 7;
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        assert_eq!(seqs(&client.synced(1).await), (1..=10).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_stays_away_ends_the_stream() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.lock().failing_reads = usize::MAX;
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        let (reason, goodbye) = client.goodbye().await;
        assert_eq!(reason, Reason::StoreUnavailable);
        assert!(goodbye.retry_after.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn many_watches_take_turns() {
    for way in Way::BOTH {
        let world = World::default();
        for number in 0..100 {
            world.join(number, "alice");
            world.write_many(number, 300);
        }
        let node = Node::with(world, |_| {}).by(way);
        let cursors: Vec<_> = (0..100).map(|number| (number, 0)).collect();
        let mut client = node.hello("alice", watching(&cursors)).await;
        assert_eq!(client.synced(100).await.len(), 30_100);
    }
}
