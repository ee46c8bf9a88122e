//! The realtime service: one bidirectional stream per device, on which every
//! event of a watched conversation arrives once, in order, or is announced as
//! a gap; and the sessions that a device resumes by.
//!
//! It owns the sessions. It calls the messages service (the log's ends, and
//! `ListEvents` with the user's own token), the participants service (the
//! user's memberships and inbox) and, for calls made on a stream, the public
//! services as the user would. It keeps no history and decides no right: what
//! a user may see is what those services answer.
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
mod mailbox;
mod outbox;
mod patience;
mod reader;
mod replay;
mod session;
pub mod store;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use confab_kit::{bus::Bus, channel::Channel, clock, task};
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use handler::RealtimeServer;

use crate::{claims::Claims, hub::Hub, store::SessionStore};

/// How often expired sessions are removed.
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
    /// The sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Sizes and times.
    pub limits: Limits,
    /// Cancelled when the process drains: every stream is said goodbye to.
    pub draining: CancellationToken,
}

/// Sizes and times of streams.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame that a client may send, in bytes. Default 64 KiB.
    pub frame_bytes: usize,
    /// What may wait for a slow reader, in bytes. Default 1 MiB.
    pub stream_queue_bytes: usize,
    /// How long the first frame may take. Default 10 s.
    pub hello_timeout: Duration,
    /// A frame is sent at least this often. Default 15 s.
    pub heartbeat: Duration,
    /// A reader that takes nothing for this long is too slow. Default 60 s.
    pub stall_timeout: Duration,
    /// How often the log is asked for what the bus may have lost, with jitter.
    /// Default 30 s.
    pub heal_interval: Duration,
    /// How long a token is still good after its end. Default 60 s.
    pub token_leeway: Duration,
    /// Conversations that one stream may watch. Default 200.
    pub watches: usize,
    /// Calls of one stream that may run at a time. Default 64.
    pub calls: usize,
    /// More missing events than this are a gap. Default 1,000.
    pub gap_events: u64,
    /// Events that one read of the log returns. Default 250.
    pub page_events: i32,
    /// The least time between two heads of one conversation. Default 1 s.
    pub head_interval: Duration,
    /// The least time between two writes of one session. Default 1 s.
    pub save_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 << 10,
            stream_queue_bytes: 1 << 20,
            hello_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            stall_timeout: Duration::from_mins(1),
            heal_interval: Duration::from_secs(30),
            token_leeway: Duration::from_mins(1),
            watches: 200,
            calls: 64,
            gap_events: 1000,
            page_events: 250,
            head_interval: Duration::from_secs(1),
            save_interval: Duration::from_secs(1),
        }
    }
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
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) limits: Limits,
    pub(crate) draining: CancellationToken,
    pub(crate) deliveries: metrics::Counter,
    pub(crate) replayed: metrics::Counter,
}

impl Service {
    /// Attaches to the bus and begins to sweep expired sessions. Must be called
    /// within a tokio runtime, after the metrics recorder is installed.
    pub fn new(options: Options) -> Self {
        let hub = Arc::new(Hub::default());
        let sink = Arc::clone(&hub);
        options.bus.attach(Arc::new(move |signal| sink.dispatch(signal)));
        let shared = Arc::new(Shared {
            log: options.log,
            members: options.members,
            public: options.public,
            reads: options.reads,
            sessions: options.sessions,
            hub,
            claims: Arc::default(),
            limits: options.limits,
            draining: options.draining,
            deliveries: metrics::counter!("confab_stream_deliveries_total"),
            replayed: metrics::counter!("confab_replayed_events_total"),
        });
        task::spawn("realtime sweep", sweep(Arc::clone(&shared)));
        Self { shared }
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
        tokio::select! {
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
    }
}
