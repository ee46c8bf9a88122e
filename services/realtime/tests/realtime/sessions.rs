//! Resuming by session.

use std::time::Duration;

use confab_kit::{bus::Signal, error::Reason};
use confab_log::mutant;
use confab_proto::realtime::v1::{Hello, Ping, Watch, connect_request, connect_response::Frame};
use tokio::time::Instant;

use crate::support::{Client, Node, Said, Way, World, caller, cursor, id, watching};

fn resume(client: &Client) -> Hello {
    Hello { session_id: client.welcome.session_id.clone(), ..Hello::default() }
}

fn world() -> World {
    let world = World::default();
    world.join(1, "alice");
    world.write_many(1, 9);
    world
}

#[tokio::test(start_paused = true)]
async fn a_session_resumes_from_its_acks_on_any_node() {
    for way in Way::BOTH {
        resumes_from_its_acks(way).await;
    }
}

/// A subscription cannot begin another watch later, so it has both from the start.
async fn resumes_from_its_acks(way: Way) {
    let world = world();
    let node = Node::with(world.clone(), |_| {}).by(way);
    let mut client = if way == Way::Connect {
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        client.synced(1).await;
        client.ack(vec![cursor(1, 7)], Some(1)).await.expect("taken");
        let watch = Watch { add: vec![cursor(2, 0)], ..Watch::default() };
        world.join(2, "alice");
        client.send(connect_request::Frame::Watch(watch));
        assert_eq!(client.event().await, 1);
        client
    } else {
        world.join(2, "alice");
        let mut hello = watching(&[(1, 0), (2, 0)]);
        hello.inbox_seq = Some(1);
        let mut client = node.hello("alice", hello).await;
        client.synced(2).await;
        client.ack(vec![cursor(1, 7)], Some(1)).await.expect("taken");
        client
    };
    let hello = resume(&client);
    drop(client);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let other = Node::over(world, &node.disk, |_| {}).by(way);
    client = other.hello("alice", hello).await;
    assert_eq!(client.welcome.watching, [cursor(1, 7), cursor(2, 0)]);
    let frames = client.synced(2).await;
    let seqs: Vec<_> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Event(event) => (event.conversation_id.clone(), event.seq),
            Frame::Inbox(event) => (String::new(), event.inbox_seq),
            other => panic!("{other:?}"),
        })
        .collect();
    let one = |seq| (id(1), seq);
    let mut expected = vec![one(8), one(9), one(10), (id(2), 1), (String::new(), 2)];
    expected.sort();
    let mut seqs = seqs;
    seqs.sort();
    assert_eq!(seqs, expected);
}

#[tokio::test(start_paused = true)]
async fn unknown_foreign_and_nonsense_sessions_are_lost() {
    for way in Way::BOTH {
        let node = Node::with(world(), |_| {}).by(way);
        let client = node.hello("alice", watching(&[])).await;
        let of_alice = client.welcome.session_id.clone();
        let unknown = "00000000-0000-4000-8000-000000000000".to_owned();
        for (user, session_id) in [
            ("bob", of_alice),
            ("alice", unknown),
            ("alice", "nonsense".to_owned()),
            ("alice", "x".repeat(10_000)),
        ] {
            let mut client = node.connect(user).await;
            client.hello(Hello { session_id, ..Hello::default() });
            assert_eq!(client.farewell().await, Reason::SessionLost);
        }
        let mut laptop = caller("alice");
        laptop.device_id = "laptop".into();
        let mut other_device = node.connect_as(laptop).await;
        other_device.hello(resume(&client));
        assert_eq!(other_device.farewell().await, Reason::SessionLost);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_hello_fences_the_old_stream() {
    for way in Way::BOTH {
        let node = Node::with(world(), |_| {}).by(way);
        let mut old = node.hello("alice", watching(&[(1, 10)])).await;
        old.synced(1).await;
        let mut new = node.hello("alice", resume(&old)).await;
        new.synced(1).await;
        assert_eq!(new.welcome.session_id, old.welcome.session_id);
        assert_eq!(old.farewell().await, Reason::SessionFenced);
        node.world.say(1, "hi");
        assert_eq!(new.event().await, 11);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ack_is_not_forgotten_when_the_device_comes_back_at_once() {
    for way in Way::BOTH {
        let node = Node::with(world(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 0)])).await;
        client.synced(1).await;
        for seq in 1..=10 {
            client.ack(vec![cursor(1, seq)], None).await.expect("taken");
            if way == Way::Connect {
                // The ack stands before the new hello on the wire, or beside it.
                client.send(connect_request::Frame::Ping(Ping {}));
                while !matches!(client.said().await, Said::Frame(frame) if matches!(*frame, Frame::Heartbeat(_)))
                {
                }
            }
            let next = node.hello("alice", resume(&client)).await;
            assert_eq!(next.welcome.watching, [cursor(1, seq)]);
            assert_eq!(client.farewell().await, Reason::SessionFenced);
            client = next;
            client.synced(1).await;
        }
    }
}

/// A stream, and a newer one of its session at another node.
async fn taken_over(way: Way) -> (World, [Node; 2], [Client; 2]) {
    let world = world();
    let node = Node::with(world.clone(), |_| {}).by(way);
    let mut old = node.hello("alice", watching(&[(1, 0)])).await;
    old.synced(1).await;
    let other = Node::over(world.clone(), &node.disk, |_| {}).by(way);
    let mut new = other.hello("alice", resume(&old)).await;
    new.synced(1).await;
    (world, [node, other], [old, new])
}

/// Whether it ends long before it writes its next sign of life, which would tell it.
async fn ends_soon(stream: &mut Client) -> bool {
    let farewell = tokio::time::timeout(Duration::from_mins(4), stream.farewell()).await;
    farewell.is_ok_and(|reason| reason == Reason::SessionFenced)
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_another_node_is_fenced_at_once() {
    for way in Way::BOTH {
        let (_world, _nodes, [mut old, mut new]) = taken_over(way).await;
        let begun = Instant::now();
        assert_eq!(old.farewell().await, Reason::SessionFenced);
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(!ends_soon(&mut new).await);
        mutant::set(Some("take-over-untold"));
        let (_world, _nodes, [mut old, _new]) = taken_over(way).await;
        assert!(!ends_soon(&mut old).await);
        mutant::set(None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_have_heard_that_it_is_fenced_asks() {
    for way in Way::BOTH {
        mutant::set(Some("take-over-untold"));
        let (world, _nodes, [mut old, mut new]) = taken_over(way).await;
        mutant::set(None);
        world.bus.deliver(&Signal::Missed);
        assert!(ends_soon(&mut old).await);
        assert!(!ends_soon(&mut new).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_another_node_is_fenced_when_it_writes() {
    for way in Way::BOTH {
        mutant::set(Some("take-over-untold"));
        let (_world, [_node, other], [mut old, new]) = taken_over(way).await;
        mutant::set(None);
        old.ack(vec![cursor(1, 10)], None).await.expect("taken");
        assert_eq!(old.farewell().await, Reason::SessionFenced);
        drop(new);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let new = other.hello("alice", resume(&old)).await;
        // What was said on the old stream is not the session's; what was asked by a call
        // is, whichever process answers it.
        let kept = if way == Way::Connect { 0 } else { 10 };
        assert_eq!(new.welcome.watching, [cursor(1, kept)]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_acknowledged_is_told_again() {
    for way in Way::BOTH {
        let world = world();
        let node = Node::with(world.clone(), |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 10)])).await;
        client.synced(1).await;
        let (left, _) = world.leave(1, "alice");
        world.tell(&left);
        assert_eq!(client.event().await, 11);
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
        let mut client = node.hello("alice", resume(&client)).await;
        assert!(matches!(client.next().await, Frame::Inbox(_)));
        assert!(matches!(client.next().await, Frame::Synced(_)));
        assert_eq!(client.event().await, 11);
        assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
        client.ack(vec![cursor(1, 11)], None).await.expect("taken");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let client = node.hello("alice", resume(&client)).await;
        assert_eq!(client.welcome.watching, []);
    }
}
