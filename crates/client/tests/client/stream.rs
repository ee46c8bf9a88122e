//! One stream, frame by frame: order, gaps, duplicates, acks, calls, ends.

use std::time::Duration;

use confab_client::{
    Error, StreamOptions, Update,
    proto::{
        conversations::v1::ConversationHead,
        errors::v1::Reason,
        messages::v1::{Receipt, SendMessageRequest, SendMessageResponse},
        realtime::v1::{
            Gap, Presence, ReceiptMoved, Result as CallResult, Synced, Typing, WatchEnded,
            connect_request, connect_response::Frame, result::Outcome,
        },
    },
};
use prost::Name as _;
use prost_types::Any;
use tonic::Code;

use crate::support::{
    Fake, ROOM, event, failure, gap, goodbye, inbox, message, next, next_error, options, seqs,
    synced, welcome, within,
};

#[tokio::test]
async fn the_hello_carries_the_cursors_and_updates_come_in_order() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(4));
    let (mut connection, hello) = server.welcome().await;
    assert_eq!(hello.session_id, "");
    assert_eq!(hello.inbox_seq, Some(0));
    assert_eq!((hello.watch[0].conversation_id.as_str(), hello.watch[0].seq), (ROOM, 4));
    assert_eq!(connection.token, "token-of-alice");

    connection.send(event(5)).await;
    connection.send(event(6)).await;
    connection.send(synced(6)).await;
    connection.send(Frame::Inbox(inbox(1))).await;
    let head = ConversationHead { conversation_id: "other".into(), seq: 3, ..Default::default() };
    connection.send(Frame::Head(head)).await;
    let receipt = Some(Receipt { user_id: "bob".into(), read_seq: 6, delivered_seq: 6 });
    let moved = ReceiptMoved { conversation_id: ROOM.into(), receipt };
    connection.send(Frame::Receipt(moved)).await;

    let connected = next(&mut stream).await;
    assert!(
        matches!(connected, Update::Connected { ref session_id, attempt: 1, .. } if session_id == "session-1")
    );
    assert_eq!(seqs(&mut stream, 2).await, [5, 6]);
    let Update::Synced { conversation_id: Some(id), seq: 6 } = next(&mut stream).await else {
        panic!("no synced");
    };
    assert_eq!(id, ROOM);
    assert!(matches!(next(&mut stream).await, Update::Inbox(event) if event.inbox_seq == 1));
    assert!(matches!(next(&mut stream).await, Update::Head(head) if head.seq == 3));
    assert!(
        matches!(next(&mut stream).await, Update::Receipt { receipt, .. } if receipt.read_seq == 6)
    );
    let cursors = stream.cursors();
    assert_eq!((cursors.conversations[ROOM], cursors.inbox), (6, Some(1)));
}

#[tokio::test]
async fn typing_and_presence_come_in_between() {
    let mut server = Fake::start().await;
    let options = StreamOptions { presence: vec!["bob".into()], ..options(0) };
    let mut stream = server.client().await.stream(options);
    let (mut connection, hello) = server.welcome().await;
    assert_eq!(hello.presence, ["bob"]);
    let lasts = Some(prost_types::Duration { seconds: 6, nanos: 0 });
    let (conversation_id, user_id) = (ROOM.to_owned(), "bob".to_owned());
    let typing = Typing { conversation_id, user_id, lasts };
    let presence = Presence { user_id: "bob".into(), status: 1, ..Presence::default() };
    connection.send(Frame::Typing(typing)).await;
    connection.send(Frame::Presence(presence.clone())).await;
    connection.send(event(1)).await;
    assert!(matches!(next(&mut stream).await, Update::Connected { .. }));
    assert!(matches!(next(&mut stream).await, Update::Typing { conversation_id, user_id, lasts }
        if conversation_id == ROOM && user_id == "bob" && lasts == Duration::from_secs(6)));
    assert!(matches!(next(&mut stream).await, Update::Presence(seen) if *seen == presence));
    assert_eq!(seqs(&mut stream, 1).await, [1]);
}

#[tokio::test]
async fn a_hole_is_an_error_and_the_last_thing() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(event(1)).await;
    connection.send(event(3)).await;
    assert_eq!(seqs(&mut stream, 1).await, [1]);
    let error = next_error(&mut stream).await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert!(within(stream.next()).await.is_none());
}

#[tokio::test]
async fn synced_above_the_last_event_and_a_gap_after_a_hole_are_holes_too() {
    let beyond = [
        synced(2),
        gap(3, 9),
        Frame::Inbox(inbox(2)),
        Frame::Synced(Synced { conversation_id: String::new(), seq: 1 }),
    ];
    for frame in beyond {
        let mut server = Fake::start().await;
        let mut stream = server.client().await.stream(options(0));
        let (mut connection, _) = server.welcome().await;
        connection.send(event(1)).await;
        connection.send(frame.clone()).await;
        let error = next_error(&mut stream).await;
        assert!(matches!(error, Error::Protocol(_)), "{frame:?}: {error}");
    }
}

#[tokio::test]
async fn duplicates_are_passed_over_and_counted() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    for frame in [event(1), event(2), event(1), event(2), event(3)] {
        connection.send(frame).await;
    }
    assert_eq!(seqs(&mut stream, 3).await, [1, 2, 3]);
    assert_eq!(stream.handle().duplicates(), 2);
}

#[tokio::test]
async fn a_gap_is_paged_and_what_follows_waits_behind_it() {
    let mut server = Fake::start().await;
    for seq in 1..=260 {
        server.fake.append(message(seq, "bob", "old"));
    }
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(gap(1, 250)).await;
    for seq in 251..=260 {
        connection.send(event(seq)).await;
    }
    connection.send(synced(260)).await;
    assert_eq!(seqs(&mut stream, 260).await, (1..=260).collect::<Vec<_>>());
    assert!(matches!(next(&mut stream).await, Update::Synced { seq: 260, .. }));
}

#[tokio::test]
async fn other_conversations_do_not_wait_behind_a_gap() {
    let mut server = Fake::start().await;
    server.fake.state().accepted_token = Some("nobody's".into());
    let mut options = options(0);
    options.watch.push(("other".into(), 0));
    let mut stream = server.client().await.stream(options);
    let (mut connection, _) = server.welcome().await;
    connection.send(gap(1, 5)).await;
    let mut live = message(1, "bob", "hi");
    live.conversation_id = "other".into();
    connection.send(Frame::Event(live)).await;
    connection.send(event(6)).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match next(&mut stream).await {
            Update::Event(event) => seen.push(event.conversation_id.clone()),
            // Nobody may page the gap: its watch ends, and nothing of it comes.
            Update::WatchEnded { conversation_id, reason } => {
                assert_eq!(reason.reason(), Some(Reason::TokenExpired));
                seen.push(conversation_id);
            }
            _ => {}
        }
    }
    seen.sort();
    assert_eq!(seen, [ROOM, "other"]);
}

#[tokio::test]
async fn an_inbox_gap_is_paged() {
    let mut server = Fake::start().await;
    for seq in 1..=150 {
        server.fake.state().inbox.insert(seq, inbox(seq));
    }
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(Frame::Gap(Gap { from_seq: 1, to_seq: 149, ..Gap::default() })).await;
    connection.send(Frame::Inbox(inbox(150))).await;
    let mut seen = Vec::new();
    while seen.len() < 150 {
        if let Update::Inbox(event) = next(&mut stream).await {
            seen.push(event.inbox_seq);
        }
    }
    assert_eq!(seen, (1..=150).collect::<Vec<_>>());
}

#[tokio::test]
async fn events_that_may_not_be_seen_are_named_and_passed() {
    let mut server = Fake::start().await;
    for seq in [1, 2, 6, 7] {
        server.fake.append(message(seq, "bob", "visible"));
    }
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(gap(1, 9)).await;
    connection.send(event(10)).await;
    let mut story = Vec::new();
    while story.len() < 7 {
        match next(&mut stream).await {
            Update::Event(event) => story.push((event.seq, event.seq)),
            Update::Hidden { from_seq, to_seq, .. } => story.push((from_seq, to_seq)),
            _ => {}
        }
    }
    assert_eq!(story, [(1, 1), (2, 2), (3, 5), (6, 6), (7, 7), (8, 9), (10, 10)]);
    assert_eq!(stream.cursors().conversations[ROOM], 10);
}

#[tokio::test]
async fn what_was_read_is_acknowledged_once_the_application_comes_back() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    for seq in 1..=3 {
        connection.send(event(seq)).await;
    }
    connection.send(Frame::Inbox(inbox(1))).await;
    assert_eq!(seqs(&mut stream, 3).await, [1, 2, 3]);
    // The third is given but not stored: the application did not come back.
    let mut acked = 0;
    while acked < 2 {
        acked = connection.ack().await.cursors[0].seq;
    }
    assert_eq!(acked, 2);
    assert!(matches!(next(&mut stream).await, Update::Inbox(_)));
    assert_eq!(connection.ack().await.cursors[0].seq, 3);
    within(stream.close()).await;
    assert_eq!(connection.ack().await.inbox_seq, Some(1));
    assert_eq!(connection.frame().await, None, "the request side has ended");
}

#[tokio::test]
async fn without_auto_ack_only_the_application_acknowledges_and_never_too_much() {
    let mut server = Fake::start().await;
    let mut options = options(0);
    options.auto_ack = false;
    let mut stream = server.client().await.stream(options);
    let (mut connection, _) = server.welcome().await;
    connection.send(event(1)).await;
    connection.send(event(2)).await;
    assert_eq!(seqs(&mut stream, 2).await, [1, 2]);
    stream.ack(ROOM, 1);
    assert_eq!(connection.ack().await.cursors[0].seq, 1);
    stream.ack(ROOM, 99);
    assert_eq!(connection.ack().await.cursors[0].seq, 2, "nothing else was given");
}

#[tokio::test]
async fn watching_anew_starts_anew_and_nothing_of_the_old_watch_comes() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    for seq in 1..=4 {
        connection.send(event(seq)).await;
    }
    assert_eq!(seqs(&mut stream, 2).await, [1, 2]);
    stream.watch(ROOM, 1).await.expect("watches");
    loop {
        match connection.frame().await {
            Some(connect_request::Frame::Watch(watch)) => {
                assert_eq!(watch.add[0].seq, 1);
                break;
            }
            Some(connect_request::Frame::Ack(_)) => {}
            other => panic!("no watch: {other:?}"),
        }
    }
    // Under way when the watch began anew; then the new replay.
    for seq in [5, 6, 2, 3, 4, 5, 6, 7] {
        connection.send(event(seq)).await;
    }
    assert_eq!(seqs(&mut stream, 6).await, [2, 3, 4, 5, 6, 7]);
    stream.unwatch(ROOM).await.expect("unwatches");
    connection.send(event(8)).await;
    connection.send(Frame::Inbox(inbox(1))).await;
    assert!(matches!(next(&mut stream).await, Update::Inbox(_)));
    assert!(stream.cursors().conversations.is_empty());
}

#[tokio::test]
async fn what_is_watched_while_the_hello_is_under_way_is_told_after_the_welcome() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let mut connection = server.accept().await;
    let hello = connection.hello().await;
    assert_eq!(hello.watch.len(), 1);
    for number in 0..100 {
        within(stream.watch(format!("room-{number}"), number)).await.expect("watches");
    }
    connection.send(welcome()).await;
    for number in 0..100 {
        let Some(connect_request::Frame::Watch(watch)) = connection.frame().await else {
            panic!("no watch");
        };
        assert_eq!(watch.add[0].seq, number);
    }
    connection.send(event(1)).await;
    assert_eq!(seqs(&mut stream, 1).await, [1]);
}

#[tokio::test]
async fn too_many_watches_are_refused_here() {
    let server = Fake::start().await;
    let stream = server.client().await.stream(options(0));
    for number in 1..confab_client::MAX_WATCHES {
        stream.watch(format!("room-{number}"), 0).await.expect("watches");
    }
    let error = stream.watch("one-more", 0).await.expect_err("too many");
    assert!(matches!(error, Error::InvalidOptions(_)));
    stream.watch(ROOM, 0).await.expect("watched already");
}

#[tokio::test]
async fn a_watch_that_ended_says_why_and_is_over() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(event(1)).await;
    let failure = Some(failure(Reason::NotAParticipant, Code::PermissionDenied));
    let ended = WatchEnded { conversation_id: ROOM.into(), failure };
    connection.send(Frame::WatchEnded(ended)).await;
    assert_eq!(seqs(&mut stream, 1).await, [1]);
    let Update::WatchEnded { conversation_id, reason } = next(&mut stream).await else {
        panic!("the watch goes on");
    };
    assert_eq!((conversation_id.as_str(), reason.reason()), (ROOM, Some(Reason::NotAParticipant)));
    assert!(stream.cursors().conversations.is_empty());
    connection.send(goodbye(Reason::Draining, Code::Unavailable, Some(Duration::ZERO))).await;
    let (_connection, hello) = server.welcome().await;
    assert!(hello.watch.is_empty());
}

#[tokio::test]
async fn calls_over_the_stream_get_their_own_answers() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    let handle = stream.handle();
    tokio::spawn(async move { while stream.next().await.is_some() {} });

    let calls = tokio::spawn(async move {
        let first =
            handle.call(SendMessageRequest { request_id: "a".into(), ..Default::default() });
        let second =
            handle.call(SendMessageRequest { request_id: "b".into(), ..Default::default() });
        tokio::join!(first, second)
    });
    let mut ids = Vec::new();
    while ids.len() < 2 {
        let Some(connect_request::Frame::Call(call)) = connection.frame().await else {
            panic!("no call");
        };
        let request = call.request.expect("a request");
        assert_eq!(request.type_url, SendMessageRequest::type_url());
        ids.push(call.call_id);
    }
    // The answers overtake each other.
    let refused = Outcome::Failure(failure(Reason::Muted, Code::PermissionDenied));
    connection.send(Frame::Result(CallResult { call_id: ids[1], outcome: Some(refused) })).await;
    let type_url = SendMessageResponse::type_url();
    let response = Outcome::Response(Any { type_url, value: Vec::new() });
    connection.send(Frame::Result(CallResult { call_id: ids[0], outcome: Some(response) })).await;

    let (first, second) = within(calls).await.expect("both are answered");
    first.expect("a response");
    assert_eq!(second.expect_err("a refusal").reason(), Some(Reason::Muted));
}

#[tokio::test]
async fn a_command_over_the_stream_survives_its_connection() {
    let mut server = Fake::start().await;
    let mut options = options(0);
    options.send_over_stream = true;
    let mut stream = server.client().await.stream(options);
    let (mut connection, _) = server.welcome().await;
    let handle = stream.handle();
    tokio::spawn(async move { while stream.next().await.is_some() {} });
    let sending = tokio::spawn(async move { handle.send(ROOM, "hello").await });

    let Some(connect_request::Frame::Call(first)) = connection.frame().await else {
        panic!("no call");
    };
    drop(connection);
    let (mut connection, _) = server.welcome().await;
    let Some(connect_request::Frame::Call(second)) = connection.frame().await else {
        panic!("no call");
    };
    assert_eq!(first.request, second.request, "the same ids");
    let response = SendMessageResponse {
        message: Some(confab_client::proto::messages::v1::Message { seq: 5, ..Default::default() }),
    };
    let any = Any {
        type_url: SendMessageResponse::type_url(),
        value: prost::Message::encode_to_vec(&response),
    };
    let outcome = Some(Outcome::Response(any));
    connection.send(Frame::Result(CallResult { call_id: second.call_id, outcome })).await;
    let sent = within(sending).await.expect("no panic").expect("settled");
    assert_eq!(sent.seq, 5);
}

#[tokio::test]
async fn an_application_that_does_not_read_stops_the_reading_and_loses_nothing() {
    let mut server = Fake::start().await;
    let mut options = options(0);
    options.queue = 2;
    let mut stream = server.client().await.stream(options);
    let (mut connection, _) = server.welcome().await;
    let writer = tokio::spawn(async move {
        for seq in 1..=3000 {
            let text = "x".repeat(2000);
            connection.send(Frame::Event(message(seq, "bob", &text))).await;
        }
        connection
    });
    // 6 MB do not fit into any window on the way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!writer.is_finished(), "somebody buffers without bound");
    assert_eq!(seqs(&mut stream, 3000).await, (1..=3000).collect::<Vec<_>>());
    assert!(writer.await.is_ok());
}
