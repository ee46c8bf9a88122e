//! One node: every service in one process, or those of some roles, over the
//! embedded store. Services meet here and nowhere else; between them are channels,
//! in process or to the mesh's other processes, which carry the same requests,
//! credentials and deadlines.

use std::{future::ready, pin::Pin, sync::Arc, time::Duration};

use confab_kit::{
    admission::Admission,
    bus::{Bus, BusServer, Signal},
    channel::Channel,
    config::{Config, ConfigError},
    health::{Health, Importance, ReflectionError},
    identity::{Revocations, Verifier},
    layers::{LayerOptions, Port, layered},
    lifecycle::Lifecycle,
    page_token::Sealer,
    peers::Ear,
    policy::{self, PolicyError},
    rates::Budgets,
    role::Role,
    server::{Addresses, BindError, Server, Services},
    task, telemetry,
};
use confab_log::appender;
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient, method::METHODS,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use confab_store::{
    OpenError, StoreError,
    embedded::{Engine, Options as EngineOptions},
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    folder,
    keys::{self, Keys},
    mesh::{Mesh, MeshOptions},
    neighbour,
};
pub use crate::{folder::FolderError, keys::KeysError};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An RPC has no valid policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key is not the one that the data folder was used with.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The data folder is not for what this process serves.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The data folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
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
struct Common {
    config: Config,
    keys: Keys,
    engine: Engine,
    bus: Bus,
    sealer: Sealer,
    admission: Admission,
    verifier: Verifier,
    revocations: Revocations,
    public: Channel,
    /// The public services as another service reaches them on a user's behalf.
    reads: Channel,
    mesh: Mesh,
    lifecycle: Lifecycle,
}

impl Node {
    /// Opens the store, builds the services, listens, and is ready.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        policy::validate(METHODS)?;
        telemetry::init_metrics()?;
        let engine = Engine::open(&config.data_dir, EngineOptions::default())?;
        let store_id = folder::take(&engine, &config.roles()).await?;
        let keys = keys::load(&config, &engine).await?;
        let identity = config.identity()?;
        let credential = config.mesh_credential()?;
        let tls = config.mesh.tls()?;
        let listening = Server::bind(&config)?.with_mesh_tls(tls.clone());
        let addresses = listening.addresses();
        neighbour::announce(engine.path(), addresses).map_err(StartError::Announce)?;
        let lifecycle = Lifecycle::new(config.drain_time());

        let (public, public_slot) = Channel::in_process();
        let (own, mesh_slot) = Channel::in_process();
        let own = own.with_mesh_credential(&credential);
        let second_key = config.page_token_second_key()?;
        let bus = Bus::default();
        let revocations = identity.revocations;
        let ear = ear(&config, &bus, &revocations);
        let mesh = Mesh::new(MeshOptions {
            config: &config,
            keys: &keys,
            second_page_key: second_key,
            store_id,
            credential: &credential,
            tls,
            own,
            ear,
        });
        let common = Common {
            sealer: Sealer::new(keys.page_token).and_opens(second_key),
            admission: Admission::new(LogServiceClient::new(mesh.to(Role::Messages))),
            verifier: identity.verifier,
            revocations,
            bus,
            lifecycle: lifecycle.clone(),
            reads: public.with_mesh_credential(&credential),
            config,
            keys,
            engine,
            public,
            mesh,
        };
        let health = Health::new(lifecycle.clone()).await;
        let engine = common.engine.clone();
        health.add_probe("store", Importance::Required, move || {
            let engine = engine.clone();
            async move { engine.probe().await.map_err(|error| error.to_string()) }
        });
        let fetched = common.config.auth.jwks_url.is_some();
        if let Some(dev_key) = &identity.dev_key {
            health.show_jwks(dev_key.jwks());
        }
        if fetched {
            watch_keys(&common.verifier, &health, &lifecycle);
        }

        common.mesh.add_probes(&health);
        let known = common.revocations.clone();
        health.add_probe("revocations", Importance::Required, move || {
            let problem = "no process that serves realtime has told what is revoked";
            ready(if known.is_complete() { Ok(()) } else { Err(problem.to_owned()) })
        });
        let (public_routes, mesh_routes, chores) = routes(&common).await?;
        let options = LayerOptions {
            verifier: common.verifier.clone(),
            revocations: common.revocations.clone(),
            credential,
            limits: common.config.limits.clone(),
            budgets: Budgets::new(&common.config),
            lifecycle: lifecycle.clone(),
            elsewhere: common.mesh.elsewhere(),
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

/// Hears what happens in other processes. Without streams here, only what is revoked
/// there is of interest; nobody passes before that is known.
fn ear(config: &Config, bus: &Bus, revocations: &Revocations) -> Ear {
    let has_streams = config.roles().contains(&Role::Realtime);
    if !has_streams {
        revocations.wait();
        let noting = revocations.clone();
        bus.attach(Arc::new(move |signal| {
            if let Signal::Revoked(revocation) = signal {
                noting.note(revocation);
            }
        }));
    }
    Ear::new(bus.clone(), revocations.clone(), !has_streams)
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

type Chores = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the public port serves of what is here, what the mesh's port does, and what
/// is to be done beside it. Other processes pass their clients' calls on to the
/// mesh's port, so that has the public services, too.
async fn routes(common: &Common) -> Result<(Routes, Routes, Chores), StartError> {
    let mut public = Routes::default();
    let (bus, revocations) = (&common.bus, common.revocations.clone());
    let told = BusServer::service(bus, revocations, common.lifecycle.clone());
    let operations = confab_operations::Service::new(confab_operations::Options {
        engine: common.engine.clone(),
        lifecycle: common.lifecycle.clone(),
    });
    let mut mesh = Routes::new(common.mesh.greeting().service());
    mesh = mesh.add_service(told).add_service(operations.mesh());
    let mut chores: Chores = Box::pin(ready(()));
    if common.mesh.serves(Role::Messages) {
        let messages = messages(common)?;
        public = public.add_service(messages.public()).add_service(messages.rules());
        mesh = mesh.add_service(messages.mesh());
        mesh = mesh.add_service(messages.public()).add_service(messages.rules());
        chores = Box::pin(messages_chores(common, &messages));
    }
    if common.mesh.serves(Role::Conversations) {
        let conversations = conversations(common)?;
        public = public.add_service(conversations.public());
        mesh = mesh.add_service(conversations.mesh()).add_service(conversations.public());
    }
    if common.mesh.serves(Role::Participants) {
        let participants = participants(common)?;
        public = public.add_service(participants.public()).add_service(participants.users());
        public = public.add_service(participants.moderation());
        mesh = mesh.add_service(participants.mesh()).add_service(participants.public());
        mesh = mesh.add_service(participants.users()).add_service(participants.moderation());
    }
    if common.mesh.serves(Role::Realtime) {
        let realtime = realtime(common).await?;
        public = public.add_service(realtime.public());
        mesh = mesh.add_service(realtime.public());
    }
    Ok((public, mesh, chores))
}

/// Finishes what a crash left open, and lets messages expire.
fn messages_chores(
    common: &Common,
    messages: &confab_messages::Service<confab_messages::store::embedded::EmbeddedLogStore>,
) -> impl Future<Output = ()> + Send + use<> {
    let stopped = token_of(&common.lifecycle);
    let every = Duration::from_secs(common.config.limits.retention_seconds);
    let conversations = common.mesh.to(Role::Conversations);
    let expire = messages.expire_until(conversations, every, stopped.clone());
    let sweep = messages.logs().sweep_until(stopped.clone());
    let met = common.mesh.met();
    async move {
        // Of processes that start together some come later.
        if stopped.run_until_cancelled(met).await.is_some() {
            tokio::join!(sweep, expire);
        }
    }
}

fn messages(
    common: &Common,
) -> Result<confab_messages::Service<confab_messages::store::embedded::EmbeddedLogStore>, StartError>
{
    let store = confab_messages::store::embedded::EmbeddedLogStore::open(&common.engine)?;
    Ok(confab_messages::Service::new(confab_messages::Options {
        store: Arc::new(store),
        projections: confab_messages::logs::Projections::new(
            common.mesh.to(Role::Conversations),
            common.mesh.to(Role::Participants),
        ),
        admission: common.admission.clone(),
        bus: common.bus.clone(),
        sealer: common.sealer.clone(),
        digest_key: common.keys.digest,
        limits: confab_messages::convert::Limits { text_bytes: common.config.limits.text_bytes },
        appender: appender::Options::default(),
    }))
}

fn conversations(
    common: &Common,
) -> Result<confab_conversations::Service<confab_conversations::EmbeddedStore>, StartError> {
    Ok(confab_conversations::Service::new(confab_conversations::Options {
        store: confab_conversations::EmbeddedStore::open(&common.engine)?,
        log: LogServiceClient::new(common.mesh.to(Role::Messages)),
        members: MemberRowsServiceClient::new(common.mesh.to(Role::Participants)),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
    }))
}

fn participants(
    common: &Common,
) -> Result<confab_participants::Service<confab_participants::EmbeddedStore>, StartError> {
    Ok(confab_participants::Service::new(confab_participants::Options {
        store: confab_participants::EmbeddedStore::open(&common.engine)?,
        log: LogServiceClient::new(common.mesh.to(Role::Messages)),
        public: common.public.clone(),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
        bus: common.bus.clone(),
    }))
}

/// With all that was revoked, before anything is served.
async fn realtime(common: &Common) -> Result<confab_realtime::Service, StartError> {
    use confab_realtime::store::{EmbeddedPresence, EmbeddedRevocations, EmbeddedSessions};
    let (limits, auth) = (&common.config.limits, &common.config.auth);
    let service = confab_realtime::Service::new(confab_realtime::Options {
        log: LogServiceClient::new(common.mesh.to(Role::Messages)),
        members: MemberRowsServiceClient::new(common.mesh.to(Role::Participants)),
        public: common.public.clone(),
        reads: common.reads.clone(),
        bus: common.bus.clone(),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
        verifier: common.verifier.clone(),
        revocations: common.revocations.clone(),
        sessions: Arc::new(EmbeddedSessions::open(&common.engine)?),
        revoked: Arc::new(EmbeddedRevocations::open(&common.engine)?),
        presence: Arc::new(EmbeddedPresence::open(&common.engine)?),
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
