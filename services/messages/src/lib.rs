//! The messages service: what people say, and the log that orders it.
//!
//! It owns the log, message and reaction rows, cursors, the index of threads and
//! mentions, and tenants' content rules. It alone runs `fold` and `decide`. It calls the conversations and participants services to
//! load and write the rows that they own ([`logs::Projections`]); they call its
//! mesh-internal `LogService` to submit commands. It never looks into another
//! service's store and never decides anything outside `confab-log`.

pub mod convert;
mod domain;
pub mod error;
pub mod handler;
pub mod log_handler;
pub mod logs;
mod retention;
mod rules;
pub mod rules_handler;
mod stage;
pub mod store;
mod transform;

use std::{sync::Arc, time::Duration};

use confab_kit::{admission::Admission, bus::Bus, channel::Channel, page_token::Sealer};
use confab_log::appender;
use confab_proto::messages::v1::{
    content_rules_service_server::ContentRulesServiceServer, log_service_server::LogServiceServer,
    messages_service_server::MessagesServiceServer,
};

use convert::Limits;
use domain::{Domain, Pages};
use handler::MessagesHandler;
use log_handler::LogHandler;
use logs::{Logs, Projections};
use rules::RulesCache;
use rules_handler::RulesHandler;
use store::{LogStore, RuleStore};
use tokio_util::sync::CancellationToken;

/// What the service is made of.
pub struct Options<S> {
    /// Where the log is kept.
    pub store: Arc<S>,
    /// The services that own the other rows.
    pub projections: Projections,
    /// Looks at relations before reads.
    pub admission: Admission,
    /// Told of every event and cursor.
    pub bus: Bus,
    /// Seals page tokens.
    pub sealer: Sealer,
    /// Keys the digests of commands; the same on every node, for ever.
    pub digest_key: [u8; 32],
    /// Bounds of a message.
    pub limits: Limits,
    /// How appenders are tuned.
    pub appender: appender::Options,
}

/// The messages service of one node.
pub struct Service<S> {
    domain: Arc<Domain<S>>,
    admission: Admission,
    limits: Limits,
}

impl<S: LogStore + RuleStore> Service<S> {
    /// Nothing runs until it is called.
    pub fn new(options: Options<S>) -> Self {
        let Options { store, projections, admission, bus, sealer, digest_key, limits, appender } =
            options;
        let appender = appender::Options { append: store.append_bounds(), ..appender };
        let pages = Pages::new(Arc::clone(&store));
        let logs = Logs::new(store, projections.clone(), bus.clone(), appender);
        let rules = RulesCache::default();
        let domain = Domain { logs, pages, digest_key, sealer, bus, projections, rules };
        let domain = Arc::new(domain);
        Self { domain, admission, limits }
    }

    /// For the public port.
    pub fn public(&self) -> MessagesServiceServer<MessagesHandler<S>> {
        MessagesServiceServer::new(MessagesHandler {
            domain: Arc::clone(&self.domain),
            admission: self.admission.clone(),
            limits: self.limits,
        })
    }

    /// For the public port, too.
    pub fn rules(&self) -> ContentRulesServiceServer<RulesHandler<S>> {
        ContentRulesServiceServer::new(RulesHandler {
            domain: Arc::clone(&self.domain),
            admission: self.admission.clone(),
        })
    }

    /// For the mesh port.
    pub fn mesh(&self) -> LogServiceServer<LogHandler<S>> {
        LogServiceServer::new(LogHandler { domain: Arc::clone(&self.domain) })
    }

    /// Expires messages by their conversations' retention, so often, until stopped.
    /// The channel carries the mesh credential.
    pub fn expire_until(
        &self,
        conversations: Channel,
        every: Duration,
        stopped: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<S> {
        let domain = Arc::clone(&self.domain);
        async move { domain.expire_until(conversations, every, stopped).await }
    }

    /// All conversations of this node: for the sweeper.
    pub fn logs(&self) -> Logs<S> {
        self.domain.logs.clone()
    }
}
