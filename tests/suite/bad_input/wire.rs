//! Bytes that are no request: on the connection, in the frame, in the message.

use confab_kit::error::Reason;
use confab_proto::{
    messages::v1::{Content, SendMessageRequest},
    method::{Caller, METHODS, Method, RpcRequest as _},
};
use confab_tests::harness::{Checked, Seed, Violation, within};
use prost::{
    Message as _,
    bytes::{Bytes, BytesMut},
};
use rand::Rng as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Place, TENANT, is_refused, passes};
use crate::raw::{PATIENCE, Raw, framed, reason_name};

fn unary() -> impl Iterator<Item = &'static Method> {
    let streams = |method: &Method| method.client_streaming || method.server_streaming;
    METHODS.iter().filter(move |method| !method.is_mesh() && !streams(method))
}

/// The port as somebody whom the RPC is for.
fn caller(place: &Place, method: &Method) -> Raw {
    let policy = method.policy.as_ref();
    if policy.is_some_and(|policy| policy.callers.contains(&Caller::User)) {
        return place.raw.clone();
    }
    place.nobody.token(&place.tokens.application(TENANT, "backend"))
}

fn send(place: &Place) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: place.group.clone(),
        request_id: "wire".to_owned(),
        after_seq: 0,
        content: Some(Content { text: "MARK".to_owned(), ..Default::default() }),
        ..SendMessageRequest::default()
    }
}

/// The message with these bytes in the text's place, as long as it is.
fn marked(message: &SendMessageRequest, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = message.encode_to_vec();
    if let Some(at) = encoded.windows(4).position(|window| window == b"MARK") {
        encoded[at..at + 4].copy_from_slice(bytes);
    }
    encoded
}

/// What prost cannot read is told so by every RPC.
async fn malformed_protobuf(place: &Place) -> Checked {
    let nested = vec![0x0b; 10_000];
    let messages: [&[u8]; 6] = [
        b"\x0a\xff",
        b"\x0a\x05abc",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x00",
        b"\x0f",
        &nested,
    ];
    for method in unary() {
        let raw = caller(place, method);
        for message in messages {
            let outcome = raw.bytes(method.path, message).await?;
            let what = format!("{} {message:?}", method.path);
            is_refused(&what, outcome, Reason::MalformedRequest, &[])?;
        }
    }
    Ok(())
}

async fn invalid_utf8(place: &Place) -> Checked {
    let path = SendMessageRequest::METHOD.path;
    let sequences: [&[u8; 4]; 5] =
        [b"a\xffbc", b"\xc3\x28ab", b"\xed\xa0\x80a", b"\xf5\x80\x80\x80", b"abc\xe2"];
    for bytes in sequences {
        let outcome = place.raw.bytes(path, &marked(&send(place), bytes)).await?;
        is_refused(&format!("{bytes:?}"), outcome, Reason::MalformedRequest, &[])?;
    }
    // In the id, by every RPC: the first field of all. One request has no field.
    let has_fields = |method: &&Method| !method.path.ends_with("/GetContentRules");
    for method in unary().filter(has_fields) {
        let outcome = caller(place, method).bytes(method.path, b"\x0a\x02\xc3\x28").await?;
        let refused = outcome.err().map(|refused| refused.reason);
        // Of some the first field is a number or a message: no UTF-8 at all.
        Violation::unless(refused == Some(reason_name(Reason::MalformedRequest)), || {
            format!("{}: {refused:?}", method.path)
        })?;
    }
    Ok(())
}

/// Whatever the bytes are, the answer is an answer or a coded refusal, and
/// never a fault of ours.
async fn random_bytes(place: &Place) -> Checked {
    let mut random = Seed::of("bad_input::wire").part(0);
    let valid = send(place).encode_to_vec();
    for method in unary() {
        for round in 0..24 {
            let mut message = valid.clone();
            if round % 2 == 0 {
                message = (0..random.random_range(0..64)).map(|_| random.random()).collect();
            } else {
                for _ in 0..random.random_range(1..4) {
                    let at = random.random_range(0..message.len());
                    message[at] = random.random();
                }
            }
            let outcome = place.raw.bytes(method.path, &message).await?;
            let fault = matches!(&outcome, Err(refused) if refused.reason == "INTERNAL");
            Violation::unless(!fault, || format!("{} {message:?}: {outcome:?}", method.path))?;
        }
    }
    Ok(())
}

/// A body that is not one whole frame.
async fn broken_frames(place: &Place) -> Checked {
    let message = marked(&send(place), b"fine");
    let whole = framed(&message);
    let flagged = |flag: u8| -> Bytes { [&[flag][..], &whole[1..]].concat().into() };
    let bodies: [(&str, Bytes); 6] = [
        ("nothing", Bytes::new()),
        ("half a header", whole.slice(..3)),
        ("a header alone", whole.slice(..5)),
        ("half a message", whole.slice(..whole.len() / 2)),
        ("compressed without a coding", flagged(1)),
        ("an unknown flag", flagged(7)),
    ];
    let path = SendMessageRequest::METHOD.path;
    for (what, body) in bodies {
        let outcome = place.raw.post(path, body).await?.unary()?;
        is_refused(what, outcome, Reason::MalformedRequest, &[])?;
    }
    let coded = place.raw.header("grpc-encoding", "gzip").post(path, flagged(1)).await?.unary()?;
    is_refused("a coding that is not served", coded, Reason::MalformedRequest, &[])?;
    Ok(())
}

/// Refused by the length that the frame declares.
async fn huge_frames(place: &Place) -> Checked {
    let path = SendMessageRequest::METHOD.path;
    let ten = 10 << 20;
    let mut request = send(place);
    request.content = Some(Content { text: "x".repeat(ten), ..Default::default() });
    let declared = |length: u32| -> Bytes { [&[0][..], &length.to_be_bytes()].concat().into() };
    let bodies = [
        ("10 MB", framed(&request.encode_to_vec())),
        ("10 MB declared", declared(10 << 20)),
        ("4 GiB declared", declared(u32::MAX)),
        ("one byte too many", declared(256 * 1024 + 1)),
    ];
    for (what, body) in bodies {
        let outcome = place.raw.post(path, body).await?.unary()?;
        let refused = is_refused(what, outcome, Reason::RequestTooLarge, &[])?;
        Violation::unless(
            refused.metadata.get("limit_bytes") == Some(&"262144".to_owned()),
            || format!("{what}: {refused:?}"),
        )?;
    }
    Ok(())
}

async fn paths_and_content_types(place: &Place) -> Checked {
    let long = format!("/{}", "x".repeat(5000));
    let paths = [
        "/",
        "/confab.messages.v1.MessagesService",
        "/confab.messages.v1.MessagesService/Nope",
        "/confab.messages.v1.MessagesService/SendMessage/",
        "/confab.messages.v1.MessagesService/sendmessage",
        "//confab.messages.v1.MessagesService/SendMessage",
        "/confab.messages.v2.MessagesService/SendMessage",
        "/confab.messages.v1.LogService/Append",
        "/healthz",
        &long,
    ];
    for path in paths {
        for raw in [&place.raw, &place.nobody] {
            let outcome = raw.bytes(path, b"").await?;
            is_refused(path, outcome, Reason::UnknownMethod, &[])?;
        }
    }
    let path = SendMessageRequest::METHOD.path;
    let body = framed(&marked(&send(place), b"fine"));
    let types = ["text/plain", "application/json", "application/grpc-web", "application/grpc+json"];
    let wrong = types.map(|value| place.raw.header("content-type", value));
    for raw in wrong.iter().chain([&place.raw.without("content-type")]) {
        let answer = raw.post(path, body.clone()).await?;
        let http = answer.http;
        is_refused("a wrong content type", answer.unary()?, Reason::MalformedRequest, &[])?;
        Violation::unless(http == http::StatusCode::UNSUPPORTED_MEDIA_TYPE, || format!("{http}"))?;
    }
    Ok(())
}

/// Headers that mean nothing are passed over.
async fn odd_headers(place: &Place) -> Checked {
    let path = SendMessageRequest::METHOD.path;
    let message = marked(&send(place), b"fine");
    for (name, value) in [
        ("grpc-timeout", "soon"),
        ("grpc-timeout", "999999999H"),
        ("grpc-timeout", "99999999H"),
        ("grpc-timeout", "-1S"),
        ("traceparent", "00-nonsense"),
        ("x-tenant", "other"),
        ("x-confab-mesh", "guess"),
    ] {
        let outcome = place.raw.header(name, value).bytes(path, &message).await?;
        Violation::unless(outcome.is_ok(), || format!("{name}: {value}: {outcome:?}"))?;
    }
    Ok(())
}

/// What is not HTTP/2 is closed.
async fn other_protocols(place: &Place) -> Checked {
    let mut garbage = vec![0; 100_000];
    Seed::of("bad_input::wire").part(1).fill(&mut garbage[..]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut oversize = BytesMut::from(&preface[..]);
    // A settings frame of 16 MB.
    oversize.extend_from_slice(b"\xff\xff\xff\x04\x00\x00\x00\x00\x00");
    oversize.extend_from_slice(&[0; 1000]);
    let said: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", &garbage, &oversize];
    for bytes in said {
        let mut tcp = TcpStream::connect(place.node.public()).await.map_err(Violation::unable)?;
        // It may be closed before everything is said.
        let _closed = tcp.write_all(bytes).await;
        let _closed = tcp.shutdown().await;
        let mut answer = Vec::new();
        let ended = within(PATIENCE, "the end of what is not HTTP/2", tcp.read_to_end(&mut answer));
        let _reset = ended.await?;
        Violation::unless(answer.len() < 1000, || format!("{} bytes answered", answer.len()))?;
    }
    Ok(())
}

async fn check() -> Checked {
    let place = Place::new().await?;
    malformed_protobuf(&place).await?;
    invalid_utf8(&place).await?;
    broken_frames(&place).await?;
    paths_and_content_types(&place).await?;
    odd_headers(&place).await?;
    random_bytes(&place).await?;
    other_protocols(&place).await?;
    place.unharmed().await
}

async fn check_huge() -> Checked {
    let place = Place::new().await?;
    huge_frames(&place).await?;
    // The connection that carried them goes on.
    let raw: &Raw = &place.raw;
    let outcome =
        raw.bytes(SendMessageRequest::METHOD.path, &marked(&send(&place), b"fine")).await?;
    Violation::unless(outcome.is_ok(), || format!("after huge frames: {outcome:?}"))?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_refused() {
    passes(check().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_10_mb_are_refused_by_their_length() {
    passes(check_huge().await);
}
