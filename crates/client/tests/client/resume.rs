//! From one connection to the next: what is resumed, what ends a stream, how long
//! it waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use confab_client::{
    Client, ClientOptions, Error, EventStream, Resume, StreamOptions, TokenSource, Update,
    proto::{
        conversations::v1::ConversationCursor,
        errors::v1::Reason,
        realtime::v1::{
            Authenticated, TokenExpiring, Welcome, connect_request, connect_response::Frame,
        },
    },
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tonic::Code;

use crate::support::{
    Fake, FakeStream, Proxy, ROOM, client_at, event, failure, goodbye, inbox, message, next,
    next_error, options, seqs, status, too_early, within,
};

async fn disconnected(stream: &mut EventStream) -> (Error, Duration) {
    loop {
        if let Update::Disconnected { reason, retry_in } = next(stream).await {
            return (reason, retry_in);
        }
    }
}

#[tokio::test]
async fn a_connection_that_broke_is_taken_up_from_the_cursors() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(event(1)).await;
    connection.send(Frame::Inbox(inbox(1))).await;
    drop(connection);
    let (mut connection, hello) = server.welcome().await;
    assert_eq!((hello.watch[0].seq, hello.inbox_seq), (1, Some(1)));
    assert_eq!(hello.session_id, "");
    connection.send(event(2)).await;
    connection.fail(status(Reason::StoreUnavailable, Code::Unavailable)).await;
    let (mut connection, hello) = server.welcome().await;
    assert_eq!(hello.watch[0].seq, 2);
    connection.send(event(3)).await;
    assert_eq!(seqs(&mut stream, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn watches_changed_while_offline_are_in_the_next_hello() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    let wait = Some(Duration::from_millis(100));
    connection.send(goodbye(Reason::Draining, Code::Unavailable, wait)).await;
    let (reason, retry_in) = disconnected(&mut stream).await;
    assert_eq!(reason.reason(), Some(Reason::Draining));
    assert_eq!(retry_in, Duration::from_millis(100));
    stream.watch("other", 7).await.expect("watches");
    stream.unwatch(ROOM).await.expect("unwatches");
    let (_connection, hello) = server.welcome().await;
    let watch: Vec<_> = hello.watch.iter().map(|c| (c.conversation_id.as_str(), c.seq)).collect();
    assert_eq!(watch, [("other", 7)]);
}

#[tokio::test]
async fn a_slow_consumer_comes_back_where_it_was() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(event(1)).await;
    let slow = goodbye(Reason::SlowConsumer, Code::ResourceExhausted, Some(Duration::ZERO));
    connection.send(slow).await;
    let (mut connection, hello) = server.welcome().await;
    assert_eq!(hello.watch[0].seq, 1);
    connection.send(event(2)).await;
    assert_eq!(seqs(&mut stream, 2).await, [1, 2]);
}

#[tokio::test]
async fn a_stream_that_is_opened_too_early_waits_as_long_as_the_server_says() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let delay = Duration::from_millis(77);
    server.accept().await.fail(too_early(delay)).await;
    let (reason, retry_in) = disconnected(&mut stream).await;
    assert_eq!(reason.reason(), Some(Reason::RateLimited));
    assert_eq!(retry_in, delay);
    server.welcome().await;
}

#[tokio::test]
async fn two_missed_heartbeats_are_a_lost_connection() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let mut silent = server.accept().await;
    silent.hello().await;
    let interval = Duration::from_millis(40).try_into().ok();
    silent
        .send(Frame::Welcome(Welcome { heartbeat_interval: interval, ..Welcome::default() }))
        .await;
    let (reason, _) = disconnected(&mut stream).await;
    assert!(matches!(reason, Error::Transport(_)), "{reason}");
    server.welcome().await;
}

#[tokio::test]
async fn a_server_without_a_welcome_is_given_up() {
    let mut server = Fake::start().await;
    let mut options = options(0);
    options.connect_timeout = Duration::from_millis(50);
    let mut stream = server.client().await.stream(options);
    let _silent = server.accept().await;
    let (reason, _) = disconnected(&mut stream).await;
    assert!(matches!(reason, Error::TimedOut), "{reason}");
    server.welcome().await;
    loop {
        if let Update::Connected { attempt, .. } = next(&mut stream).await {
            assert!(attempt > 1);
            return;
        }
    }
}

#[tokio::test]
async fn delays_grow_from_try_to_try() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let mut delays = Vec::new();
    for _ in 0..4 {
        let mut connection = server.accept().await;
        connection.fail(status(Reason::StoreUnavailable, Code::Unavailable)).await;
        delays.push(disconnected(&mut stream).await.1);
    }
    assert!(delays[0] <= Duration::from_millis(3), "{delays:?}");
    assert!(delays[3] >= Duration::from_millis(8), "{delays:?}");
    assert!(delays.iter().all(|delay| *delay <= Duration::from_millis(30)), "{delays:?}");
}

#[tokio::test]
async fn a_fenced_stream_and_a_refused_one_end_with_the_reason() {
    for (reason, code) in [
        (Reason::SessionFenced, Code::Aborted),
        (Reason::SessionEnded, Code::FailedPrecondition),
        (Reason::CallerNotAllowed, Code::PermissionDenied),
        (Reason::InvalidArgument, Code::InvalidArgument),
        (Reason::CursorAboveHead, Code::InvalidArgument),
    ] {
        let mut server = Fake::start().await;
        let mut stream = server.client().await.stream(options(0));
        let (mut connection, _) = server.welcome().await;
        connection.send(event(1)).await;
        connection.send(goodbye(reason, code, None)).await;
        assert_eq!(seqs(&mut stream, 1).await, [1], "what came before is delivered");
        let error = next_error(&mut stream).await;
        assert_eq!(error.reason(), Some(reason));
        assert!(within(stream.next()).await.is_none());
        assert!(server.nobody_waits());
        assert!(matches!(stream.watch("other", 0).await, Err(Error::Closed)));
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_a_fixed_one_ends_the_stream() {
    let mut server = Fake::start().await;
    let options_of =
        ClientOptions::new(format!("http://{}", server.address)).token(numbered_tokens());
    let client = Client::connect(options_of).await.expect("a client");
    let expired = || goodbye(Reason::TokenExpired, Code::Unauthenticated, None);

    let mut stream = client.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    assert_eq!(connection.token, "token-1");
    connection.send(expired()).await;
    let (mut connection, _) = server.welcome().await;
    assert_eq!(connection.token, "token-2");
    connection.send(expired()).await;
    // A token that is not even good for a welcome is not renewed twice.
    let mut connection = server.accept().await;
    assert_eq!(connection.token, "token-3");
    connection.send(expired()).await;
    assert_eq!(next_error(&mut stream).await.reason(), Some(Reason::TokenExpired));

    let mut fixed = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(expired()).await;
    assert_eq!(next_error(&mut fixed).await.reason(), Some(Reason::TokenExpired));
}

/// A source of `token-1`, `token-2` and so on.
fn numbered_tokens() -> TokenSource {
    let asked = Arc::new(AtomicUsize::new(0));
    TokenSource::refreshing(move || {
        let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok::<_, std::io::Error>(format!("token-{number}")) }
    })
}

async fn new_token(connection: &mut FakeStream) -> String {
    loop {
        match connection.frame().await {
            Some(connect_request::Frame::Authenticate(frame)) => return frame.token,
            // On a slow machine an ack is due before it.
            Some(connect_request::Frame::Ack(_)) => {}
            other => panic!("a new token was due: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_that_ends_soon_is_renewed_on_the_stream() {
    let mut server = Fake::start().await;
    let address = format!("http://{}", server.address);
    let options_of = ClientOptions::new(address).token(numbered_tokens());
    let client = Client::connect(options_of).await.expect("a client");
    let mut stream = client.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    assert_eq!(connection.token, "token-1");
    for number in 2..=3 {
        connection.send(Frame::TokenExpiring(TokenExpiring::default())).await;
        assert_eq!(new_token(&mut connection).await, format!("token-{number}"));
        connection.send(Frame::Authenticated(Authenticated::default())).await;
        connection.send(event(number - 1)).await;
        assert_eq!(seqs(&mut stream, 1).await, [number - 1], "the stream goes on");
    }
    // Calls use it, too.
    client.send(ROOM, "hi").await.expect("sent");
    assert_eq!(server.fake.state().tokens.last().map(String::as_str), Some("token-3"));
    // One that is refused changes nothing; the stream lives as long as the old one.
    connection.send(Frame::TokenExpiring(TokenExpiring::default())).await;
    assert_eq!(new_token(&mut connection).await, "token-4");
    let failure = Some(failure(Reason::TokenMismatch, Code::PermissionDenied));
    connection.send(Frame::Authenticated(Authenticated { failure, ..Default::default() })).await;
    connection.send(event(3)).await;
    assert_eq!(seqs(&mut stream, 1).await, [3]);
    connection.send(goodbye(Reason::TokenExpired, Code::Unauthenticated, None)).await;
    let (connection, _) = server.welcome().await;
    assert_eq!(connection.token, "token-5", "neither the old one nor the refused one");
}

#[tokio::test]
async fn a_fixed_token_is_not_renewed() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    connection.send(Frame::TokenExpiring(TokenExpiring::default())).await;
    connection.send(event(1)).await;
    connection.send(event(2)).await;
    assert_eq!(seqs(&mut stream, 2).await, [1, 2]);
    match connection.frame().await {
        Some(connect_request::Frame::Ack(_)) => {}
        other => panic!("nothing but an ack was due: {other:?}"),
    }
}

fn session_options() -> StreamOptions {
    StreamOptions { resume: Resume::Session, ..options(0) }
}

fn welcome_at(seq: u64) -> Frame {
    let watching = vec![ConversationCursor { conversation_id: ROOM.into(), seq }];
    Frame::Welcome(Welcome {
        session_id: "session-1".into(),
        watching,
        head_inbox_seq: 5,
        ..Welcome::default()
    })
}

#[tokio::test]
async fn a_session_repeats_what_was_not_acknowledged_and_that_is_passed_over() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(session_options());
    let (mut connection, hello) = server.welcome().await;
    assert_eq!(hello.session_id, "");
    for seq in 1..=3 {
        connection.send(event(seq)).await;
    }
    connection.send(Frame::Inbox(inbox(1))).await;
    assert_eq!(seqs(&mut stream, 3).await, [1, 2, 3]);
    drop(connection);
    let mut connection = server.accept().await;
    let hello = connection.hello().await;
    assert_eq!(hello.session_id, "session-1");
    assert!(hello.watch.is_empty());
    connection.send(welcome_at(1)).await;
    for frame in [event(2), event(3), event(4), Frame::Inbox(inbox(1)), Frame::Inbox(inbox(2))] {
        connection.send(frame).await;
    }
    assert_eq!(seqs(&mut stream, 1).await, [4]);
    assert!(matches!(next(&mut stream).await, Update::Inbox(event) if event.inbox_seq == 2));
    assert_eq!(stream.handle().duplicates(), 0, "a repetition is no duplicate");
}

#[tokio::test]
async fn a_session_of_another_process_is_taken_over_with_its_watches() {
    let mut server = Fake::start().await;
    let session = Some("session-1".to_owned());
    let mut stream = server.client().await.stream(StreamOptions { session, ..Default::default() });
    let mut connection = server.accept().await;
    assert_eq!(connection.hello().await.session_id, "session-1");
    connection.send(welcome_at(7)).await;
    for frame in [event(8), Frame::Inbox(inbox(4)), Frame::Inbox(inbox(5)), event(9)] {
        connection.send(frame).await;
    }
    assert_eq!(seqs(&mut stream, 2).await, [8, 9]);
    let cursors = stream.cursors();
    assert_eq!((cursors.conversations[ROOM], cursors.inbox), (9, Some(5)));
}

#[tokio::test]
async fn watches_changed_while_offline_are_told_to_the_session() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(session_options());
    let (mut connection, _) = server.welcome().await;
    let wait = Some(Duration::from_millis(50));
    connection.send(goodbye(Reason::Draining, Code::Unavailable, wait)).await;
    disconnected(&mut stream).await;
    stream.unwatch(ROOM).await.expect("unwatches");
    stream.watch("other", 3).await.expect("watches");
    let mut connection = server.accept().await;
    connection.hello().await;
    connection.send(welcome_at(0)).await;
    let Some(connect_request::Frame::Watch(watch)) = connection.frame().await else {
        panic!("no watch");
    };
    assert_eq!(watch.remove, [ROOM]);
    assert_eq!((watch.add[0].conversation_id.as_str(), watch.add[0].seq), ("other", 3));
}

#[tokio::test]
async fn a_lost_session_goes_on_from_what_was_stored() {
    let mut server = Fake::start().await;
    let mut stream = server.client().await.stream(session_options());
    let (mut connection, _) = server.welcome().await;
    for seq in 1..=3 {
        connection.send(event(seq)).await;
    }
    // 1 and 2 are stored: the application came back for the next.
    assert_eq!(seqs(&mut stream, 3).await, [1, 2, 3]);
    drop(connection);
    let mut connection = server.accept().await;
    connection.hello().await;
    connection.send(goodbye(Reason::SessionLost, Code::NotFound, None)).await;
    let (mut connection, hello) = server.welcome().await;
    assert_eq!((hello.session_id.as_str(), hello.watch[0].seq), ("", 2));
    connection.send(event(3)).await;
    connection.send(event(4)).await;
    assert_eq!(seqs(&mut stream, 1).await, [4]);
}

#[tokio::test]
async fn a_lost_session_is_never_a_silent_restart() {
    let mut server = Fake::start().await;
    let session = Some("session-1".to_owned());
    let without_cursors = StreamOptions { session: session.clone(), ..StreamOptions::default() };
    let without_fall_back =
        StreamOptions { session, fall_back_to_cursors: false, ..session_options() };
    for options in [without_cursors, without_fall_back] {
        let mut stream = server.client().await.stream(options);
        let mut connection = server.accept().await;
        connection.hello().await;
        connection.send(goodbye(Reason::SessionLost, Code::NotFound, None)).await;
        assert_eq!(next_error(&mut stream).await.reason(), Some(Reason::SessionLost));
    }
}

#[tokio::test]
async fn a_dropped_stream_ends_its_connection() {
    let mut server = Fake::start().await;
    let stream = server.client().await.stream(options(0));
    let (mut connection, _) = server.welcome().await;
    drop(stream);
    assert_eq!(connection.frame().await, None);
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_loses_nothing_and_repeats_nothing() {
    const EVENTS: u64 = 600;
    let mut server = Fake::start().await;
    let mut random = StdRng::seed_from_u64(20);
    // Streams and calls alike go through the proxy; the first 20 are cut.
    let budgets = (0..20).map(|_| random.random_range(0..25_000)).collect();
    let proxy = Proxy::start(server.address, budgets).await;
    let client = client_at(proxy.address, "token-of-alice").await;
    let fake = server.fake.clone();
    tokio::spawn(async move {
        for seq in 1..=EVENTS {
            fake.append(message(seq, "bob", &"x".repeat(usize::try_from(seq % 50).unwrap_or(0))));
            if seq % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let reader = tokio::spawn(async move {
        let mut stream = client.stream(options(0));
        let seen = seqs(&mut stream, usize::try_from(EVENTS).unwrap_or(0)).await;
        (seen, stream.handle().duplicates())
    });
    while !reader.is_finished() {
        let accepted = tokio::time::timeout(Duration::from_millis(200), server.accept()).await;
        if let Ok(connection) = accepted {
            connection.serve_well(&server.fake).await;
        }
    }
    let (seen, duplicates) = within(reader).await.expect("no panic");
    assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!(duplicates, 0);
}
