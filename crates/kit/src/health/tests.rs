//! Health says what is, over gRPC and HTTP.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http_body_util::BodyExt as _;
use prost::Message as _;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus as Shown, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;
use crate::{
    channel::Channel,
    error::{Error, Reason},
    layers::Port,
    telemetry,
    testing::World,
};

async fn page(health: &Health, path: &str) -> (u16, String) {
    let request = http::Request::get(path).body(()).expect("a request");
    let response = answer(health, &request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

fn standard(world: &World, health: &Health) -> Channel {
    let (channel, half) = Channel::in_process();
    let routes = health.add_standard_services(world.routes()).expect("routes");
    half.serve(world.layered(Port::Public, routes));
    channel
}

#[tokio::test(start_paused = true)]
async fn readiness_asks_the_dependencies() {
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    assert_eq!(page(&health, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(page(&health, "/readyz").await.0, 503);
    health.set_ready().await;
    let (asked, counter) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (calls, lost) = (Arc::clone(&asked), Arc::clone(&counter));
    health.add_probe("store", Importance::Required, move || {
        calls.fetch_add(1, Ordering::SeqCst);
        let lost = lost.load(Ordering::SeqCst);
        async move { if lost > 1 { Err("disk is full".to_owned()) } else { Ok(()) } }
    });
    let lost = Arc::clone(&counter);
    health.add_probe("bus", Importance::Optional, move || {
        let lost = lost.load(Ordering::SeqCst);
        async move {
            if lost > 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    for (losses, status, state) in
        [(0, 200, "healthy"), (1, 200, "degraded"), (2, 503, "unhealthy")]
    {
        counter.store(losses, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(2)).await;
        let before = asked.load(Ordering::SeqCst);
        let (got, body) = page(&health, "/readyz").await;
        assert_eq!(got, status, "{body}");
        assert!(body.starts_with(&format!("{{\"status\":\"{state}\"")), "{body}");
        page(&health, "/readyz").await;
        assert_eq!(asked.load(Ordering::SeqCst), before + 1, "the answer is kept for a second");
    }
    assert!(page(&health, "/readyz").await.1.contains("disk is full"));
    assert!(page(&health, "/readyz").await.1.contains("no answer in time"));
    world.lifecycle.drain();
    assert_eq!(
        page(&health, "/readyz").await,
        (503, "{\"status\":\"draining\",\"checks\":[]}\n".to_owned())
    );
    assert_eq!(page(&health, "/healthz").await.0, 200);
}

#[tokio::test]
async fn the_other_pages() {
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    metrics::counter!("confab_test_total", "case" => "health").increment(1);
    assert!(page(&health, "/metrics").await.1.contains("confab_test_total"));
    assert_eq!(page(&health, "/nonsense").await.0, 404);
    let post = http::Request::post("/healthz").body(()).expect("a request");
    assert_eq!(answer(&health, &post).await.status().as_u16(), 405);
    assert!(!telemetry::render().is_empty());
}

#[tokio::test(start_paused = true)]
async fn grpc_health_follows_and_its_watchers_are_sent_away() {
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    let mut client = HealthClient::new(standard(&world, &health));
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let over_all = client.check(ask("")).await.expect("an answer").into_inner();
    assert_eq!(over_all.status(), Shown::NotServing);
    health.set_ready().await;
    let mut watch = client.watch(ask("")).await.expect("a stream").into_inner();
    for service in ["", "confab.messages.v1.MessagesService", "confab.realtime.v1.RealtimeService"]
    {
        let answer = client.check(ask(service)).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), Shown::Serving);
    }
    let unknown = client.check(ask("confab.messages.v1.LogService")).await.expect_err("hidden");
    assert_eq!(Error::from_status(&unknown).reason(), Reason::UnknownName);
    let mut none = client.watch(ask("nonsense")).await.expect("a stream").into_inner();
    let told = none.message().await.expect("an answer").expect("one");
    assert_eq!(told.status(), Shown::ServiceUnknown);
    let status = |answer: Result<Option<tonic_health::pb::HealthCheckResponse>, tonic::Status>| {
        answer.expect("an answer").expect("one").status()
    };
    assert_eq!(status(watch.message().await), Shown::Serving);
    world.lifecycle.drain();
    health.set_not_ready().await;
    assert_eq!(status(watch.message().await), Shown::NotServing);
    for mut stream in [watch, none] {
        let end = Error::from_status(&stream.message().await.expect_err("the end"));
        assert_eq!(end.reason(), Reason::Draining);
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_health_follows_readiness_down_and_up() {
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    let is_lost = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&is_lost);
    health.add_probe("store", Importance::Required, move || {
        let lost = asked.load(Ordering::SeqCst) > 0;
        async move { if lost { Err("stopped".to_owned()) } else { Ok(()) } }
    });
    health.set_ready().await;
    let follower = health.clone();
    crate::task::spawn("follower", async move { follower.follow_readiness().await });
    let mut client = HealthClient::new(standard(&world, &health));
    let service = "confab.messages.v1.MessagesService".to_owned();
    let watch = client.watch(HealthCheckRequest { service }).await;
    let mut watch = watch.expect("a stream").into_inner();
    for (lost, shown) in [(0, Shown::Serving), (1, Shown::NotServing), (0, Shown::Serving)] {
        is_lost.store(lost, Ordering::SeqCst);
        let answer = watch.message().await.expect("an answer").expect("one");
        assert_eq!(answer.status(), shown);
    }
}

#[tokio::test]
async fn reflection_lists_public_services_only() {
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    let mut client = ServerReflectionClient::new(standard(&world, &health));
    let ask = |message_request| {
        let message_request = Some(message_request);
        ServerReflectionRequest { host: String::new(), message_request }
    };
    let requests = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("confab.messages.v1.LogService".into())),
    ];
    let mut answers = client
        .server_reflection_info(tokio_stream::iter(requests))
        .await
        .expect("a stream")
        .into_inner();
    let answer = answers.message().await.expect("an answer").expect("one");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"confab.messages.v1.MessagesService"), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    assert!(!names.contains(&"confab.messages.v1.LogService"), "{names:?}");
    let hidden = answers.message().await.expect_err("the mesh's services are hidden");
    assert_eq!(Error::from_status(&hidden).reason(), Reason::UnknownName);
}

/// So that grpcurl and friends can show what is wrong with a request.
#[tokio::test]
async fn the_details_of_errors_are_reflected_with_all_they_refer_to() {
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    let mut client = ServerReflectionClient::new(standard(&world, &health));
    for symbol in ["ErrorInfo", "BadRequest", "RetryInfo", "Status"] {
        let message_request = MessageRequest::FileContainingSymbol(format!("google.rpc.{symbol}"));
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
        let answers = client.server_reflection_info(tokio_stream::once(request)).await;
        let answer = answers.expect("a stream").into_inner().message().await;
        let answer = answer.expect("an answer").expect("one").message_response;
        let Some(MessageResponse::FileDescriptorResponse(found)) = answer else {
            panic!("{symbol}: {answer:?}");
        };
        let file = prost_types::FileDescriptorProto::decode(&*found.file_descriptor_proto[0]);
        for name in file.expect("a file").dependency {
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::FileByFilename(name.clone())),
            };
            let answers = client.server_reflection_info(tokio_stream::once(request)).await;
            let answer = answers.expect("a stream").into_inner().message().await;
            assert!(answer.is_ok(), "{symbol} refers to {name}");
        }
    }
}

#[tokio::test]
async fn both_versions_of_reflection_are_served() {
    use tonic_reflection::pb::v1alpha as alpha;
    let world = World::new();
    let health = Health::new(world.lifecycle.clone()).await;
    let channel = standard(&world, &health);
    let mut client = alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let request = alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let answers = client.server_reflection_info(tokio_stream::once(request)).await;
    let answer = answers.expect("a stream").into_inner().message().await;
    assert!(answer.expect("an answer").is_some());
}
