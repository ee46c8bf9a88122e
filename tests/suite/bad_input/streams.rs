//! Streams that begin wrongly, say what cannot be, or speak of what is not theirs.

use confab_kit::error::Reason;
use confab_proto::realtime::v1::{
    Ack, Call, ConnectRequest, Hello, Ping, Watch, connect_request::Frame as Request,
    connect_response::Frame,
};
use confab_tests::harness::{Checked, Violation};
use prost::{Message as _, bytes::Bytes};

use super::{Place, TENANT, passes};
use crate::{
    promises::program,
    raw::{Ending, Raw, Refused, Stream, framed, hello, reason_name, watching},
};

const NOBODYS: &str = "00000000000000000000000000000000";

/// The stream must end so.
pub(super) async fn ends(what: &str, stream: Stream, reason: Reason) -> Checked<Ending> {
    let ending = stream.ending().await?;
    let right = ending.refused.reason == reason_name(reason) && ending.goodbye.is_some();
    Violation::unless(right, || format!("{what}: {ending:?} instead of {reason:?}"))?;
    Ok(ending)
}

async fn first_frames(place: &Place) -> Checked {
    let frames = [
        ("ping", Some(Request::Ping(Ping {}))),
        ("watch", Some(Request::Watch(Watch::default()))),
        ("call", Some(Request::Call(Call::default()))),
        ("ack", Some(Request::Ack(Ack::default()))),
        ("nothing", None),
    ];
    for (what, frame) in frames {
        let mut stream = Stream::open(&place.raw).await?;
        stream.push(framed(&ConnectRequest { frame }.encode_to_vec())).await?;
        ends(what, stream, Reason::HelloExpected).await?;
    }
    let mut silent = Stream::open(&place.raw).await?;
    silent.half_close();
    ends("an end at once", silent, Reason::HelloExpected).await?;
    let mut twice = Stream::welcomed(&place.raw, hello(&[])).await?;
    twice.say(hello(&[])).await?;
    ends("a second hello", twice, Reason::SecondHello).await?;
    let mut eager = Stream::open(&place.raw).await?;
    eager.say(hello(&[])).await?;
    eager.say(hello(&[])).await?;
    ends("a second hello before the welcome", eager, Reason::SecondHello).await.map(drop)
}

/// Before the welcome and after it.
async fn broken_frames(place: &Place) -> Checked {
    let declared = |length: u32| -> Bytes { [&[0][..], &length.to_be_bytes()].concat().into() };
    let ping = framed(&ConnectRequest { frame: Some(Request::Ping(Ping {})) }.encode_to_vec());
    let compressed: Bytes = [&[1][..], &ping[1..]].concat().into();
    let frames = [
        ("malformed", framed(b"\x0a\xff"), Reason::MalformedRequest),
        ("no UTF-8", framed(b"\x0a\x04\x0a\x02\xc3\x28"), Reason::MalformedRequest),
        ("compressed", compressed, Reason::MalformedRequest),
        ("10 MB declared", declared(10 << 20), Reason::RequestTooLarge),
        ("10 MB", framed(&vec![0; 10 << 20]), Reason::RequestTooLarge),
        ("4 GiB declared", declared(u32::MAX), Reason::RequestTooLarge),
        ("64 KiB and a byte", declared((64 << 10) + 1), Reason::RequestTooLarge),
    ];
    for (what, bytes, reason) in frames {
        let mut first = Stream::open(&place.raw).await?;
        first.push(bytes.clone()).await?;
        ends(what, first, reason).await?;
        let mut later = Stream::welcomed(&place.raw, hello(&[])).await?;
        later.push(bytes).await?;
        ends(what, later, reason).await?;
    }
    let mut torn = Stream::welcomed(&place.raw, hello(&[])).await?;
    torn.push(ping.slice(..3)).await?;
    torn.half_close();
    ends("torn", torn, Reason::MalformedRequest).await?;
    let mut unknown = Stream::welcomed(&place.raw, hello(&[])).await?;
    unknown.push(framed(b"\xf2\x01\x00")).await?;
    ends("an unknown kind of frame", unknown, Reason::MalformedRequest).await.map(drop)
}

async fn session_of(raw: &Raw) -> Checked<String> {
    let mut stream = Stream::open(raw).await?;
    stream.say(hello(&[])).await?;
    let welcomed = stream.until(|frame| match frame {
        Frame::Welcome(welcome) => Some(welcome.session_id),
        _ => None,
    });
    welcomed.await
}

async fn hellos(place: &Place) -> Checked {
    let hello = |hello: Hello| Request::Hello(hello);
    let many: Vec<_> = (0..201).map(|id| watching(&format!("{id:032x}"), 0)).collect();
    let theirs = session_of(&place.raw_as("walter")).await?;
    let other_tenant = place.tokens.user("other", "mallory");
    let elsewhere = session_of(&place.nobody.token(&other_tenant)).await?;
    let session =
        |session_id: &str| Hello { session_id: session_id.to_owned(), ..Hello::default() };
    let watch = |watch| Hello { watch, ..Hello::default() };
    let wrong = [
        ("a malformed id", watch(vec![watching("x", 0)]), Reason::InvalidArgument),
        ("201 watches", watch(many), Reason::InvalidArgument),
        ("one twice", watch(vec![watching(NOBODYS, 0); 2]), Reason::InvalidArgument),
        ("an unknown session", session(NOBODYS), Reason::SessionLost),
        ("a malformed session", session("../x"), Reason::SessionLost),
        ("walter's session", session(&theirs), Reason::SessionLost),
        ("another tenant's session", session(&elsewhere), Reason::SessionLost),
        (
            "an inbox cursor above the head",
            Hello { inbox_seq: Some(u64::MAX), ..Hello::default() },
            Reason::CursorAboveHead,
        ),
    ];
    for (what, wrong, reason) in wrong {
        let mut stream = Stream::open(&place.raw).await?;
        stream.say(hello(wrong)).await?;
        ends(what, stream, reason).await?;
    }
    Ok(())
}

async fn acks(place: &Place) -> Checked {
    let foreign = place.neighbours.conversation.as_str();
    let (_, head) = place.mallory.events_after(&place.group, 0, 1).await?;
    let ack = |id: &str, seq| Ack { cursors: vec![watching(id, seq)], inbox_seq: None };
    let inbox = |seq| Ack { cursors: Vec::new(), inbox_seq: Some(seq) };
    let wrong = [
        ("of a foreign conversation", ack(foreign, 1), Reason::NotWatched),
        ("of nobody's conversation", ack(NOBODYS, 1), Reason::NotWatched),
        ("of no id", ack("x", 1), Reason::NotWatched),
        ("beyond the head", ack(&place.group, head + 1), Reason::CursorAboveHead),
        ("far beyond the head", ack(&place.group, u64::MAX), Reason::CursorAboveHead),
        ("beyond the inbox", inbox(u64::MAX), Reason::CursorAboveHead),
    ];
    for (what, ack, reason) in wrong {
        let mut stream = Stream::welcomed(&place.raw, hello(&[&place.group])).await?;
        let synced = |frame| match frame {
            Frame::Synced(synced) if !synced.conversation_id.is_empty() => Some(synced.seq),
            _ => None,
        };
        let seq = stream.until(synced).await?;
        Violation::unless(seq == head, || format!("synced at {seq}, the head is {head}"))?;
        stream.say(Request::Ack(ack)).await?;
        ends(what, stream, reason).await?;
    }
    Ok(())
}

/// A refused watch ends alone: the stream goes on.
async fn watches(place: &Place) -> Checked {
    let foreign = place.neighbours.conversation.clone();
    let (_, head) = place.mallory.events_after(&place.group, 0, 1).await?;
    let wrong = [
        (foreign.as_str(), 0, Reason::ConversationNotFound),
        (NOBODYS, 7, Reason::ConversationNotFound),
        ("x", 0, Reason::InvalidArgument),
        (place.group.as_str(), head + 1, Reason::CursorAboveHead),
        (place.group.as_str(), u64::MAX, Reason::CursorAboveHead),
    ];
    let mut stream = Stream::welcomed(&place.raw, hello(&[&foreign])).await?;
    is_refused_watch(&mut stream, &foreign, Reason::ConversationNotFound).await?;
    for (id, seq, reason) in wrong {
        let (add, remove) = (vec![watching(id, seq)], vec!["y".to_owned()]);
        let watch = Watch { add, remove, ..Watch::default() };
        stream.say(Request::Watch(watch)).await?;
        is_refused_watch(&mut stream, id, reason).await?;
        stream.say(Request::Ping(Ping {})).await?;
        stream.until(|frame| matches!(frame, Frame::Heartbeat(_)).then_some(())).await?;
    }
    Ok(())
}

async fn is_refused_watch(stream: &mut Stream, id: &str, reason: Reason) -> Checked {
    let ended = stream.until(|frame| match frame {
        Frame::WatchEnded(ended) => Some(Ok(ended)),
        Frame::Event(event) => Some(Err(event)),
        _ => None,
    });
    let ended = ended
        .await?
        .map_err(|event| Violation::broken(format!("an event of a refused watch: {event:?}")))?;
    let refused = Refused::of_failure(&ended.failure.clone().unwrap_or_default())?;
    let right = ended.conversation_id == id && refused.reason == reason_name(reason);
    Violation::unless(right, || format!("{ended:?} instead of {reason:?}"))
}

async fn check() -> Checked {
    let place = Place::new().await?;
    first_frames(&place).await?;
    hellos(&place).await?;
    acks(&place).await?;
    watches(&place).await?;
    place.unharmed().await
}

async fn check_frames() -> Checked {
    let place = Place::new().await?;
    broken_frames(&place).await?;
    place.unharmed().await
}

/// Whoever never says hello is told so, and gone.
async fn check_silence() -> Checked {
    let place = Place::with(program(None).env("CONFAB_LIMITS__HELLO_TIMEOUT_MS", "300")).await?;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(Stream::open(&place.raw).await?);
    }
    for stream in silent {
        ends("silence", stream, Reason::HelloTimeout).await?;
    }
    let mut slow = Stream::open(&place.raw).await?;
    slow.push(Bytes::from_static(&[0, 0, 0])).await?;
    ends("half a header", slow, Reason::HelloTimeout).await?;
    let client = place.node.client(TENANT, "mallory").await?;
    client.send(&place.group, "the connection goes on").await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_say_what_cannot_be_end_or_are_told() {
    passes(check().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_end_their_stream_only() {
    passes(check_frames().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_says_hello_ends() {
    passes(check_silence().await);
}
