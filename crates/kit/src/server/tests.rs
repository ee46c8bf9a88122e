//! Real sockets: bounds hold, one client harms no other, and the end is
//! graceful or hard as asked.

#![expect(clippy::disallowed_methods, reason = "calls are made while the server drains")]

use std::{future::Future, time::Duration};

use confab_proto::realtime::v1::{ConnectRequest, realtime_service_client::RealtimeServiceClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};
use tokio_stream::StreamExt as _;
use tonic::{Code, Response};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::{
    channel::Channel,
    config::Gateway,
    error::{Error, Reason},
    identity::Claims,
    layers::Port,
    rates::Budgets,
    telemetry,
    testing::{World, get, refused},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    world: World,
    addresses: Addresses,
    health: Health,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(adjust: impl FnOnce(&mut World)) -> Self {
        let mut world = World::new();
        adjust(&mut world);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            listen: free,
            mesh_listen: free,
            ops_listen: free,
            limits: world.limits.clone(),
            gateway: no_gateway(),
            ..Config::default()
        };
        world.budgets = Budgets::new(&config);
        let server = Server::bind(&config).expect("listens");
        let addresses = server.addresses();
        let health = Health::new(world.lifecycle.clone()).await;
        let routes = health.add_standard_services(world.routes()).expect("routes");
        let services = Services {
            public: world.layered(Port::Public, routes),
            mesh: world.layered(Port::Mesh, world.routes()),
            health: health.clone(),
            gateway: None,
        };
        health.show_jwks(world.key.jwks());
        health.set_ready().await;
        let serving = task::spawn("server", server.serve(services, world.lifecycle.clone()));
        Self { world, addresses, health, serving }
    }

    fn alice(&self) -> Channel {
        let token = self.world.token(Claims::user("acme", "alice"));
        let channel = Channel::tcp(&format!("http://{}", self.addresses.public));
        channel.expect("a channel").with_token(&token)
    }

    async fn ops(&self, path: &str) -> String {
        self.ops_as(path, "localhost").await
    }

    async fn ops_as(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(self.addresses.ops).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    async fn ended(self) {
        soon("the server ends", self.serving).await.expect("no panic");
    }
}

fn no_gateway() -> Gateway {
    Gateway { enabled: false, ..Gateway::default() }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Until the other side closes.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn three_ports_serve_three_worlds() {
    let running = Running::start(|_| {}).await;
    assert_eq!(get(running.alice(), "c").await.expect("an answer"), "acme/alice");
    let mesh = Channel::tcp(&format!("http://{}", running.addresses.mesh)).expect("a channel");
    let error = refused(mesh.clone(), "c").await;
    assert_eq!(error.reason(), Reason::InvalidMeshCredential);
    let proven = mesh.with_mesh_credential(&running.world.credential);
    assert_eq!(refused(proven, "c").await.reason(), Reason::MissingToken);
    assert!(running.ops("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(running.ops("/readyz").await.contains("\"status\":\"healthy\""));
    for page_of_others in ["evil.example", "localhost\r\norigin: http://evil.example"] {
        let answer = running.ops_as("/metrics", page_of_others).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let own = format!("{0}\r\norigin: http://{0}", running.addresses.ops);
    assert!(running.ops_as("/healthz", &own).await.starts_with("HTTP/1.1 200"));
    assert!(running.ops("/metrics").await.contains("confab_connections{port=\"public\"}"));
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn the_dev_keys_public_half_is_shown_to_operators() {
    let running = Running::start(|_| {}).await;
    let answer = running.ops("/.well-known/jwks.json").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert_eq!(body, running.world.key.jwks());
    assert!(!body.contains("\"d\""), "{body}");
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn bad_tokens_from_an_address_end_its_tries_but_not_the_proven() {
    let running = Running::start(|world| {
        world.limits.failed_auth_per_address_per_minute = Some(3);
    })
    .await;
    let uri = format!("http://{}", running.addresses.public);
    let channel = Channel::tcp(&uri).expect("a channel");
    let proven = running.alice();
    assert!(get(proven.clone(), "c").await.is_ok());
    // No token is no try.
    for _ in 0..10 {
        assert_eq!(refused(channel.clone(), "c").await.reason(), Reason::MissingToken);
    }
    for number in 0..3 {
        let error = refused(channel.with_token(&format!("guess-{number}")), "c").await;
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
    let error = refused(channel.with_token("guess"), "c").await;
    assert_eq!(
        (error.reason(), error.metadata("class")),
        (Reason::RateLimited, Some("failed_auth"))
    );
    assert!(error.retry_delay().is_some_and(|delay| delay <= Duration::from_secs(20)));
    // A good one, that nobody has seen yet, is not looked at either.
    let bob = running.world.token(Claims::user("acme", "bob"));
    assert_eq!(refused(channel.with_token(&bob), "c").await.reason(), Reason::RateLimited);
    assert!(get(proven, "c").await.is_ok(), "proven before");
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn connections_of_an_address_are_limited() {
    let running = Running::start(|world| {
        world.limits.connections_per_address = Some(2);
        world.limits.connections_per_address_per_minute = Some(5);
    })
    .await;
    let open = async || TcpStream::connect(running.addresses.public).await.expect("connects");
    let alice = running.alice();
    assert!(get(alice.clone(), "c").await.is_ok());
    let second = open().await;
    soon("the third is closed", closed(&mut open().await)).await;
    assert!(telemetry::render().contains("cause=\"too many from its address\""));
    drop(second);
    // Others may come now, until there were five in a minute.
    soon("too fast", async {
        while !telemetry::render().contains("cause=\"too fast from its address\"") {
            drop(open().await);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(get(alice, "c").await.is_ok(), "those who are here go on");
    let mesh = TcpStream::connect(running.addresses.mesh).await;
    assert!(mesh.is_ok(), "the mesh's port has no such limits");
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let mesh_listen = taken.local_addr().expect("an address");
    let gateway = no_gateway();
    let config =
        Config { listen: free, mesh_listen, ops_listen: free, gateway, ..Config::default() };
    let error = Server::bind(&config).expect_err("taken").to_string();
    assert!(error.contains(&format!("{mesh_listen} (mesh_listen)")), "{error}");
}

#[tokio::test]
async fn devices_that_come_all_at_once_wait_for_their_turn() {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let gateway = no_gateway();
    let config =
        Config { listen: free, mesh_listen: free, ops_listen: free, gateway, ..Config::default() };
    let server = Server::bind(&config).expect("listens");
    let address = server.addresses().public;
    let mut waiting = Vec::new();
    // Nobody accepts. Past the backlog the kernel lets a connect hang.
    for _ in 0..300 {
        let connected = soon("there is room", TcpStream::connect(address)).await;
        waiting.push(connected.expect("connects"));
    }
}

#[tokio::test]
async fn a_ten_megabyte_frame_is_refused_and_harms_no_one() {
    let running = Running::start(|_| {}).await;
    let channel = running.alice();
    let error = refused(channel.clone(), &"x".repeat(10_000_000)).await;
    assert_eq!(
        (error.code(), error.reason()),
        (tonic::Code::ResourceExhausted, Reason::RequestTooLarge)
    );
    assert!(get(channel, "c").await.is_ok());
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn connections_that_prove_nothing_are_closed() {
    let running = Running::start(|world| world.limits.unauthenticated_idle_seconds = 1).await;
    let alice = running.alice();
    assert!(get(alice.clone(), "c").await.is_ok());
    let mut silent = TcpStream::connect(running.addresses.public).await.expect("connects");
    let mut greeted = TcpStream::connect(running.addresses.public).await.expect("connects");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    greeted.write_all(preface).await.expect("written");
    soon("the greeted one is closed", closed(&mut greeted)).await;
    soon("the silent one is closed", closed(&mut silent)).await;
    assert!(get(alice, "c").await.is_ok());
    let text = telemetry::render();
    assert!(
        text.contains("confab_connections_closed_total{port=\"public\",cause=\"nothing proven\"}")
    );
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let running = Running::start(|world| world.limits.max_connections = 50).await;
    let alice = running.alice();
    assert!(get(alice.clone(), "c").await.is_ok());
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(running.addresses.public).await.expect("connects"));
    }
    soon("the first one made room", closed(&mut idle[0])).await;
    assert!(get(alice, "c").await.is_ok(), "who has proven something stays");
    assert!(get(running.alice(), "c").await.is_ok(), "there is room for one more");
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn a_connection_has_few_streams_that_need_no_proof() {
    let running = Running::start(|_| {}).await;
    let channel = || HealthClient::new(running.alice());
    let watch = async |mut client: HealthClient<Channel>| {
        let watch = client.watch(HealthCheckRequest::default()).await;
        watch.map(Response::into_inner).map_err(|status| Error::from_status(&status))
    };
    let (one, other) = (channel(), channel());
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(watch(one.clone()).await.expect("a stream"));
    }
    let error = watch(one.clone()).await.expect_err("one too many");
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, Reason::TooManyStreams));
    assert!(watch(other).await.is_ok(), "others have theirs");
    assert!(get(running.alice(), "c").await.is_ok());
    open.clear();
    soon("places are given back", async {
        while watch(one.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn a_drain_waits_for_open_calls_and_takes_no_more() {
    let running = Running::start(|_| {}).await;
    let channel = running.alice();
    let slow = tokio::spawn(get(channel.clone(), "slow"));
    soon("the call is open", running.world.tiny.entered.notified()).await;
    drop(channel);
    running.world.lifecycle.drain();
    assert!(running.ops("/readyz").await.contains("draining"));
    let address = running.addresses.public;
    soon("the listener is closed", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!running.serving.is_finished());
    running.world.tiny.gate.notify_one();
    assert_eq!(slow.await.expect("no panic").expect("an answer"), "acme/alice");
    assert!(!running.health.readiness().await.status.is_ready());
    running.ended().await;
}

#[tokio::test]
async fn a_stop_drops_what_is_still_open() {
    let running = Running::start(|world| {
        world.lifecycle = Lifecycle::new(Duration::from_millis(100));
    })
    .await;
    let mut client = RealtimeServiceClient::new(running.alice());
    let requests = tokio_stream::once(ConnectRequest::default()).chain(tokio_stream::pending());
    let mut answers = client.connect(requests).await.expect("a stream").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
    running.world.lifecycle.drain();
    let cut = soon("the stream is cut", answers.message()).await.expect_err("cut");
    assert_eq!(Error::from_status(&cut).reason(), Reason::OutcomeUnknown, "{cut:?}");
    running.ended().await;
}

#[tokio::test]
async fn a_deadline_over_tcp_is_a_deadline() {
    let running = Running::start(|_| {}).await;
    let mut client =
        confab_proto::conversations::v1::conversations_service_client::ConversationsServiceClient::new(
            running.alice(),
        );
    let mut request =
        tonic::Request::new(confab_proto::conversations::v1::GetConversationRequest {
            conversation_id: "slow".into(),
        });
    request.set_timeout(Duration::from_millis(50));
    let status = client.get_conversation(request).await.expect_err("too late");
    assert_eq!(Error::from_status(&status).reason(), Reason::DeadlineExceeded, "{status:?}");
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let running = Running::start(|_| {}).await;
    let call = tokio::spawn(get(running.alice(), "slow"));
    let in_flight = "confab_rpc_requests_total{method=\"/confab.conversations.v1.ConversationsService/GetConversation\",code=\"CANCELLED\"";
    soon("the call is open", running.world.tiny.entered.notified()).await;
    call.abort();
    soon("the cancellation is counted", async {
        while !telemetry::render().contains(in_flight) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.world.lifecycle.stop();
    running.ended().await;
}

#[tokio::test]
async fn nonsense_on_the_wire_harms_no_one() {
    let running = Running::start(|_| {}).await;
    for nonsense in [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "\0\0\0\0",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense!",
    ] {
        let mut stream = TcpStream::connect(running.addresses.public).await.expect("connects");
        stream.write_all(nonsense.as_bytes()).await.expect("written");
        if nonsense.len() > 4 {
            soon("nonsense is hung up on", closed(&mut stream)).await;
        }
    }
    assert!(get(running.alice(), "c").await.is_ok());
    running.world.lifecycle.stop();
    running.ended().await;
}
