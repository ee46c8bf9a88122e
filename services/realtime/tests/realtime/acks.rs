//! What the client has stored.

use std::time::Duration;

use confab_kit::error::Reason;
use confab_proto::realtime::v1::{Ack, Watch, connect_request};

use crate::support::{Client, Node, World, cursor, id, watching};

async fn live() -> (World, Node, Client) {
    let world = World::default();
    world.join(1, "alice");
    world.write_many(1, 4);
    world.note(1, "alice");
    let node = Node::with(world.clone(), |_| {});
    let mut client = node.hello("alice", watching(&[(1, 0)])).await;
    client.synced(1).await;
    (world, node, client)
}

fn ack(client: &Client, number: u8, seq: u64) {
    let ack = Ack { cursors: vec![cursor(number, seq)], inbox_seq: None };
    client.send(connect_request::Frame::Ack(ack));
}

#[tokio::test(start_paused = true)]
async fn an_ack_for_a_foreign_conversation_ends_the_stream() {
    for number in [2, 255] {
        let (_world, _node, mut client) = live().await;
        ack(&client, number, 0);
        assert_eq!(client.farewell().await, Reason::NotWatched);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ack_beyond_what_was_delivered_ends_the_stream() {
    let (_world, _node, mut client) = live().await;
    ack(&client, 1, 5);
    assert!(client.is_silent_for(Duration::from_secs(1)).await);
    ack(&client, 1, 6);
    assert_eq!(client.farewell().await, Reason::CursorAboveHead);
    let (_world, _node, mut client) = live().await;
    let ack = Ack { cursors: vec![], inbox_seq: Some(3) };
    client.send(connect_request::Frame::Ack(ack));
    assert_eq!(client.farewell().await, Reason::CursorAboveHead);
}

#[tokio::test(start_paused = true)]
async fn a_late_ack_for_an_ended_watch_is_fine() {
    let (_world, _node, mut client) = live().await;
    client.send(connect_request::Frame::Watch(Watch { add: vec![], remove: vec![id(1)] }));
    ack(&client, 1, 5);
    assert!(client.is_silent_for(Duration::from_secs(1)).await);
    ack(&client, 1, 6);
    assert_eq!(client.farewell().await, Reason::CursorAboveHead);
}

#[tokio::test(start_paused = true)]
async fn acks_are_written_once_a_second() {
    let (world, node, mut client) = live().await;
    for seq in 6..=25 {
        world.say(1, "hi");
        assert_eq!(client.event().await, seq);
        ack(&client, 1, seq);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let saves = node.sessions.saves();
    assert!((2..=4).contains(&saves), "{saves}");
}
