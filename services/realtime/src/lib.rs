//! The realtime service: one stream per device, on which every event of a
//! watched conversation arrives once, in order, or is announced as a gap; the
//! sessions that a device resumes by, and how they are ended and revoked; who
//! types, and who is here.
//!
//! It owns the sessions, what was revoked, and presence. It calls the messages
//! service (the log's ends, and `ListEvents` with the user's own token), the
//! participants service (the user's memberships and inbox, and whom they share a
//! conversation with) and, for calls made on a stream, the public services as the
//! user would. It keeps no history and decides no right: what a user may see is
//! what those services answer.
//!
//! A stream is opened by `Connect` or by `Subscribe`; only [`source`] knows which.
//!
//! The way of an event: the bus tells the [`hub`], the hub puts it into each
//! interested stream's [`mailbox`], the stream's task ([`session`]) compares
//! it with the conversation's cursor ([`watch`]) and pushes its shared frame
//! into the [`outbox`], which the response [`body`] writes out. The bus may lose
//! anything: a hole in the numbers is read from the log ([`replay`]).

mod body;
mod calls;
mod claims;
mod convert;
pub mod error;
mod frame;
mod handler;
mod hub;
mod inbox;
mod lane;
mod limits;
mod mailbox;
mod outbox;
mod page;
mod patience;
mod presence;
mod reader;
mod replay;
mod session;
mod sessions;
mod source;
pub mod store;
mod typing;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use confab_kit::{
    admission::Admission,
    bus::{Bus, Signal},
    channel::Channel,
    clock,
    identity::{Revocations, Verifier},
    page_token::Sealer,
    task,
};
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use handler::RealtimeServer;
pub use limits::Limits;

use crate::{
    claims::Claims,
    hub::Hub,
    presence::Presences,
    store::{LastSeenStore, RevocationStore, Rooms, SessionStore},
    typing::Typists,
};

/// How often what has expired is removed.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// What the service needs.
pub struct Options {
    /// The log, over the mesh.
    pub log: LogServiceClient<Channel>,
    /// The memberships, over the mesh.
    pub members: MemberRowsServiceClient<Channel>,
    /// All public services, without a token; each stream adds its own. For the
    /// calls that clients make on their streams.
    pub public: Channel,
    /// The same, for what this service reads by itself to keep a stream whole:
    /// with the mesh credential, so that it is not charged to the user's budgets.
    pub reads: Channel,
    /// Where events are heard of.
    pub bus: Bus,
    /// Admits unary calls.
    pub admission: Admission,
    /// Seals page tokens.
    pub sealer: Sealer,
    /// Verifies tokens that come on a stream.
    pub verifier: Verifier,
    /// What the layers ask about each token: the service fills it.
    pub revocations: Revocations,
    /// The sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// What was revoked.
    pub revoked: Arc<dyn RevocationStore>,
    /// When users were last here.
    pub last_seen: Arc<dyn LastSeenStore>,
    /// Who is at which process, where there may be several.
    pub rooms: Option<Arc<dyn Rooms>>,
    /// Sizes and times.
    pub limits: Limits,
    /// Cancelled when the process drains: every stream is said goodbye to.
    pub draining: CancellationToken,
}

/// The service on one node.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

/// What all streams of a node share.
pub(crate) struct Shared {
    pub(crate) log: LogServiceClient<Channel>,
    pub(crate) members: MemberRowsServiceClient<Channel>,
    pub(crate) public: Channel,
    pub(crate) reads: Channel,
    pub(crate) bus: Bus,
    pub(crate) admission: Admission,
    pub(crate) sealer: Sealer,
    pub(crate) verifier: Verifier,
    pub(crate) revocations: Revocations,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) revoked: Arc<dyn RevocationStore>,
    pub(crate) presences: Arc<Presences>,
    pub(crate) typists: Arc<Typists>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) limits: Limits,
    pub(crate) draining: CancellationToken,
    pub(crate) deliveries: metrics::Counter,
    pub(crate) replayed: metrics::Counter,
    pub(crate) typing_frames: metrics::Counter,
    pub(crate) presence_frames: metrics::Counter,
}

impl Service {
    /// Attaches to the bus and begins to sweep expired sessions. Must be called
    /// within a tokio runtime, after the metrics recorder is installed.
    pub fn new(options: Options) -> Self {
        let bus = options.bus;
        let presences = Presences::new(
            bus.clone(),
            options.last_seen,
            options.rooms,
            options.limits.presence_grace,
            options.draining.clone(),
        );
        let deliveries = metrics::counter!("confab_stream_deliveries_total");
        let shared = Arc::new(Shared {
            log: options.log,
            members: options.members,
            public: options.public,
            reads: options.reads,
            admission: options.admission,
            sealer: options.sealer,
            verifier: options.verifier,
            revocations: options.revocations,
            sessions: options.sessions,
            revoked: options.revoked,
            presences,
            typists: Typists::new(bus.clone(), options.limits.typing_interval),
            hub: Arc::new(Hub::new(&options.limits, bus.clone(), deliveries.clone())),
            claims: Arc::default(),
            bus,
            limits: options.limits,
            draining: options.draining,
            deliveries,
            replayed: metrics::counter!("confab_replayed_events_total"),
            typing_frames: metrics::counter!("confab_typing_frames_total"),
            presence_frames: metrics::counter!("confab_presence_frames_total"),
        });
        let (hub, claims) = (Arc::clone(&shared.hub), Arc::clone(&shared.claims));
        let (revocations, presences) = (shared.revocations.clone(), Arc::clone(&shared.presences));
        shared.bus.attach(Arc::new(move |signal| {
            match signal {
                // Before the streams look whether it concerns them.
                Signal::Revoked(revocation) => revocations.note(revocation),
                Signal::SessionEnded { tenant, user, session_id } => {
                    claims.end(tenant, user, session_id);
                }
                Signal::SessionTaken { tenant, user, session_id, epoch } => {
                    claims.give_up(tenant, user, session_id, *epoch);
                }
                Signal::Presence { tenant, presence } => presences.heard(tenant, presence),
                _ => {}
            }
            hub.dispatch(signal);
        }));
        task::spawn("realtime sweep", sweep(Arc::clone(&shared)));
        Self { shared }
    }

    /// Reads what was revoked: before anything is served.
    pub async fn load(&self) -> Result<(), Error> {
        self.shared.load_revocations().await
    }

    /// What to add to the public router. It needs the caller that the auth
    /// layer has proven among the request's extensions.
    pub fn public(&self) -> RealtimeServer {
        RealtimeServer::new(Arc::clone(&self.shared))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

async fn sweep(shared: Arc<Shared>) {
    loop {
        match shared.sessions.sweep(clock::now_micros()).await {
            Ok(removed) => tracing::debug!(removed, "expired sessions swept"),
            Err(error) => tracing::warn!(%error, "sweeping sessions failed"),
        }
        let now = clock::now_seconds();
        shared.revocations.forget_ended(now);
        match shared.revoked.sweep(now).await {
            Ok(removed) => tracing::debug!(removed, "ended revocations swept"),
            Err(error) => tracing::warn!(%error, "sweeping revocations failed"),
        }
        tokio::select! {
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
    }
}
