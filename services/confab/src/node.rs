//! One node: every service in one process, over one store. Services meet here and
//! nowhere else; between them are in-process channels that carry the same requests,
//! credentials and deadlines as the network would.

use std::{future::ready, sync::Arc, time::Duration};

use confab_kit::{
    admission::Admission,
    bus::Bus,
    channel::Channel,
    config::{Config, ConfigError, StoreKind},
    health::{Health, Importance, ReflectionError},
    identity::{Revocations, Verifier},
    layers::{LayerOptions, Port, layered},
    lifecycle::Lifecycle,
    page_token::Sealer,
    policy::{self, PolicyError},
    rates::Budgets,
    server::{Addresses, BindError, Server, Services},
    task, telemetry,
};
use confab_log::appender;
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient, method::METHODS,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use confab_store::StoreError;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

pub use crate::{keys::KeysError, store::StoreOpenError};
use crate::{
    keys::{self, Keys},
    neighbour,
    store::{Backend, Embedded},
};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An RPC has no valid policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key is not the one that the store was used with.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] StoreOpenError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was revoked cannot be read, so nobody may pass.
    #[error("revocations cannot be read: {0}")]
    Revocations(#[source] Box<confab_realtime::Error>),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Where it listens cannot be written into the data folder.
    #[error("cannot write ADDRESSES into the data folder: {0}")]
    Announce(std::io::Error),
    /// The contract cannot be reflected.
    #[error(transparent)]
    Reflection(#[from] ReflectionError),
    /// The metrics cannot be recorded.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
}

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    addresses: Addresses,
    lifecycle: Lifecycle,
    served: tokio::task::JoinHandle<()>,
}

/// What every service of a node is given.
struct Common<B> {
    config: Config,
    keys: Keys,
    store: B,
    bus: Bus,
    sealer: Sealer,
    admission: Admission,
    verifier: Verifier,
    revocations: Revocations,
    public: Channel,
    /// The public services as another service reaches them on a user's behalf.
    reads: Channel,
    mesh: Channel,
    lifecycle: Lifecycle,
}

impl Node {
    /// Opens the store, builds the services, listens, and is ready.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        match config.store.kind {
            StoreKind::Embedded => Box::pin(Self::start_on::<Embedded>(config)).await,
            #[cfg(feature = "cql")]
            StoreKind::Cql => Box::pin(Self::start_on::<crate::store::Cql>(config)).await,
            #[cfg(not(feature = "cql"))]
            StoreKind::Cql => Err(StoreOpenError::NotBuilt.into()),
        }
    }

    async fn start_on<B: Backend>(config: Config) -> Result<Self, StartError> {
        policy::validate(METHODS)?;
        telemetry::init_metrics()?;
        let store = B::open(&config).await?;
        let keys = keys::load(&config, &store).await?;
        let identity = config.identity()?;
        let credential = config.mesh_credential()?;
        let listening = Server::bind(&config)?;
        let addresses = listening.addresses();
        if let Some(engine) = store.engine() {
            neighbour::announce(engine.path(), addresses).map_err(StartError::Announce)?;
        }
        let lifecycle = Lifecycle::new(config.drain_time());

        let (public, public_slot) = Channel::in_process();
        let (mesh, mesh_slot) = Channel::in_process();
        let mesh = mesh.with_mesh_credential(&credential);
        let second_key = config.page_token_second_key()?;
        let common = Common {
            sealer: Sealer::new(keys.page_token).and_opens(second_key),
            admission: Admission::new(LogServiceClient::new(mesh.clone())),
            verifier: identity.verifier,
            revocations: identity.revocations,
            bus: Bus::default(),
            lifecycle: lifecycle.clone(),
            reads: public.with_mesh_credential(&credential),
            config,
            keys,
            store,
            public,
            mesh,
        };
        let health = Health::new(lifecycle.clone()).await;
        let store = common.store.clone();
        health.add_probe("store", Importance::Required, move || {
            let store = store.clone();
            async move { store.probe().await.map_err(|error| error.to_string()) }
        });
        let fetched = common.config.auth.jwks_url.is_some();
        if let Some(dev_key) = &identity.dev_key {
            health.show_jwks(dev_key.jwks());
        }
        if fetched {
            watch_keys(&common.verifier, &health, &lifecycle);
        }

        let realtime = realtime(&common).await?;
        let (public_routes, mesh_routes, chores) = routes(&common, &realtime).await?;
        let options = LayerOptions {
            verifier: common.verifier.clone(),
            revocations: common.revocations.clone(),
            credential,
            limits: common.config.limits.clone(),
            budgets: Budgets::new(&common.config),
            lifecycle: lifecycle.clone(),
        };
        let public_routes = health.add_standard_services(public_routes)?;
        let public = layered(Port::Public, options.clone(), public_routes);
        let mesh = layered(Port::Mesh, options, mesh_routes);
        public_slot.serve(public.clone());
        mesh_slot.serve(mesh.clone());
        // Not before: they finish effects, and expire messages, through the mesh.
        task::spawn("chores", chores);

        health.set_ready().await;
        let services = Services { public, mesh, health };
        let served = task::spawn("server", listening.serve(services, lifecycle.clone()));
        Ok(Self { addresses, lifecycle, served })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Ends it: softly by `drain`, at once by `stop`.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Waits until everything that was open is closed.
    pub async fn ended(self) {
        // A panic of the server's task was logged where it happened.
        let _panicked = self.served.await;
    }
}

/// Fetches the issuer's keys to the end: nothing can be served before they were.
fn watch_keys(verifier: &Verifier, health: &Health, lifecycle: &Lifecycle) {
    let (fresh, lifecycle) = (verifier.clone(), lifecycle.clone());
    let verifier = verifier.clone();
    health.add_probe("jwks", Importance::Required, move || {
        let problem = "the issuer's keys were not fetched yet";
        ready(if verifier.is_ready() { Ok(()) } else { Err(problem.to_owned()) })
    });
    task::spawn("issuer's keys", async move {
        tokio::select! {
            () = fresh.keep_keys_fresh() => {}
            () = lifecycle.stopped() => {}
        }
    });
}

/// What the public port and the mesh serve, and what is to be done beside it.
async fn routes<B: Backend>(
    common: &Common<B>,
    realtime: &confab_realtime::Service,
) -> Result<(Routes, Routes, impl Future<Output = ()> + Send + use<B>), StartError> {
    let messages = messages(common).await?;
    let conversations = conversations(common).await?;
    let participants = participants(common).await?;
    let operations = confab_operations::Service::new(confab_operations::Options {
        engine: common.store.engine(),
        lifecycle: common.lifecycle.clone(),
    });
    let stopped = token_of(&common.lifecycle);
    let every = Duration::from_secs(common.config.limits.retention_seconds);
    let expire = messages.expire_until(common.mesh.clone(), every, stopped.clone());
    let sweep = messages.logs().sweep_until(stopped);
    let public = Routes::new(messages.public())
        .add_service(messages.rules())
        .add_service(conversations.public())
        .add_service(participants.public())
        .add_service(participants.users())
        .add_service(participants.moderation())
        .add_service(realtime.public());
    let mesh = Routes::new(messages.mesh())
        .add_service(conversations.mesh())
        .add_service(participants.mesh())
        .add_service(operations.mesh());
    let chores = async move {
        tokio::join!(sweep, expire);
    };
    Ok((public, mesh, chores))
}

async fn messages<B: Backend>(
    common: &Common<B>,
) -> Result<confab_messages::Service<B::Logs>, StartError> {
    let store = common.store.logs(&common.config).await?;
    Ok(confab_messages::Service::new(confab_messages::Options {
        store: Arc::new(store),
        projections: confab_messages::logs::Projections::new(
            common.mesh.clone(),
            common.mesh.clone(),
        ),
        admission: common.admission.clone(),
        bus: common.bus.clone(),
        sealer: common.sealer.clone(),
        digest_key: common.keys.digest,
        limits: confab_messages::convert::Limits { text_bytes: common.config.limits.text_bytes },
        appender: appender::Options::default(),
    }))
}

async fn conversations<B: Backend>(
    common: &Common<B>,
) -> Result<confab_conversations::Service<B::Conversations>, StartError> {
    Ok(confab_conversations::Service::new(confab_conversations::Options {
        store: common.store.conversations().await?,
        log: LogServiceClient::new(common.mesh.clone()),
        members: MemberRowsServiceClient::new(common.mesh.clone()),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
    }))
}

async fn participants<B: Backend>(
    common: &Common<B>,
) -> Result<confab_participants::Service<B::Participants>, StartError> {
    Ok(confab_participants::Service::new(confab_participants::Options {
        store: common.store.participants().await?,
        log: LogServiceClient::new(common.mesh.clone()),
        public: common.public.clone(),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
        bus: common.bus.clone(),
    }))
}

/// With all that was revoked, before anything is served.
async fn realtime<B: Backend>(common: &Common<B>) -> Result<confab_realtime::Service, StartError> {
    let store = common.store.realtime().await?;
    let (limits, auth) = (&common.config.limits, &common.config.auth);
    let service = confab_realtime::Service::new(confab_realtime::Options {
        log: LogServiceClient::new(common.mesh.clone()),
        members: MemberRowsServiceClient::new(common.mesh.clone()),
        public: common.public.clone(),
        reads: common.reads.clone(),
        bus: common.bus.clone(),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
        verifier: common.verifier.clone(),
        revocations: common.revocations.clone(),
        sessions: store.sessions,
        revoked: store.revoked,
        presence: store.presence,
        limits: confab_realtime::Limits {
            frame_bytes: limits.frame_bytes,
            stream_queue_bytes: limits.stream_queue_bytes,
            hello_timeout: Duration::from_millis(limits.hello_timeout_ms),
            heartbeat: Duration::from_millis(limits.heartbeat_ms),
            token_leeway: Duration::from_secs(auth.leeway_seconds),
            token_notice: Duration::from_secs(auth.expiry_notice_seconds),
            live_head_participants: limits.live_head_participants,
            typing_participants: limits.typing_participants,
            presences: limits.presences_per_stream,
            ..confab_realtime::Limits::default()
        },
        draining: token_of(&common.lifecycle),
    });
    service.load().await.map_err(|error| StartError::Revocations(Box::new(error)))?;
    Ok(service)
}

/// A token that is cancelled when draining begins.
fn token_of(lifecycle: &Lifecycle) -> CancellationToken {
    let token = CancellationToken::new();
    let (cancelled, lifecycle) = (token.clone(), lifecycle.clone());
    task::spawn("drain notice", async move {
        lifecycle.draining().await;
        cancelled.cancel();
    });
    token
}
