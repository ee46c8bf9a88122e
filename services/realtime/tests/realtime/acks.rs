//! What the client has stored.

use std::time::Duration;

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::ConversationCursor,
    realtime::v1::{
        AcknowledgeRequest, AcknowledgeResponse, Hello, Watch, connect_request,
        connect_response::Frame,
    },
};

use crate::support::{Client, Disk, Node, Way, World, caller, cursor, id, watching};

async fn live(way: Way) -> (World, Node, Client) {
    let world = World::default();
    world.join(1, "alice");
    world.write_many(1, 4);
    world.note(1, "alice");
    let node = Node::with(world.clone(), |_| {}).by(way);
    let mut client = node.hello("alice", watching(&[(1, 0)])).await;
    client.synced(1).await;
    (world, node, client)
}

async fn ack(client: &Client, number: u8, seq: u64) {
    client.ack(vec![cursor(number, seq)], None).await.expect("taken");
}

/// Why an ack is refused: a frame ends its stream, a call does not.
async fn refused(
    way: Way,
    client: &mut Client,
    cursors: Vec<ConversationCursor>,
    inbox_seq: Option<u64>,
) -> Reason {
    if let Err(error) = client.ack(cursors, inbox_seq).await {
        assert_eq!(way, Way::Subscribe);
        assert!(client.is_silent_for(Duration::from_secs(100)).await, "the stream goes on");
        return error.reason();
    }
    assert_eq!(way, Way::Connect);
    client.farewell().await
}

#[tokio::test(start_paused = true)]
async fn an_ack_for_a_foreign_conversation_is_refused() {
    for way in Way::BOTH {
        for number in [2, 255] {
            let (_world, _node, mut client) = live(way).await;
            let reason = refused(way, &mut client, vec![cursor(number, 0)], None).await;
            assert_eq!(reason, Reason::NotWatched);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ack_beyond_what_was_delivered_is_refused() {
    for way in Way::BOTH {
        let (_world, _node, mut client) = live(way).await;
        ack(&client, 1, 5).await;
        assert!(client.is_silent_for(Duration::from_secs(1)).await);
        let reason = refused(way, &mut client, vec![cursor(1, 6)], None).await;
        assert_eq!(reason, Reason::CursorAboveHead);
        let (_world, _node, mut client) = live(way).await;
        let reason = refused(way, &mut client, vec![], Some(3)).await;
        assert_eq!(reason, Reason::CursorAboveHead);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_ack_for_an_ended_watch_is_fine() {
    let (_world, _node, mut client) = live(Way::Connect).await;
    client.send(connect_request::Frame::Watch(Watch { remove: vec![id(1)], ..Watch::default() }));
    ack(&client, 1, 5).await;
    assert!(client.is_silent_for(Duration::from_secs(1)).await);
    let reason = refused(Way::Connect, &mut client, vec![cursor(1, 6)], None).await;
    assert_eq!(reason, Reason::CursorAboveHead);
    // The other way a watch ends only by the user's leave.
    let (world, _node, mut client) = live(Way::Subscribe).await;
    let (left, _) = world.leave(1, "alice");
    world.tell(&left);
    assert_eq!(client.event().await, 6);
    assert_eq!(client.watch_ended().await, (id(1), Reason::NotAParticipant));
    ack(&client, 1, 6).await;
    let refused = client.ack(vec![cursor(1, 7)], None).await.expect_err("refused");
    assert_eq!(refused.reason(), Reason::CursorAboveHead);
}

#[tokio::test(start_paused = true)]
async fn acks_are_written_once_a_second() {
    for way in Way::BOTH {
        let (world, node, mut client) = live(way).await;
        for seq in 6..=25 {
            world.say(1, "hi");
            assert_eq!(client.event().await, seq);
            ack(&client, 1, seq).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let saves = node.disk.sessions.saves();
        assert!((2..=4).contains(&saves), "{saves}");
    }
}

/// Acknowledges without a stream of one's own.
async fn acknowledge(
    node: &Node,
    user: &str,
    device: &str,
    session_id: &str,
    cursors: &[(u8, u64)],
    inbox_seq: Option<u64>,
) -> Result<(), Reason> {
    let mut caller = caller(user);
    caller.device_id = device.into();
    let cursors = cursors.iter().map(|(number, seq)| cursor(*number, *seq)).collect();
    let request = AcknowledgeRequest { session_id: session_id.to_owned(), cursors, inbox_seq };
    let answer = node.call::<_, AcknowledgeResponse>(&caller, request).await;
    answer.map(|_| ()).map_err(|error| error.reason())
}

#[tokio::test(start_paused = true)]
async fn nobody_acknowledges_for_another() {
    let (_world, node, client) = live(Way::Subscribe).await;
    let own = client.welcome.session_id.clone();
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (user, device, session) in [
        ("bob", "phone", own.as_str()),
        ("alice", "laptop", &own),
        ("alice", "phone", unknown),
        ("alice", "phone", "nonsense"),
        ("alice", "phone", ""),
    ] {
        let refused = acknowledge(&node, user, device, session, &[(1, 1)], None).await;
        assert_eq!(refused, Err(Reason::SessionNotFound), "{user} {device} {session}");
    }
    drop(client);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // The same without a stream.
    for (user, device) in [("bob", "phone"), ("alice", "laptop")] {
        let refused = acknowledge(&node, user, device, &own, &[(1, 1)], None).await;
        assert_eq!(refused, Err(Reason::SessionNotFound), "{user} {device}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_stream_takes_acks_under_the_same_rules() {
    let (world, node, client) = live(Way::Subscribe).await;
    let session = client.welcome.session_id.clone();
    ack(&client, 1, 2).await;
    drop(client);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let says = |cursors: &'static [(u8, u64)], inbox_seq| {
        acknowledge(&node, "alice", "phone", &session, cursors, inbox_seq)
    };
    assert_eq!(says(&[(1, 4)], Some(2)).await, Ok(()));
    assert_eq!(says(&[(1, 6)], None).await, Err(Reason::CursorAboveHead));
    assert_eq!(says(&[(2, 0)], None).await, Err(Reason::NotWatched));
    assert_eq!(says(&[], Some(3)).await, Err(Reason::CursorAboveHead));
    assert_eq!(says(&[(1, 3)], Some(1)).await, Ok(()), "an older one changes nothing");
    world.say(1, "hi");
    let hello = resume(&session);
    let mut client = node.hello("alice", hello).await;
    assert_eq!(client.welcome.watching, [cursor(1, 4)]);
    let seqs: Vec<_> = client
        .synced(1)
        .await
        .iter()
        .filter_map(|frame| match frame {
            Frame::Event(event) => Some(event.seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [5, 6]);
}

/// Whatever a stream does at the same time: an ack that was taken is in the session,
/// on this node or after it.
#[tokio::test(start_paused = true)]
async fn a_taken_ack_survives_its_stream() {
    let world = World::default();
    world.join(1, "alice");
    world.write_many(1, 49);
    let disk = Disk::default();
    let node = Node::over(world.clone(), &disk, |_| {}).by(Way::Subscribe);
    let mut client = node.hello("alice", watching(&[(1, 0)])).await;
    client.synced(1).await;
    let session_id = client.welcome.session_id.clone();
    for seq in 1..=50 {
        let (ended, said) = tokio::join!(
            async {
                // The stream ends while the ack is under way, sometimes before.
                drop(client);
                let hello = resume(&session_id);
                let mut next = node.hello("alice", hello).await;
                next.synced(1).await;
                next
            },
            client_ack(&node, &session_id, seq),
        );
        said.expect("taken");
        client = ended;
    }
    drop(client);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = Node::over(world, &disk, |_| {}).by(Way::Subscribe);
    let client = after.hello("alice", resume(&session_id)).await;
    assert_eq!(client.welcome.watching, [cursor(1, 50)]);
}

fn resume(session_id: &str) -> Hello {
    Hello { session_id: session_id.to_owned(), ..Hello::default() }
}

async fn client_ack(node: &Node, session_id: &str, seq: u64) -> Result<(), Reason> {
    let cursors = vec![cursor(1, seq)];
    let request =
        AcknowledgeRequest { session_id: session_id.to_owned(), cursors, inbox_seq: None };
    let answer = node.call::<_, AcknowledgeResponse>(&caller("alice"), request).await;
    answer.map(|_| ()).map_err(|error| error.reason())
}
