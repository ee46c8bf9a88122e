//! Peers over real sockets: processes of the test's own, which come, go, fall silent
//! and do not fit.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use confab_proto::messages::v1::{
    AppendRequest, AppendResponse, HeadsRequest, HeadsResponse, ObserveRequest, ObserveResponse,
    log_service_client::LogServiceClient,
    log_service_server::{LogService, LogServiceServer},
};
use futures_util::future::join_all;
use tonic::service::Routes;

use super::*;
use crate::{
    config::{Config, Gateway},
    health::Health,
    layers::Port,
    lifecycle::Lifecycle,
    mesh_tls::{TlsFiles, tests::Authority},
    server::{Server, Services},
    telemetry,
    testing::World,
};

/// Answers with its own number, after doing what the user's name says.
#[derive(Clone, Default)]
struct Numbered {
    number: u64,
    asked: Arc<AtomicU32>,
}

#[tonic::async_trait]
impl LogService for Numbered {
    async fn append(
        &self,
        _: tonic::Request<AppendRequest>,
    ) -> Result<tonic::Response<AppendResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn observe(
        &self,
        request: tonic::Request<ObserveRequest>,
    ) -> Result<tonic::Response<ObserveResponse>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if request.get_ref().user_id == "silent" {
            std::future::pending::<()>().await;
        }
        Ok(tonic::Response::new(ObserveResponse { as_of_seq: self.number, ..Default::default() }))
    }

    async fn heads(
        &self,
        _: tonic::Request<HeadsRequest>,
    ) -> Result<tonic::Response<HeadsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A process that serves the log.
struct Process {
    address: SocketAddr,
    service: Numbered,
    lifecycle: Lifecycle,
    serving: tokio::task::JoinHandle<()>,
}

impl Process {
    async fn start(world: &World, number: u64, greeting: &Greeting) -> Self {
        Self::start_at(world, number, greeting, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn start_at(world: &World, number: u64, greeting: &Greeting, at: SocketAddr) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let gateway = Gateway { enabled: false, ..Gateway::default() };
        let config = Config {
            listen: free,
            mesh_listen: at,
            ops_listen: free,
            gateway,
            ..Config::default()
        };
        let server = Server::bind(&config).expect("listens").with_mesh_tls(world.mesh_tls.clone());
        let address = server.addresses().mesh;
        let service = Numbered { number, asked: Arc::default() };
        let routes = Routes::new(LogServiceServer::new(service.clone()));
        let routes = routes.add_service(greeting.service());
        let lifecycle = Lifecycle::new(Duration::from_secs(5));
        let services = Services {
            public: world.layered(Port::Public, Routes::default()),
            mesh: world.layered(Port::Mesh, routes),
            health: Health::new(lifecycle.clone()).await,
            gateway: None,
        };
        let serving = task::spawn("server", server.serve(services, lifecycle.clone()));
        Self { address, service, lifecycle, serving }
    }

    /// Stops it, and waits until nothing of it is left.
    async fn end(mut self) {
        self.lifecycle.stop();
        (&mut self.serving).await.expect("no panic");
    }

    fn asked(&self) -> u32 {
        self.service.asked.load(Ordering::Relaxed)
    }

    fn uri(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

fn greeting(store: &str) -> Greeting {
    let roles: BTreeSet<Role> = [Role::Messages].into();
    Greeting::new(roles, [1; 16], vec![[1; 16]], store.to_owned())
}

fn peers(world: &World, uris: Vec<String>) -> Peers {
    Peers::new(options(world, uris))
}

fn options(world: &World, uris: Vec<String>) -> PeersOptions {
    let own = Greeting::new(BTreeSet::new(), [1; 16], vec![[1; 16]], "none".to_owned());
    PeersOptions {
        role: Role::Messages,
        uris,
        credential: world.credential.clone(),
        tls: world.mesh_tls.clone(),
        greeting: own,
        own: None,
        ear: None,
        resolve_every: Duration::from_secs(10),
        breaker_failures: 5,
        breaker_open: Duration::from_mins(1),
    }
}

async fn observe(peers: &Peers, conversation: &str, user: &str) -> Result<u64, Error> {
    let request = ObserveRequest {
        tenant_id: "t".to_owned(),
        conversation_id: conversation.to_owned(),
        user_id: user.to_owned(),
        application: false,
    };
    let mut request = tonic::Request::new(request);
    if user == "silent" {
        request.set_timeout(Duration::from_millis(1100));
    }
    let answer = LogServiceClient::new(peers.channel()).observe(request).await;
    let answer = answer.map_err(|status| Error::from_status(&status))?;
    Ok(answer.into_inner().as_of_seq)
}

/// Waits for all of them, not only for the first.
async fn all_ready(peers: &Peers, count: usize) {
    let mut changed = peers.shared.changed.subscribe();
    let ready = || {
        let endpoints = peers.shared.endpoints();
        endpoints.iter().filter(|one| matches!(one.standing(), Standing::Ready(_))).count()
    };
    while ready() < count {
        let waited = tokio::time::timeout(Duration::from_secs(20), changed.changed()).await;
        waited.expect("they find each other in time").expect("there are peers");
    }
}

#[tokio::test]
async fn a_conversation_stays_at_its_peer_and_moves_only_when_that_goes() {
    let world = World::new();
    let mut processes = Vec::new();
    for number in 0..3 {
        processes.push(Process::start(&world, number, &greeting("one")).await);
    }
    let uris: Vec<String> = processes.iter().map(Process::uri).collect();
    let here = peers(&world, uris.clone());
    let there = peers(&world, uris.into_iter().rev().collect());
    all_ready(&here, 3).await;
    all_ready(&there, 3).await;
    let mut homes = Vec::new();
    for number in 0..60 {
        let conversation = format!("conversation {number}");
        let home = observe(&here, &conversation, "alice").await.expect("an answer");
        for peers in [&here, &there] {
            let again = observe(peers, &conversation, "alice").await.expect("an answer");
            assert_eq!(again, home, "every process finds the same peer for {conversation}");
        }
        homes.push((conversation, home));
    }
    for process in &processes {
        assert!(process.asked() > 0, "each peer has its share");
    }
    drop(processes.pop());
    for (conversation, home) in homes {
        let now = observe(&here, &conversation, "alice").await.expect("another one answers");
        assert!(now == home || home == 2, "{conversation} went from {home} to {now}");
        assert_ne!(now, 2);
    }
}

#[tokio::test]
async fn a_process_among_its_own_peers_reaches_itself_within() {
    let world = World::new();
    let own = greeting("one");
    let process = Process::start(&world, 1, &own).await;
    let (channel, half) = Channel::in_process();
    let within = Numbered { number: 7, asked: Arc::default() };
    half.serve(Routes::new(LogServiceServer::new(within)).prepare());
    let peers = Peers::new(PeersOptions {
        greeting: own,
        own: Some(channel),
        ..options(&world, vec![process.uri()])
    });
    all_ready(&peers, 1).await;
    let changes = *peers.shared.changed.borrow();
    for _ in 0..50 {
        assert_eq!(observe(&peers, "c", "alice").await, Ok(7));
    }
    assert_eq!(*peers.shared.changed.borrow(), changes, "it is found once, not again and again");
    assert_eq!(process.asked(), 0);
}

#[tokio::test]
async fn a_process_that_was_away_is_found_again() {
    let world = World::new();
    let first = Process::start(&world, 1, &greeting("one")).await;
    let address = first.address;
    let peers = peers(&world, vec![first.uri()]);
    assert_eq!(observe(&peers, "c", "alice").await, Ok(1));
    first.end().await;
    let second = Process::start_at(&world, 2, &greeting("one"), address).await;
    let answer = loop {
        match observe(&peers, "c", "alice").await {
            Err(error) if error.code() == tonic::Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => break other,
        }
    };
    assert_eq!(answer, Ok(2));
    assert_eq!(second.asked(), 1);
}

#[tokio::test]
async fn a_call_that_was_never_sent_says_so_and_does_not_wait_for_ever() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let peers = peers(&world, vec![uri]);
    let refused = observe(&peers, "c", "alice").await.expect_err("nobody is there");
    assert_eq!(refused.reason(), Reason::PeerUnavailable);
    assert!(refused.retry_delay().is_some());
    assert_eq!(refused.metadata("role"), Some("messages"));
    assert!(peers.reachable().is_err() && peers.fitting().is_ok());
}

#[tokio::test]
async fn a_silent_peer_is_left_alone_and_then_asked_again() {
    let world = World::new();
    let process = Process::start(&world, 1, &greeting("one")).await;
    let peers = peers(&world, vec![process.uri()]);
    all_ready(&peers, 1).await;
    for late in join_all((0..5).map(|_| observe(&peers, "c", "silent"))).await {
        assert_eq!(late.expect_err("it says nothing").reason(), Reason::DeadlineExceeded);
    }
    let asked = process.asked();
    let refused = observe(&peers, "c", "alice").await.expect_err("left alone");
    assert_eq!(refused.reason(), Reason::PeerUnavailable);
    assert_eq!(process.asked(), asked, "nothing is sent while the breaker is open");
    assert!(telemetry::render().contains("confab_peer_breaker_opened_total{role=\"messages\"}"));
    all_ready(&peers, 1).await;
    assert_eq!(observe(&peers, "c", "alice").await, Ok(1));
}

#[tokio::test]
async fn one_answer_shows_that_the_others_are_only_slow() {
    let world = World::new();
    let process = Process::start(&world, 1, &greeting("one")).await;
    let peers = peers(&world, vec![process.uri()]);
    all_ready(&peers, 1).await;
    let slow = join_all((0..6).map(|_| observe(&peers, "c", "silent")));
    let (slow, quick) = tokio::join!(slow, observe(&peers, "c", "alice"));
    assert_eq!(quick, Ok(1));
    for late in slow {
        assert_eq!(late.expect_err("too late").reason(), Reason::DeadlineExceeded);
    }
    assert!(peers.reachable().is_ok());
}

#[tokio::test]
async fn peers_that_do_not_fit_are_not_used() {
    let world = World::new();
    let other_key = Greeting::new([Role::Messages].into(), [2; 16], vec![[1; 16]], "one".into());
    let process = Process::start(&world, 1, &other_key).await;
    let with_other_key = peers(&world, vec![process.uri()]);
    let said = unfit(&with_other_key).await;
    assert!(said.contains("digest_key"), "{said}");
    let refused = observe(&with_other_key, "c", "alice").await.expect_err("not used");
    assert_eq!(refused.reason(), Reason::PeerUnavailable);
    assert_eq!(process.asked(), 0);

    let stranger = World::new();
    let process = Process::start(&stranger, 1, &greeting("one")).await;
    let said = unfit(&peers(&world, vec![process.uri()])).await;
    assert!(said.contains("mesh credential"), "{said}");
}

#[tokio::test]
async fn one_role_has_one_store() {
    let world = World::new();
    let one = Process::start(&world, 1, &greeting("one")).await;
    let two = Process::start(&world, 2, &greeting("two")).await;
    let peers = peers(&world, vec![one.uri(), two.uri()]);
    let mut changed = peers.shared.changed.subscribe();
    let is_unfit = |one: &Arc<Endpoint>| matches!(one.standing(), Standing::Unfit(_));
    while !peers.shared.endpoints().iter().any(is_unfit) {
        changed.changed().await.expect("there are peers");
    }
    let first = observe(&peers, "c", "alice").await.expect("the first one is used");
    for number in 0..20 {
        let conversation = format!("conversation {number}");
        assert_eq!(observe(&peers, &conversation, "alice").await, Ok(first));
    }
}

/// Waits until the only peer is found unfit; why.
async fn unfit(peers: &Peers) -> String {
    let mut changed = peers.shared.changed.subscribe();
    loop {
        if let Err(why) = peers.fitting() {
            return why;
        }
        changed.changed().await.expect("there are peers");
    }
}

/// Two processes, and what they have of TLS.
async fn meets(server: Option<MeshTls>, client: Option<MeshTls>) -> bool {
    let mut world = World::new();
    world.mesh_tls = server;
    let process = Process::start(&world, 1, &greeting("one")).await;
    world.mesh_tls = client;
    let peers = peers(&world, vec![process.uri()]);
    observe(&peers, "c", "alice").await.is_ok()
}

#[tokio::test]
async fn with_tls_both_sides_must_show_a_certificate_of_the_authority() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let one = || Some(ours.tls("one", "127.0.0.1"));
    let stranger = || Some(theirs.tls("stranger", "127.0.0.1"));
    assert!(meets(one(), Some(ours.tls("two", "elsewhere"))).await, "whom it asks proves its name");
    let (refused, plain, unready, misnamed) = tokio::join!(
        meets(one(), stranger()),
        meets(one(), None),
        meets(None, one()),
        meets(Some(ours.tls("three", "elsewhere")), one()),
    );
    assert!(!refused, "another authority");
    assert!(!plain && !unready, "one of them speaks no TLS");
    assert!(!misnamed, "a certificate for another host");
    let named = TlsFiles { name: Some("confab".to_owned()), ..ours.files("four", "confab") };
    let named = MeshTls::load(&named).expect("loads");
    assert!(meets(Some(named.clone()), Some(named)).await, "one name for all");
}

#[tokio::test]
async fn a_command_asks_a_process_that_speaks_tls() {
    let authority = Authority::new();
    let mut world = World::new();
    world.mesh_tls = Some(authority.tls("one", "127.0.0.1"));
    let process = Process::start(&world, 7, &greeting("one")).await;
    let ask = async |tls| {
        let channel = direct(process.address, &world.credential, tls);
        let request = ObserveRequest { user_id: "alice".to_owned(), ..Default::default() };
        LogServiceClient::new(channel).observe(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(ask(world.mesh_tls.clone()).await.expect("an answer").as_of_seq, 7);
    assert!(ask(None).await.is_err());
}
