//! In-process channels behave as a wire does.

use std::time::Duration;

use super::*;
use crate::{
    error::Reason,
    identity::Claims,
    layers::Port,
    testing::{CallersOwn, World, get, refused},
};

#[tokio::test]
async fn a_channel_can_be_bound_late() {
    let world = World::new();
    let (channel, half) = Channel::in_process();
    let clone = channel.with_token(&world.token(Claims::user("acme", "alice")));
    let error = refused(clone.clone(), "c").await;
    assert_eq!(error.code(), tonic::Code::Unavailable);
    assert!(error.retry_delay().is_some());
    half.serve(world.layered(Port::Public, world.routes()));
    assert_eq!(get(clone, "c").await.expect("an answer"), "acme/alice");
}

#[tokio::test]
async fn the_callers_extensions_stay_behind() {
    let world = World::new();
    let mut request =
        tonic::Request::new(confab_proto::conversations::v1::GetConversationRequest {
            conversation_id: "extension".into(),
        });
    request.extensions_mut().insert(CallersOwn);
    let mut client =
        confab_proto::conversations::v1::conversations_service_client::ConversationsServiceClient::new(
            world.alice(),
        );
    assert!(client.get_conversation(request).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_without_any_layer() {
    let world = World::new();
    let (channel, half) = Channel::in_process();
    half.serve(world.routes());
    let mut request =
        http::Request::post("/confab.conversations.v1.ConversationsService/GetConversation")
            .header("grpc-timeout", "3S")
            .body(Body::new(http_body_util::Full::new(bytes::Bytes::from_static(
                b"\0\0\0\0\x06\x0a\x04slow",
            ))))
            .expect("a request");
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let begun = tokio::time::Instant::now();
    let response = channel.oneshot(request).await.expect("an answer");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(Error::from_status(&status).reason(), Reason::DeadlineExceeded);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_later_proof_replaces_an_earlier_one() {
    let world = World::new();
    let bob = world.alice().with_token(&world.token(Claims::user("acme", "bob")));
    assert_eq!(get(bob.clone(), "c").await.expect("an answer"), "acme/bob");
    assert_eq!(refused(bob.with_token("line\nbreak"), "c").await.reason(), Reason::MissingToken);
    assert_eq!(format!("{bob:?}"), "Channel { headers: [\"authorization\"], .. }");
}

#[tokio::test]
async fn nobody_at_the_other_end_is_an_unknown_outcome() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let status = get(Channel::tcp(&uri).expect("a channel"), "c").await.expect_err("nobody");
    assert_eq!(Error::from_status(&status).reason(), Reason::OutcomeUnknown);
    assert!(Channel::tcp("not a uri").is_err());
}
