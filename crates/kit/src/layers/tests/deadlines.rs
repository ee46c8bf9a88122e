//! Calls end when their time is up; streams only where that was asked for.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_unary_call_always_has_a_deadline() {
    let world = World::new();
    let begun = tokio::time::Instant::now();
    let error = refused(world.alice(), "slow").await;
    assert_eq!((error.code(), error.reason()), (Code::DeadlineExceeded, Reason::DeadlineExceeded));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_asked_for_and_has_a_maximum() {
    let world = World::new();
    for (asked, granted) in [("2S", 2), ("5H", 60), ("nonsense", 10)] {
        let begun = tokio::time::Instant::now();
        let token = format!("Bearer {}", world.token(Claims::user("acme", "alice")));
        let request = Request::post(GET)
            .header("content-type", "application/grpc+proto; charset=x")
            .header("grpc-timeout", asked)
            .header("authorization", token)
            .body(Body::new(Full::new(framed(b"\x0a\x04slow"))))
            .expect("a request");
        let layered = world.layered(Port::Public, world.routes());
        let response = layered.oneshot(request).await.expect("an answer");
        let status = Status::from_header_map(response.headers()).expect("a status");
        assert_eq!(Error::from_status(&status).reason(), Reason::DeadlineExceeded);
        assert_eq!(begun.elapsed().as_secs(), granted, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_no_deadline_unless_asked() {
    let world = World::new();
    let mut client = RealtimeServiceClient::new(world.alice());
    let requests = frames(vec![Frame::Ping(Ping::default())]);
    let mut answers = client.connect(requests).await.expect("a stream").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
    let hour = tokio::time::timeout(Duration::from_hours(1), answers.message()).await;
    assert!(hour.is_err(), "the stream ended: {hour:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_deadline_that_it_asked_for() {
    let world = World::new();
    let mut client = RealtimeServiceClient::new(world.alice());
    let mut request = tonic::Request::new(frames(vec![Frame::Ping(Ping::default())]));
    request.set_timeout(Duration::from_secs(5));
    let mut answers = client.connect(request).await.expect("a stream").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
    let status = answers.message().await.expect_err("the deadline");
    assert_eq!(Error::from_status(&status).reason(), Reason::DeadlineExceeded);
}
