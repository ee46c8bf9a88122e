//! The endpoint behind the kit's server and layers, over TCP, with the
//! generated client: what only a real connection shows.

use std::time::Duration;

use confab_kit::{
    config::{Config, Gateway},
    error::{Error, Reason},
    health::Health,
    identity::{Claims, Credential, DevKey},
    layers::{Elsewhere, LayerOptions, Port, layered},
    lifecycle::Lifecycle,
    rates::Budgets,
    server::{Server, Services},
    task,
};
use confab_proto::realtime::v1::{
    ConnectRequest, ConnectResponse, Hello, Ping, connect_request, connect_response::Frame,
    realtime_service_client::RealtimeServiceClient,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tonic::{
    Request, Status, Streaming,
    service::Routes,
    transport::{Channel, Endpoint},
};

use crate::support::{Node, World, watching};

/// Real time, for what takes moments.
const PATIENCE: Duration = Duration::from_secs(20);

struct Wire {
    node: Node,
    key: DevKey,
    endpoint: Endpoint,
    lifecycle: Lifecycle,
    serving: JoinHandle<()>,
}

struct Open {
    up: mpsc::UnboundedSender<ConnectRequest>,
    down: Streaming<ConnectResponse>,
}

async fn wire(world: World) -> Wire {
    let any_port = || "127.0.0.1:0".parse().expect("an address");
    let config = Config {
        listen: any_port(),
        mesh_listen: any_port(),
        ops_listen: any_port(),
        gateway: Gateway { enabled: false, ..Gateway::default() },
        ..Config::default()
    };
    let server = Server::bind(&config).expect("binds");
    let endpoint = Endpoint::from_shared(format!("http://{}", server.addresses().public))
        .expect("a uri")
        // One stream that is not read leaves room for others.
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(1 << 20);
    let node = Node::with(world, |_| {});
    let lifecycle = Lifecycle::new(Duration::from_secs(10));
    let key = DevKey::ephemeral().expect("a key");
    let options = LayerOptions {
        verifier: key.verifier().expect("a verifier"),
        revocations: node.revocations.clone(),
        credential: Credential::generate(),
        limits: config.limits.clone(),
        budgets: Budgets::new(&config),
        lifecycle: lifecycle.clone(),
        elsewhere: Elsewhere::default(),
    };
    let routes = Routes::new(node.server.clone());
    let services = Services {
        public: layered(Port::Public, options.clone(), routes.clone()),
        mesh: layered(Port::Mesh, options, routes),
        gateway: None,
        health: Health::new(lifecycle.clone()).await,
    };
    let serving = task::spawn("server", server.serve(services, lifecycle.clone()));
    Wire { node, key, endpoint, lifecycle, serving }
}

impl Wire {
    async fn channel(&self) -> Channel {
        self.endpoint.connect().await.expect("connects")
    }

    async fn open(&self, channel: &Channel, user: &str, hello: Hello) -> Open {
        let token = self.key.sign(Claims::user("acme", user));
        self.node.world.lock().tokens.insert(token.clone(), user.to_owned());
        let (up, mut frames) = mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |context| frames.poll_recv(context));
        let mut request = Request::new(frames);
        let bearer = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", bearer);
        let mut client = RealtimeServiceClient::new(channel.clone());
        let connected = timeout(PATIENCE, client.connect(request)).await.expect("in time");
        let open = Open { up, down: connected.expect("connects").into_inner() };
        open.send(connect_request::Frame::Hello(hello));
        open
    }
}

impl Open {
    fn send(&self, frame: connect_request::Frame) {
        self.up.send(ConnectRequest { frame: Some(frame) }).expect("open");
    }

    async fn next(&mut self) -> Result<Frame, Status> {
        let message = timeout(PATIENCE, self.down.message()).await.expect("in time")?;
        Ok(message.and_then(|response| response.frame).expect("a frame before the status"))
    }

    async fn event(&mut self) -> u64 {
        loop {
            if let Frame::Event(event) = self.next().await.expect("open") {
                return event.seq;
            }
        }
    }

    /// Reads on to the status.
    async fn end(&mut self) -> (Option<Reason>, Reason) {
        let mut goodbye = None;
        loop {
            match self.next().await {
                Ok(Frame::Goodbye(said)) => {
                    let failure = said.failure.expect("a failure");
                    goodbye = Some(Error::from_failure(&failure).reason());
                }
                Ok(_) => {}
                Err(status) => return (goodbye, Error::from_status(&status).reason()),
            }
        }
    }
}

#[tokio::test]
async fn a_generated_client_chats_and_is_drained() {
    let world = World::default();
    world.join(1, "alice");
    let wire = wire(world.clone()).await;
    let channel = wire.channel().await;
    let mut open = wire.open(&channel, "alice", watching(&[(1, 0)])).await;
    assert!(matches!(open.next().await, Ok(Frame::Welcome(_))));
    assert_eq!(open.event().await, 1);
    assert!(matches!(open.next().await, Ok(Frame::Synced(_))));
    world.say(1, "hi");
    assert_eq!(open.event().await, 2);
    open.send(connect_request::Frame::Ping(Ping {}));
    assert!(matches!(open.next().await, Ok(Frame::Heartbeat(_))));
    wire.node.draining.cancel();
    wire.lifecycle.drain();
    assert_eq!(open.end().await, (Some(Reason::Draining), Reason::Draining));
    drop((open, channel));
    timeout(PATIENCE, wire.serving).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn a_slow_reader_does_not_stop_others_on_its_connection() {
    let world = World::default();
    world.join(1, "alice");
    world.join(1, "bob");
    let wire = wire(world.clone()).await;
    let channel = wire.channel().await;
    let mut slow = wire.open(&channel, "alice", watching(&[(1, 2)])).await;
    let mut fast = wire.open(&channel, "bob", watching(&[(1, 2)])).await;
    for open in [&mut slow, &mut fast] {
        let mut synced = 0;
        while synced < 2 {
            synced += usize::from(matches!(open.next().await, Ok(Frame::Synced(_))));
        }
    }
    let text = "x".repeat(10_000);
    for _ in 0..400 {
        let seq = world.say(1, &text);
        assert_eq!(fast.event().await, seq);
    }
    let (_, status) = slow.end().await;
    assert_eq!(status, Reason::SlowConsumer);
    world.say(1, "on we go");
    assert_eq!(fast.event().await, 403);
}

#[tokio::test]
async fn a_frame_of_10_mb_is_refused_and_harms_nobody() {
    let world = World::default();
    world.join(1, "alice");
    let wire = wire(world.clone()).await;
    let channel = wire.channel().await;
    let mut other = wire.open(&channel, "alice", watching(&[(1, 1)])).await;
    let huge = Hello { session_id: "x".repeat(10 << 20), ..Hello::default() };
    let mut open = wire.open(&channel, "alice", huge).await;
    let (goodbye, status) = open.end().await;
    assert_eq!((goodbye, status), (Some(Reason::RequestTooLarge), Reason::RequestTooLarge));
    let mut late = other.next().await;
    while !matches!(late, Ok(Frame::Synced(ref synced)) if !synced.conversation_id.is_empty()) {
        late = other.next().await;
    }
    world.say(1, "hi");
    assert_eq!(other.event().await, 2);
}
