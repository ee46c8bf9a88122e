//! A node: the service over the fakes.

use std::sync::Arc;

use confab_kit::{
    admission::Admission,
    channel::Channel,
    clock,
    error::Error,
    identity::{Caller, CallerKind, Claims, DevKey, Revocations},
    page_token::Sealer,
};
use confab_log::UserId;
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    method::RpcRequest,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
    realtime::v1::{
        EndSessionRequest, EndSessionResponse, Hello, ListSessionsRequest, ListSessionsResponse,
        RevokeUserRequest, RevokeUserResponse, SendTypingRequest, SendTypingResponse, Session,
        SetPresenceRequest, SetPresenceResponse, TypingState,
    },
};
use confab_realtime::{Limits, Options, RealtimeServer, Service};
use tokio_util::sync::CancellationToken;

use super::{
    Client, MemoryLastSeen, MemoryRedis, MemoryRevocations, MemoryRooms, MemorySessions, Way,
    World, client::unary, id, router::Router, world::tenant,
};

/// What a node's stores hold, for a node beside it or after it.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) sessions: MemorySessions,
    pub(crate) revoked: MemoryRevocations,
    pub(crate) last_seen: MemoryLastSeen,
    /// What it shares with other processes at the same time.
    pub(crate) redis: Option<MemoryRedis>,
}

/// See the module.
pub(crate) struct Node {
    pub(crate) world: World,
    pub(crate) disk: Disk,
    pub(crate) draining: CancellationToken,
    pub(crate) server: RealtimeServer,
    pub(crate) service: Service,
    pub(crate) revocations: Revocations,
    pub(crate) rooms: Option<MemoryRooms>,
    /// Signs tokens that a stream accepts.
    pub(crate) key: DevKey,
    way: Way,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(World::default(), |_| {})
    }

    pub(crate) fn with(world: World, limit: impl FnOnce(&mut Limits)) -> Self {
        Self::over(world, &Disk::default(), limit)
    }

    /// A node beside or after another one.
    pub(crate) fn over(world: World, disk: &Disk, limit: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        limit(&mut limits);
        let (public, half) = Channel::in_process();
        half.serve(Router(world.clone()));
        let draining = CancellationToken::new();
        let key = DevKey::ephemeral().expect("a key");
        let revocations = Revocations::new(86_400, 60);
        let rooms = disk.redis.as_ref().map(MemoryRedis::process);
        let service = Service::new(Options {
            log: LogServiceClient::new(public.clone()),
            members: MemberRowsServiceClient::new(public.clone()),
            reads: public.clone(),
            admission: Admission::new(LogServiceClient::new(public.clone())),
            public,
            bus: world.bus.clone(),
            sealer: Sealer::new([7; 32]),
            verifier: key.verifier().expect("a verifier"),
            revocations: revocations.clone(),
            sessions: Arc::new(disk.sessions.clone()),
            revoked: Arc::new(disk.revoked.clone()),
            last_seen: Arc::new(disk.last_seen.clone()),
            rooms: rooms.clone().map(|rooms| Arc::new(rooms) as _),
            limits,
            draining: draining.clone(),
        });
        let (server, disk) = (service.public(), disk.clone());
        let way = Way::Connect;
        Self { world, disk, draining, server, service, revocations, rooms, key, way }
    }

    /// The same, whose streams are opened this way.
    pub(crate) fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// Opens a stream and says nothing.
    pub(crate) async fn connect(&self, user: &str) -> Client {
        self.connect_as(caller(user)).await
    }

    pub(crate) async fn connect_as(&self, caller: Caller) -> Client {
        Client::open(self.server.clone(), caller, self.way).await
    }

    /// Opens a stream, says hello and takes the welcome.
    pub(crate) async fn hello(&self, user: &str, hello: Hello) -> Client {
        self.hello_as(caller(user), hello).await
    }

    pub(crate) async fn hello_as(&self, caller: Caller, hello: Hello) -> Client {
        let mut client = self.connect_as(caller).await;
        client.hello(hello);
        client.welcomed().await;
        client
    }

    /// Makes a unary call.
    pub(crate) async fn call<R, A>(&self, caller: &Caller, request: R) -> Result<A, Error>
    where
        R: RpcRequest,
        A: prost::Message + Default,
    {
        unary(self.server.clone(), caller, &request).await
    }

    /// A token that a stream of the user accepts, of this login session.
    pub(crate) fn token(&self, user: &str, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = Claims::user("acme", user);
        claims.device_id = Some("phone".to_owned());
        claims.session_id = Some("login".to_owned());
        change(&mut claims);
        let token = self.key.sign(claims);
        self.world.lock().tokens.insert(token.clone(), user.to_owned());
        token
    }

    pub(crate) async fn types(&self, user: &str, number: u8, state: TypingState) {
        let request = SendTypingRequest { conversation_id: id(number), state: state.into() };
        let answer = self.call::<_, SendTypingResponse>(&caller(user), request).await;
        answer.expect("it is heard");
    }

    pub(crate) async fn set_presence(
        &self,
        user: &str,
        request: SetPresenceRequest,
    ) -> Result<confab_proto::realtime::v1::Presence, Error> {
        let answer: SetPresenceResponse = self.call(&caller(user), request).await?;
        Ok(answer.presence.expect("a presence"))
    }

    pub(crate) async fn sessions(&self, caller: &Caller, user: &str) -> Vec<Session> {
        let request =
            ListSessionsRequest { user_id: user.to_owned(), ..ListSessionsRequest::default() };
        let answer: ListSessionsResponse = self.call(caller, request).await.expect("listed");
        answer.sessions
    }

    pub(crate) async fn end_session(
        &self,
        caller: &Caller,
        session_id: &str,
        revoke: bool,
    ) -> Result<(), Error> {
        let session_id = session_id.to_owned();
        let request = EndSessionRequest { session_id, user_id: String::new(), revoke };
        self.call::<_, EndSessionResponse>(caller, request).await.map(|_| ())
    }

    pub(crate) async fn revoke_user(&self, caller: &Caller, user: &str) -> Result<(), Error> {
        let request = RevokeUserRequest { user_id: user.to_owned() };
        self.call::<_, RevokeUserResponse>(caller, request).await.map(|_| ())
    }
}

/// A user on the device `phone`, with a token for an hour.
pub(crate) fn caller(user: &str) -> Caller {
    let now = clock::now_seconds();
    Caller {
        kind: CallerKind::User,
        tenant: tenant(),
        user: UserId::parse(user).expect("a user"),
        device_id: "phone".into(),
        session_id: "login".into(),
        scopes: Arc::from([]),
        issued_at: now,
        expires_at: now + 3600,
        token: user.into(),
    }
}

/// The same in another login session.
pub(crate) fn caller_in(user: &str, login: &str) -> Caller {
    Caller { session_id: login.into(), ..caller(user) }
}

/// The team's own backend.
pub(crate) fn application() -> Caller {
    let kind = CallerKind::Application;
    Caller { kind, device_id: "".into(), session_id: "".into(), ..caller("backend") }
}
