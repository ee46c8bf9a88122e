//! Calls: both protocols, both encodings, refusals in the contract's words, and the
//! bounds of what is sent.

use std::fs;

use confab_proto::{
    conversations::v1::{ListConversationsRequest, ListConversationsResponse},
    messages::v1::{Content, SendMessageRequest},
};
use confab_tests::harness::{Checked, Node, NodeOptions, Violation, must_be_caught};
use http::Version;
use prost::bytes::Bytes;

use super::wire::{self, BINARY, TEXT, ask, call, framed, request, to_text, whole};
use crate::promises::program;

const LIST: &str = "/confab.conversations.v1.ConversationsService/ListConversations";
const SEND: &str = "/confab.messages.v1.MessagesService/SendMessage";
const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[expect(clippy::needless_pass_by_value, reason = "reads better at the many callers")]
fn equal<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Checked {
    Violation::unless(found == expected, || format!("{found:?}, not {expected:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_work_over_both_protocols_in_both_encodings() -> Checked {
    let node = Node::start(program(None)).await?;
    let (at, token) = (node.gateway(), node.tokens()?.user("dev", "alice"));
    let id = node.client("dev", "alice").await?.open_direct("bob").await?.conversation_id;
    let list = framed(&ListConversationsRequest::default());
    for version in BOTH {
        for (asks, accepts, answers) in [
            ("application/grpc-web", None, BINARY),
            (BINARY, None, BINARY),
            ("Application/GRPC-Web+Proto; charset=utf-8", None, BINARY),
            (TEXT, None, TEXT),
            ("application/grpc-web-text", Some("application/grpc-web-text"), TEXT),
            ("application/grpc-web-text;charset=utf-8", Some("*/*"), TEXT),
            (TEXT, Some("application/grpc-web+proto"), BINARY),
        ] {
            let in_text = asks.contains("-text");
            let body = if in_text { to_text(&list) } else { list.clone() };
            let mut asked = request(at, LIST).method("POST").header("content-type", asks);
            asked = asked.header("authorization", format!("Bearer {token}"));
            if let Some(accepts) = accepts {
                asked = asked.header("accept", accepts);
            }
            let asked = asked.body(whole(body)).map_err(Violation::unable)?;
            let answer = ask(at, version, asked).await?;
            equal(answer.header("content-type"), answers)?;
            equal(answer.header("cache-control"), "no-store")?;
            let listed: ListConversationsResponse = answer.called()?.message()?;
            let found = listed.conversations.first().and_then(|item| item.conversation.as_ref());
            equal(found.map(|row| &row.conversation_id), Some(&id))?;
        }
    }
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_in_the_contracts_words() -> Checked {
    let node = Node::start(program(None)).await?;
    let (at, token) = (node.gateway(), node.tokens()?.user("dev", "alice"));
    let list = framed(&ListConversationsRequest::default());
    for version in BOTH {
        let refused = async |builder: http::request::Builder, body: Bytes| {
            let asked = builder.body(whole(body)).map_err(Violation::unable)?;
            let answer = ask(at, version, asked).await?;
            Violation::unless(answer.headers.contains_key("grpc-status"), || {
                format!("not a status alone: {answer:?}")
            })?;
            Ok::<_, Violation>(answer.called()?.reason())
        };
        let nothing = call(at, "/confab.nothing.v1.NothingService/Nothing", &token);
        equal(refused(nothing, list.clone()).await?, "UNKNOWN_METHOD".to_owned())?;
        // What only processes may call does not exist here.
        let mesh = call(at, "/confab.messages.v1.LogService/Append", &token);
        equal(refused(mesh, list.clone()).await?, "UNKNOWN_METHOD".to_owned())?;
        let nobody = request(at, LIST).method("POST").header("content-type", BINARY);
        equal(refused(nobody, list.clone()).await?, "MISSING_TOKEN".to_owned())?;
        let twice = call(at, LIST, &token).header("authorization", "Bearer another");
        equal(refused(twice, list.clone()).await?, "INVALID_TOKEN".to_owned())?;
        let text = request(at, LIST).method("POST").header("content-type", TEXT);
        let text = text.header("authorization", format!("Bearer {token}"));
        equal(refused(text, "no base64!!".into()).await?, "MALFORMED_REQUEST".to_owned())?;
        let half = call(at, LIST, &token);
        equal(refused(half, list.slice(..3)).await?, "MALFORMED_REQUEST".to_owned())?;
        for content_type in ["application/json", "text/plain", "application/grpc"] {
            let other = request(at, LIST).method("POST").header("content-type", content_type);
            let other = other.body(whole(list.clone())).map_err(Violation::unable)?;
            let answer = ask(at, version, other).await?;
            equal((answer.status.as_u16(), answer.header("grpc-status")), (415, "3"))?;
        }
        let get = request(at, LIST).header("content-type", BINARY);
        let get = get.body(whole("")).map_err(Violation::unable)?;
        equal(ask(at, version, get).await?.status.as_u16(), 405)?;
    }
    node.finish()
}

/// A gateway whose bodies may have no more than a request.
fn narrow(mutant: Option<&str>) -> NodeOptions {
    program(mutant).env("CONFAB_GATEWAY__BODY_BYTES", "262144")
}

/// Bodies that are longer than they may be: one says so, one has no end.
async fn long_bodies(mutant: Option<&str>) -> Checked {
    let node = Node::start(narrow(mutant)).await?;
    let (at, token) = (node.gateway(), node.tokens()?.user("dev", "alice"));
    for version in BOTH {
        let long = framed(&SendMessageRequest {
            content: Some(Content { text: "x".repeat(5 << 20), ..Default::default() }),
            ..Default::default()
        });
        let asked = call(at, SEND, &token).body(whole(long)).map_err(Violation::unable)?;
        let answer = ask(at, version, asked).await?.called()?;
        equal(answer.reason(), "REQUEST_TOO_LARGE".to_owned())?;
        let limit =
            answer.refusal().and_then(|error| error.metadata("limit_bytes").map(String::from));
        equal(limit.as_deref(), Some("262144"))?;
        // Each frame is a good one: nobody but the gateway counts them all.
        let list = framed(&ListConversationsRequest::default());
        let many = std::iter::repeat_n(Bytes::from(list.repeat(1000)), 100);
        let asked = call(at, LIST, &token).body(wire::pieces(many)).map_err(Violation::unable)?;
        let answer = ask(at, version, asked).await?.called()?;
        equal(answer.reason(), "REQUEST_TOO_LARGE".to_owned())?;
    }
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_are_refused_by_their_word_and_by_their_length() -> Checked {
    long_bodies(None).await?;
    must_be_caught("gateway-endless-body", long_bodies(Some("gateway-endless-body")).await);
    Ok(())
}

/// A page that has learnt what processes show each other gains nothing by it.
async fn processes_headers(mutant: Option<&str>) -> Checked {
    let options = program(mutant)
        .env("CONFAB_RATES__ENABLED", "true")
        .env("CONFAB_RATES__SEND__PER_MINUTE", "1");
    let node = Node::start(options).await?;
    let (at, token) = (node.gateway(), node.tokens()?.user("dev", "alice"));
    let id = node.client("dev", "alice").await?.open_direct("bob").await?.conversation_id;
    let secret = fs::read_to_string(node.data_dir().join("mesh-credential"));
    let secret = secret.map_err(Violation::unable)?;
    let mut reasons = Vec::new();
    for request_id in ["first", "second"] {
        let send = SendMessageRequest {
            conversation_id: id.clone(),
            request_id: request_id.to_owned(),
            content: Some(Content { text: "hello".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        // Confab's own calls are charged to nobody.
        let asked = call(at, SEND, &token).header("x-confab-mesh", secret.trim());
        let asked = asked.body(whole(framed(&send))).map_err(Violation::unable)?;
        reasons.push(ask(at, Version::HTTP_11, asked).await?.called()?.reason());
    }
    equal(reasons, vec![String::new(), "RATE_LIMITED".to_owned()])?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_pass_by_a_list() -> Checked {
    processes_headers(None).await?;
    let mutant = "gateway-passes-all-headers";
    must_be_caught(mutant, processes_headers(Some(mutant)).await);
    Ok(())
}
