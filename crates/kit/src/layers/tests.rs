//! Every refusal leaves in the one shape, whoever made it.

mod budgets;
mod deadlines;

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use confab_log::ids::{TenantId, UserId};
use confab_proto::{
    conversations::v1::{
        LoadRowRequest, conversation_rows_service_client::ConversationRowsServiceClient,
    },
    realtime::v1::{
        Ack, ConnectRequest, Ping, connect_request::Frame,
        realtime_service_client::RealtimeServiceClient,
    },
};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::*;
use crate::{
    channel::Channel,
    clock,
    config::{Config, Rate},
    identity::{Claims, Revocation, RevokedTokens},
    telemetry,
    testing::{World, get, refused},
};

const GET: &str = "/confab.conversations.v1.ConversationsService/GetConversation";

/// Sends raw bytes; the answer is the refusal.
async fn raw(channel: Channel, path: &str, body: Bytes) -> Error {
    raw_body(channel, path, Body::new(Full::new(body))).await
}

async fn raw_body(channel: Channel, path: &str, body: Body) -> Error {
    let request = Request::post(path)
        .header("content-type", "application/grpc")
        .body(body)
        .expect("a request");
    let response = channel.oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.expect("a body");
    let status = Status::from_header_map(&parts.headers)
        .or_else(|| Status::from_header_map(collected.trailers().expect("trailers")))
        .expect("a status");
    assert!(crate::error::names_reason(&status), "no reason in {status:?}");
    Error::from_status(&status)
}

/// A request of which half has come when it breaks off, for this reason.
fn broken_off(status: Status) -> Body {
    let half = http_body::Frame::data(Bytes::from_static(b"\0\0\0\0\x20abc"));
    Body::new(StreamBody::new(tokio_stream::iter([Ok(half), Err(status)])))
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).expect("short"));
    bytes.put_slice(message);
    bytes.freeze()
}

fn frames(frames: Vec<Frame>) -> impl tokio_stream::Stream<Item = ConnectRequest> {
    let frames = frames.into_iter().map(|frame| ConnectRequest { frame: Some(frame) });
    tokio_stream::iter(frames).chain(tokio_stream::pending())
}

#[tokio::test]
async fn a_call_is_held_once() {
    let world = World::new();
    let layered = world.layered(Port::Public, world.routes());
    let request = Request::post(GET).body(Body::empty()).expect("a request");
    // It is allocated and moved for every call.
    let bytes = size_of_val(&layered.answer(request));
    assert!(bytes < 4096, "{bytes} bytes");
}

#[tokio::test]
async fn a_user_gets_through_and_is_known() {
    let world = World::new();
    assert_eq!(get(world.alice(), "c").await.expect("an answer"), "acme/alice");
}

#[tokio::test]
async fn a_revoked_token_is_refused_although_it_is_remembered() {
    let world = World::new();
    let claims = Claims::user("acme", "alice");
    let session = claims.session_id.clone().expect("a session");
    let alice = world.channel(Port::Public).with_token(&world.token(claims));
    get(alice.clone(), "c").await.expect("an answer");
    world.revocations.note(&Revocation {
        tenant: TenantId::parse("acme").expect("a tenant"),
        user: UserId::parse("alice").expect("a user"),
        tokens: RevokedTokens::OfSession(session.into()),
        until: clock::now_seconds() + 100,
    });
    assert_eq!(refused(alice, "c").await.reason(), Reason::SessionRevoked);
    let text = telemetry::render();
    assert!(text.contains("confab_auth_outcomes_total{reason=\"SESSION_REVOKED\"}"));
    get(world.alice(), "c").await.expect("another login of hers goes on");
}

#[tokio::test]
async fn who_proves_nothing_is_refused() {
    let world = World::new();
    let bare = world.channel(Port::Public);
    assert_eq!(refused(bare.clone(), "c").await.reason(), Reason::MissingToken);
    let nonsense = bare.with_token("nonsense");
    assert_eq!(refused(nonsense, "c").await.reason(), Reason::InvalidToken);
    let now = clock::now_seconds();
    let expired = Claims { exp: now - 100, ..Claims::user("acme", "alice") };
    let expired = bare.with_token(&world.token(expired));
    assert_eq!(refused(expired, "c").await.reason(), Reason::TokenExpired);
    let foreign = Claims { aud: "other".into(), ..Claims::user("acme", "alice") };
    let foreign = bare.with_token(&world.token(foreign));
    assert_eq!(refused(foreign, "c").await.reason(), Reason::WrongAudience);
    let text = telemetry::render();
    for reason in ["MISSING_TOKEN", "INVALID_TOKEN", "TOKEN_EXPIRED", "WRONG_AUDIENCE"] {
        assert!(text.contains(&format!("confab_auth_outcomes_total{{reason=\"{reason}\"}}")));
    }
}

#[tokio::test]
async fn other_kinds_of_caller_are_refused() {
    let world = World::new();
    let bare = world.channel(Port::Public);
    let admin = Claims::tenant_admin("acme", "root");
    let error = refused(bare.with_token(&world.token(admin)), "c").await;
    assert_eq!(error.reason(), Reason::CallerNotAllowed);
    let application = bare.with_token(&world.token(Claims::application("acme", "bot")));
    assert_eq!(get(application, "c").await.expect("an answer"), "acme/bot");
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let world = World::new();
    let token = format!("Bearer {}", world.token(Claims::user("acme", "alice")));
    let request = Request::post(GET)
        .header("content-type", "application/grpc")
        .header("authorization", &token)
        .header("authorization", &token)
        .body(Body::empty())
        .expect("a request");
    let response = world.channel(Port::Public).oneshot(request).await.expect("an answer");
    let status = Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(Error::from_status(&status).reason(), Reason::InvalidToken);
}

#[tokio::test]
async fn what_is_not_grpc_is_told_so_in_both_languages() {
    let world = World::new();
    for content_type in ["", "application/json", "application/grpc+json", "application/grpcx"] {
        let request = Request::post(GET).header("content-type", content_type);
        let request = request.body(Body::empty()).expect("a request");
        let response = world.layered(Port::Public, world.routes()).oneshot(request).await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        let status = Status::from_header_map(response.headers()).expect("a status");
        assert_eq!(Error::from_status(&status).reason(), Reason::MalformedRequest);
    }
}

#[tokio::test]
async fn mesh_methods_need_the_mesh_port_and_credential() {
    let world = World::new();
    let outcome = async |channel: Channel| {
        let mut client = ConversationRowsServiceClient::new(channel);
        let answer = client.load_row(LoadRowRequest::default()).await;
        answer.map(drop).map_err(|status| Error::from_status(&status).reason())
    };
    let (public, mesh) = (world.channel(Port::Public), world.channel(Port::Mesh));
    let other = Credential::generate();
    assert_eq!(outcome(mesh.with_mesh_credential(&world.credential)).await, Ok(()));
    assert_eq!(outcome(mesh.clone()).await, Err(Reason::InvalidMeshCredential));
    assert_eq!(
        outcome(mesh.with_mesh_credential(&other)).await,
        Err(Reason::InvalidMeshCredential)
    );
    let alice = world.token(Claims::user("acme", "alice"));
    assert_eq!(outcome(mesh.with_token(&alice)).await, Err(Reason::InvalidMeshCredential));
    assert_eq!(
        outcome(public.with_mesh_credential(&world.credential)).await,
        Err(Reason::UnknownMethod)
    );
    assert_eq!(outcome(world.alice()).await, Err(Reason::UnknownMethod));
}

#[tokio::test]
async fn the_mesh_port_needs_both_proofs_for_users_methods() {
    let world = World::new();
    let mesh = world.channel(Port::Mesh).with_token(&world.token(Claims::user("acme", "alice")));
    assert_eq!(refused(mesh.clone(), "c").await.reason(), Reason::InvalidMeshCredential);
    assert!(get(mesh.with_mesh_credential(&world.credential), "c").await.is_ok());
}

#[tokio::test]
async fn unknown_paths_are_unknown_methods() {
    let world = World::new();
    for path in ["/", "/nonsense", "/confab.messages.v1.MessagesService/Nonsense"] {
        let error = raw(world.alice(), path, Bytes::new()).await;
        assert_eq!((error.code(), error.reason()), (Code::Unimplemented, Reason::UnknownMethod));
    }
    // In the contract, but not served here.
    let path = "/confab.messages.v1.MessagesService/SendMessage";
    let error = raw(world.alice(), path, framed(b"")).await;
    assert_eq!(error.reason(), Reason::UnknownMethod);
}

#[tokio::test]
async fn malformed_requests_say_so() {
    let world = World::new();
    let invalid_utf8 = framed(b"\x0a\x02\xff\xff");
    let cut_off = framed(b"\x0a\x7f");
    let no_message = Bytes::new();
    let half_a_frame = Bytes::from_static(b"\0\0\0\0\x09abc");
    let flagged = Bytes::from_static(b"\x01\0\0\0\0");
    let strange_flag = Bytes::from_static(b"\x07\0\0\0\0");
    for body in [invalid_utf8, cut_off, no_message, half_a_frame, flagged, strange_flag] {
        let error = raw(world.alice(), GET, body.clone()).await;
        assert_eq!(error.code(), Code::InvalidArgument, "{body:?}: {error}");
        assert_eq!(error.reason(), Reason::MalformedRequest, "{body:?}: {error}");
    }
}

#[tokio::test]
async fn oversize_requests_are_refused_by_their_length_alone() {
    let world = World::new();
    let error = raw(world.alice(), GET, Bytes::from_static(b"\0\x7f\xff\xff\xff")).await;
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert_eq!(error.reason(), Reason::RequestTooLarge);
    assert_eq!(error.metadata("limit_bytes"), Some("1000"));
    assert_eq!(refused(world.alice(), &"x".repeat(1000)).await.reason(), Reason::RequestTooLarge);
    assert!(get(world.alice(), &"x".repeat(900)).await.is_ok());
}

#[tokio::test]
async fn compression_that_nobody_offered_is_malformed() {
    let world = World::new();
    let request = Request::post(GET)
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "gzip")
        .header("authorization", format!("Bearer {}", world.token(Claims::user("acme", "alice"))))
        .body(Body::new(Full::new(framed(b""))))
        .expect("a request");
    let response = world.channel(Port::Public).oneshot(request).await.expect("an answer");
    let status = Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(Error::from_status(&status).reason(), Reason::MalformedRequest);
}

#[tokio::test]
async fn faults_of_ours_show_a_trace_id_and_nothing_else() {
    let world = World::new();
    for how in ["panic", "internal", "unknown"] {
        let error = refused(world.alice(), how).await;
        assert_eq!((error.code(), error.reason()), (Code::Internal, Reason::Internal));
        assert!(!format!("{error:?}").contains("1234"), "{error:?}");
        assert_eq!(error.metadata("trace_id").map(str::len), Some(32));
    }
    assert!(get(world.alice(), "c").await.is_ok());
}

#[tokio::test]
async fn the_callers_trace_is_kept() {
    let world = World::new();
    let trace = crate::trace::TraceId::generate();
    let error = trace.scope(refused(world.alice(), "panic")).await;
    assert_eq!(error.metadata("trace_id"), Some(trace.to_string().as_str()));
}

#[tokio::test]
async fn a_handlers_reason_passes_unchanged() {
    let world = World::new();
    let error = refused(world.alice(), "muted").await;
    assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, Reason::Muted));
    assert_eq!(error.metadata("until"), Some("7"));
}

#[tokio::test]
async fn errors_inside_streams_are_shaped_too() {
    let world = World::new();
    let mut client = RealtimeServiceClient::new(world.alice());
    let requests = frames(vec![Frame::Ack(Ack::default())]);
    let mut answers = client.connect(requests).await.expect("a stream").into_inner();
    let error = Error::from_status(&answers.message().await.expect_err("a panic"));
    assert_eq!(error.reason(), Reason::Internal);
    assert!(!format!("{error:?}").contains("1234"));
    let path = "/confab.realtime.v1.RealtimeService/Connect";
    let error = raw(world.alice(), path, framed(b"\xff\xff")).await;
    assert_eq!(error.reason(), Reason::MalformedRequest);
    let error = raw(world.alice(), path, framed(&[0; 1001])).await;
    assert_eq!(error.reason(), Reason::RequestTooLarge);
}

#[tokio::test]
async fn a_request_that_breaks_off_is_the_callers_doing() {
    let world = World::new();
    let health = "/grpc.health.v1.Health/Check";
    let h2 = || Status::internal("h2 protocol error: error reading a body from connection");
    let health_routes = crate::health::Health::new(world.lifecycle.clone()).await;
    let routes = health_routes.add_standard_services(world.routes()).expect("routes");
    let (public, half) = Channel::in_process();
    half.serve(world.layered(Port::Public, routes));
    for (channel, path) in [(world.alice(), GET), (public, health)] {
        let error = raw_body(channel.clone(), path, broken_off(h2())).await;
        assert_eq!((error.code(), error.reason()), (Code::Cancelled, Reason::Cancelled), "{path}");
        // What a layer has refused stays as it is.
        let refusal = Error::new(Reason::DeadlineExceeded, "late");
        let error = raw_body(channel, path, broken_off(refusal.into())).await;
        assert_eq!(error.reason(), Reason::DeadlineExceeded, "{path}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_outcome() {
    let world = World::new();
    let _ = get(world.alice(), "muted").await;
    let _ = get(world.alice(), "c").await;
    drop(raw(world.alice(), "/made/up", Bytes::new()).await);
    let text = telemetry::render();
    let muted = format!(
        "confab_rpc_requests_total{{method=\"{GET}\",code=\"PERMISSION_DENIED\",reason=\"MUTED\"}}"
    );
    assert!(text.contains(&muted), "{text}");
    assert!(text.contains(&format!("{{method=\"{GET}\",code=\"OK\",reason=\"\"}}")));
    assert!(text.contains(&format!("confab_rpc_duration_seconds_count{{method=\"{GET}\"}}")));
    assert!(text.contains("method=\"unknown\",code=\"UNIMPLEMENTED\""));
    assert!(!text.contains("/made/up"));
}

#[tokio::test]
async fn proofs_are_timed_by_whether_they_are_remembered() {
    let world = World::new();
    let alice = world.alice();
    for _ in 0..2 {
        assert!(get(alice.clone(), "c").await.is_ok());
    }
    let text = telemetry::render();
    for cached in ["true", "false"] {
        assert!(text.contains(&format!("confab_auth_seconds_count{{cached=\"{cached}\"}}")));
    }
}

/// The switches that the promises' tests rely on do what they say.
#[cfg(feature = "mutants")]
mod mutants {
    use confab_log::mutant;

    use super::*;

    #[tokio::test]
    async fn policy_skip_caller_kind_lets_applications_in() {
        let world = World::new();
        let bot = world.token(Claims::application("acme", "bot"));
        mutant::set(Some("policy-skip-caller-kind"));
        assert!(get(world.channel(Port::Public).with_token(&bot), "c").await.is_ok());
    }

    #[tokio::test]
    async fn tenant_from_header_believes_the_header() {
        let world = World::new();
        let ask = async || {
            let token = world.token(Claims::user("acme", "alice"));
            let request = Request::post(GET)
                .header("content-type", "application/grpc")
                .header("authorization", format!("Bearer {token}"))
                .header("x-tenant", "other")
                .body(Body::new(Full::new(framed(b""))))
                .expect("a request");
            let response = world.channel(Port::Public).oneshot(request).await.expect("an answer");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            String::from_utf8_lossy(&body).into_owned()
        };
        assert!(ask().await.contains("acme/alice"));
        mutant::set(Some("tenant-from-header"));
        assert!(ask().await.contains("other/alice"));
    }
}
