//! A node: the service over the fakes.

use std::sync::Arc;

use confab_kit::{
    channel::Channel,
    clock,
    identity::{Caller, CallerKind},
};
use confab_log::UserId;
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::member_rows_service_client::MemberRowsServiceClient, realtime::v1::Hello,
};
use confab_realtime::{Limits, Options, RealtimeServer, Service};
use tokio_util::sync::CancellationToken;

use super::{Client, MemorySessions, World, router::Router, world::tenant};

/// See the module.
pub(crate) struct Node {
    pub(crate) world: World,
    pub(crate) sessions: MemorySessions,
    pub(crate) draining: CancellationToken,
    pub(crate) server: RealtimeServer,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(World::default(), |_| {})
    }

    pub(crate) fn with(world: World, limit: impl FnOnce(&mut Limits)) -> Self {
        Self::over(world, MemorySessions::default(), limit)
    }

    /// A node beside or after another one.
    pub(crate) fn over(
        world: World,
        sessions: MemorySessions,
        limit: impl FnOnce(&mut Limits),
    ) -> Self {
        let mut limits = Limits::default();
        limit(&mut limits);
        let (public, half) = Channel::in_process();
        half.serve(Router(world.clone()));
        let draining = CancellationToken::new();
        let service = Service::new(Options {
            log: LogServiceClient::new(public.clone()),
            members: MemberRowsServiceClient::new(public.clone()),
            reads: public.clone(),
            public,
            bus: world.bus.clone(),
            sessions: Arc::new(sessions.clone()),
            limits,
            draining: draining.clone(),
        });
        Self { world, sessions, draining, server: service.public() }
    }

    /// Opens a stream and says nothing.
    pub(crate) async fn connect(&self, user: &str) -> Client {
        self.connect_as(caller(user)).await
    }

    pub(crate) async fn connect_as(&self, caller: Caller) -> Client {
        Client::connect(self.server.clone(), caller).await
    }

    /// Opens a stream, says hello and takes the welcome.
    pub(crate) async fn hello(&self, user: &str, hello: Hello) -> Client {
        let mut client = self.connect(user).await;
        client.hello(hello);
        client.welcomed().await;
        client
    }
}

/// A user on the device `phone`, with a token for an hour.
pub(crate) fn caller(user: &str) -> Caller {
    Caller {
        kind: CallerKind::User,
        tenant: tenant(),
        user: UserId::parse(user).expect("a user"),
        device_id: "phone".into(),
        session_id: "login".into(),
        scopes: Arc::from([]),
        expires_at: clock::now_seconds() + 3600,
        token: user.into(),
    }
}
