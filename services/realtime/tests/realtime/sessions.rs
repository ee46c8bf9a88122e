//! Resuming by session.

use std::time::Duration;

use confab_kit::error::Reason;
use confab_proto::realtime::v1::{
    Ack, Hello, Ping, Watch, connect_request, connect_response::Frame,
};
use confab_realtime::store::{EmbeddedSessions, conformance};

use crate::support::{Client, MemorySessions, Node, Said, World, caller, cursor, id, watching};

#[tokio::test]
async fn the_embedded_store_conforms() {
    use confab_store::embedded::{Engine, Options};
    let folder = tempfile::tempdir().expect("a folder");
    let count = std::sync::atomic::AtomicUsize::new(0);
    conformance::run(|| async {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(number.to_string());
        let engine = Engine::open(&path, Options::default()).expect("opens");
        EmbeddedSessions::open(&engine).expect("opens")
    })
    .await;
}

#[tokio::test]
async fn the_store_of_these_tests_conforms() {
    conformance::run(|| async { MemorySessions::default() }).await;
}

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
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let mut client = node.hello("alice", watching(&[(1, 0)])).await;
    client.synced(1).await;
    let ack = Ack { cursors: vec![cursor(1, 7)], inbox_seq: Some(1) };
    client.send(connect_request::Frame::Ack(ack));
    let watch = Watch { add: vec![cursor(2, 0)], remove: vec![] };
    world.join(2, "alice");
    client.send(connect_request::Frame::Watch(watch));
    assert_eq!(client.event().await, 1);
    let hello = resume(&client);
    drop(client);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let other = Node::over(world, node.sessions.clone(), |_| {});
    let mut client = other.hello("alice", hello).await;
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
    let node = Node::with(world(), |_| {});
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

#[tokio::test(start_paused = true)]
async fn a_new_hello_fences_the_old_stream() {
    let node = Node::with(world(), |_| {});
    let mut old = node.hello("alice", watching(&[(1, 10)])).await;
    old.synced(1).await;
    let mut new = node.hello("alice", resume(&old)).await;
    new.synced(1).await;
    assert_eq!(new.welcome.session_id, old.welcome.session_id);
    assert_eq!(old.farewell().await, Reason::SessionFenced);
    node.world.say(1, "hi");
    assert_eq!(new.event().await, 11);
}

#[tokio::test(start_paused = true)]
async fn an_ack_is_not_forgotten_when_the_device_comes_back_at_once() {
    let node = Node::with(world(), |_| {});
    let mut client = node.hello("alice", watching(&[(1, 0)])).await;
    client.synced(1).await;
    for seq in 1..=10 {
        let ack = Ack { cursors: vec![cursor(1, seq)], inbox_seq: None };
        client.send(connect_request::Frame::Ack(ack));
        // The ack stands before the new hello on the wire, or beside it.
        client.send(connect_request::Frame::Ping(Ping {}));
        while !matches!(client.said().await, Said::Frame(frame) if matches!(*frame, Frame::Heartbeat(_)))
        {
        }
        let next = node.hello("alice", resume(&client)).await;
        assert_eq!(next.welcome.watching, [cursor(1, seq)]);
        assert_eq!(client.farewell().await, Reason::SessionFenced);
        client = next;
        client.synced(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_another_node_is_fenced_when_it_writes() {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
    let mut old = node.hello("alice", watching(&[(1, 0)])).await;
    old.synced(1).await;
    let other = Node::over(world, node.sessions.clone(), |_| {});
    let mut new = other.hello("alice", resume(&old)).await;
    new.synced(1).await;
    let ack = Ack { cursors: vec![cursor(1, 10)], inbox_seq: None };
    old.send(connect_request::Frame::Ack(ack));
    assert_eq!(old.farewell().await, Reason::SessionFenced);
    drop(new);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let new = other.hello("alice", resume(&old)).await;
    assert_eq!(new.welcome.watching, [cursor(1, 0)], "the old stream's ack is not the session's");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_acknowledged_is_told_again() {
    let world = world();
    let node = Node::with(world.clone(), |_| {});
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
    let ack = Ack { cursors: vec![cursor(1, 11)], inbox_seq: None };
    client.send(connect_request::Frame::Ack(ack));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let client = node.hello("alice", resume(&client)).await;
    assert_eq!(client.welcome.watching, []);
}
