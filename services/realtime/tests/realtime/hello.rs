//! The beginning of a stream, and frames that are wrong.

use std::time::Duration;

use confab_kit::{clock, error::Reason};
use confab_proto::realtime::v1::{Ping, connect_request, connect_response::Frame};

use crate::support::{Node, Said, Way, World, caller, cursor, watching};

#[tokio::test(start_paused = true)]
async fn a_hello_is_welcomed_and_synced() {
    for way in Way::BOTH {
        let world = World::default();
        world.join(1, "alice");
        world.note(1, "alice");
        let node = Node::with(world, |_| {}).by(way);
        let mut client = node.hello("alice", watching(&[(1, 1)])).await;
        assert_eq!(client.welcome.user_id, "alice");
        assert_eq!(client.welcome.head_inbox_seq, 2);
        assert_eq!(client.welcome.watching, [cursor(1, 1)]);
        assert_eq!(client.welcome.heartbeat_interval.map(|interval| interval.seconds), Some(15));
        assert_eq!(client.synced(1).await, [], "nothing was missed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_says_hello_is_ended() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut client = node.connect("alice").await;
        assert_eq!(client.farewell().await, Reason::HelloTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_must_be_a_hello() {
    let node = Node::new();
    let mut client = node.connect("alice").await;
    client.send(connect_request::Frame::Ping(Ping {}));
    assert_eq!(client.farewell().await, Reason::HelloExpected);
    for way in Way::BOTH {
        let mut client = Node::new().by(way).connect("alice").await;
        client.half_close();
        assert_eq!(client.farewell().await, Reason::HelloExpected);
    }
    // A subscription without a hello.
    let mut client = Node::new().by(Way::Subscribe).connect("alice").await;
    client.send_bytes(vec![0, 0, 0, 0, 0]);
    assert_eq!(client.farewell().await, Reason::HelloExpected);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_has_one_request() {
    let node = Node::new().by(Way::Subscribe);
    let hello = [0, 0, 0, 0, 2, 0x0a, 0];
    let mut client = node.connect("alice").await;
    client.send_bytes(hello.to_vec());
    client.welcomed().await;
    client.synced(0).await;
    client.send_bytes(hello.to_vec());
    assert_eq!(client.farewell().await, Reason::MalformedRequest);
    for (bytes, reason) in [
        (&[0, 0, 0, 0, 2, 0x0a, 9][..], Reason::MalformedRequest),
        (&[7, 0, 0, 0, 0], Reason::MalformedRequest),
        (&[0, 0, 1, 0, 1], Reason::RequestTooLarge),
    ] {
        let mut client = node.connect("alice").await;
        client.send_bytes(bytes.to_vec());
        assert_eq!(client.farewell().await, reason, "{bytes:?}");
    }
}

/// A subscription says all it has to say at once: that is no reason to end it.
#[tokio::test(start_paused = true)]
async fn a_subscription_goes_on_without_a_way_up() {
    let world = World::default();
    world.join(1, "alice");
    let node = Node::with(world.clone(), |_| {}).by(Way::Subscribe);
    let mut client = node.hello("alice", watching(&[(1, 1)])).await;
    client.synced(1).await;
    for seq in 2..5 {
        assert!(client.is_silent_for(Duration::from_mins(2)).await);
        world.say(1, "hi");
        assert_eq!(client.event().await, seq);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_hello_ends_the_stream() {
    let node = Node::new();
    let mut client = node.hello("alice", watching(&[])).await;
    client.hello(watching(&[]));
    assert_eq!(client.farewell().await, Reason::SecondHello);
}

#[tokio::test(start_paused = true)]
async fn malformed_and_oversize_frames_end_the_stream() {
    let node = Node::new();
    for (bytes, reason) in [
        (&[0, 0, 0, 0, 2, 0x0a, 9][..], Reason::MalformedRequest),
        (&[7, 0, 0, 0, 0], Reason::MalformedRequest),
        // Invalid UTF-8 in hello.session_id.
        (&[0, 0, 0, 0, 5, 0x0a, 3, 0x0a, 1, 0xff], Reason::MalformedRequest),
        (&[0, 0, 0, 0, 0], Reason::HelloExpected),
        (&[0, 0, 1, 0, 1], Reason::RequestTooLarge),
        (&[0, 0, 160, 0, 0], Reason::RequestTooLarge),
    ] {
        let mut client = node.connect("alice").await;
        client.send_bytes(bytes.to_vec());
        assert_eq!(client.farewell().await, reason, "{bytes:?}");
    }
    let mut client = node.hello("alice", watching(&[])).await;
    client.send_bytes(vec![0, 0, 0, 0, 0]);
    assert_eq!(client.farewell().await, Reason::MalformedRequest);
}

#[tokio::test(start_paused = true)]
async fn all_that_is_wrong_with_a_hello_is_said_at_once() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut client = node.connect("alice").await;
        let mut hello = watching(&[(1, 0), (2, 0), (1, 5)]);
        hello.watch[1].conversation_id = "nonsense".to_owned();
        client.hello(hello);
        let (reason, goodbye) = client.goodbye().await;
        assert_eq!(reason, Reason::InvalidArgument);
        let error = confab_kit::Error::from_failure(&goodbye.failure.expect("a failure"));
        assert_eq!(error.violations().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_watches_200_conversations_at_most() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let cursors: Vec<_> = (0..=200).map(|number| (number, 0)).collect();
        let mut client = node.connect("alice").await;
        client.hello(watching(&cursors));
        assert_eq!(client.farewell().await, Reason::InvalidArgument);
    }
}

#[tokio::test(start_paused = true)]
async fn an_inbox_cursor_above_the_head_is_refused() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut client = node.connect("alice").await;
        let mut hello = watching(&[]);
        hello.inbox_seq = Some(1);
        client.hello(hello);
        assert_eq!(client.farewell().await, Reason::CursorAboveHead);
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_when_nothing_else_does_and_when_asked_for() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut client = node.hello("alice", watching(&[])).await;
        client.synced(0).await;
        let start = tokio::time::Instant::now();
        assert!(is_heartbeat(&client.said().await));
        assert_eq!(start.elapsed().as_secs(), 15);
        if way == Way::Connect {
            client.send(connect_request::Frame::Ping(Ping {}));
            assert!(is_heartbeat(&client.said().await));
            assert_eq!(start.elapsed().as_secs(), 15);
        }
    }
}

fn is_heartbeat(said: &Said) -> bool {
    matches!(said, Said::Frame(frame) if matches!(**frame, Frame::Heartbeat(_)))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_half_gets_what_it_missed_and_the_end() {
    let world = World::default();
    world.join(1, "alice");
    world.say(1, "hi");
    // A read that fails and is tried again is waited for.
    world.lock().failing_reads = 3;
    let node = Node::with(world.clone(), |_| {});
    let mut client = node.connect("alice").await;
    client.hello(watching(&[(1, 1)]));
    client.half_close();
    let (mut events, mut synced) = (Vec::new(), 0);
    let end = loop {
        match client.said().await {
            Said::Frame(frame) => match *frame {
                Frame::Event(event) => events.push(event.seq),
                Frame::Synced(_) => synced += 1,
                _ => {}
            },
            end => break end,
        }
    };
    assert_eq!((events, synced), (vec![2], 2), "the event; the inbox and the watch are synced");
    assert!(matches!(&end, Said::Status(status) if status.code() == tonic::Code::Ok), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_token() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut caller = caller("alice");
        caller.expires_at = clock::now_seconds() + 100;
        let mut client = node.connect_as(caller).await;
        client.hello(watching(&[]));
        client.welcomed().await;
        client.synced(0).await;
        let start = tokio::time::Instant::now();
        assert_eq!(client.farewell().await, Reason::TokenExpired);
        let lived = start.elapsed();
        assert!(lived > Duration::from_secs(158) && lived < Duration::from_secs(162), "{lived:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn draining_says_goodbye_to_every_stream() {
    for way in Way::BOTH {
        let node = Node::new().by(way);
        let mut greeted = node.hello("alice", watching(&[])).await;
        let mut silent = node.connect("bob").await;
        node.draining.cancel();
        for client in [&mut greeted, &mut silent] {
            let (reason, goodbye) = client.goodbye().await;
            assert_eq!(reason, Reason::Draining);
            let retry = goodbye.retry_after.expect("a time to come back").seconds;
            assert!((1..=5).contains(&retry), "{retry}");
        }
        let mut late = node.connect("carol").await;
        assert_eq!(late.farewell().await, Reason::Draining);
    }
}
