//! One node: every service in one process, or those of some roles, over one store.
//! Services meet here and nowhere else; between them are channels, in process or to
//! the mesh's other processes, which carry the same requests, credentials and
//! deadlines.

mod gateway;
pub mod redis;
mod services;

use std::{future::ready, sync::Arc};

use confab_kit::{
    admission::Admission,
    bus::{Bus, Signal},
    channel::Channel,
    config::{Config, ConfigError, StoreKind},
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
    shared_cache::Values,
    task, telemetry,
};
use confab_proto::{messages::v1::log_service_client::LogServiceClient, method::METHODS};
use confab_realtime::store::Rooms;
use confab_store::StoreError;

pub use crate::{folder::FolderError, keys::KeysError, store::StoreOpenError};
use crate::{
    keys::{self, Keys},
    mesh::{Mesh, MeshOptions},
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
    /// The Redis cannot be used.
    #[error("configuration: redis.url: {0}")]
    Redis(String),
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
    rooms: Option<Arc<dyn Rooms>>,
    sealer: Sealer,
    admission: Admission,
    verifier: Verifier,
    revocations: Revocations,
    public: Channel,
    /// The public services as another service reaches them on a user's behalf.
    reads: Channel,
    mesh: Mesh,
    /// What is remembered for all processes, with a Redis.
    values: Option<Arc<dyn Values>>,
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
        let store_id = store.take(&config.roles()).await?;
        let keys = keys::load(&config, &store).await?;
        let identity = config.identity()?;
        let credential = config.mesh_credential()?;
        let tls = config.mesh.tls()?;
        let browsers_tls = config.gateway.tls()?;
        let listening = Server::bind(&config)?;
        let listening = listening.with_mesh_tls(tls.clone()).with_gateway_tls(browsers_tls);
        let addresses = listening.addresses();
        if let Some(engine) = store.engine() {
            neighbour::announce(engine.path(), addresses).map_err(StartError::Announce)?;
        }
        let lifecycle = Lifecycle::new(config.drain_time());

        let (public, public_slot) = Channel::in_process();
        let (own, mesh_slot) = Channel::in_process();
        let own = own.with_mesh_credential(&credential);
        let second_key = config.page_token_second_key()?;
        let bus = Bus::default();
        let revocations = identity.revocations;
        let (broker, budgets, rooms, values) = match redis::open(&config)? {
            Some(redis) => (
                Some(bus.attach_broker(redis.broker, lifecycle.clone())),
                Budgets::shared(&config, redis.budgets, lifecycle.clone()),
                Some(redis.rooms),
                Some(redis.values),
            ),
            None => (None, Budgets::new(&config), None, None),
        };
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
            rooms,
            lifecycle: lifecycle.clone(),
            reads: public.with_mesh_credential(&credential),
            config,
            keys,
            store,
            public,
            mesh,
            values,
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

        if let Some(broker) = broker {
            health.add_probe("redis", Importance::Optional, move || ready(broker.check()));
        }
        common.mesh.add_probes(&health);
        watch_revocations(&common.revocations, &health);
        let (public_routes, mesh_routes, chores) = services::routes(&common).await?;
        let options = LayerOptions {
            verifier: common.verifier.clone(),
            revocations: common.revocations.clone(),
            credential,
            limits: common.config.limits.clone(),
            budgets,
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
        let dev_key = identity.dev_key;
        let gateway = gateway::before(&common.config, &common.verifier, dev_key, &public);
        let services = Services { public, mesh, health, gateway };
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

/// Hears what happens in other processes. Without streams here, or with a broker for
/// everything else, only what is revoked there is of interest; where no revocations are
/// kept, nobody passes before they are known.
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
    let revocations_only = !has_streams || config.redis.is_configured();
    Ear::new(bus.clone(), revocations.clone(), revocations_only)
}

/// Nobody may pass before it is known what is revoked.
fn watch_revocations(revocations: &Revocations, health: &Health) {
    let known = revocations.clone();
    health.add_probe("revocations", Importance::Required, move || {
        let problem = "no process that serves realtime has told what is revoked";
        ready(if known.is_complete() { Ok(()) } else { Err(problem.to_owned()) })
    });
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
