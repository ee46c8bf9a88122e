//! The messages service: what people say, and the log that orders it.
//!
//! It owns the log, message and reaction rows, and cursors. It alone runs
//! `fold` and `decide`. It calls the conversations and participants services to
//! load and write the rows that they own ([`logs::Projections`]); they call its
//! mesh-internal `LogService` to submit commands. It never looks into another
//! service's store and never decides anything outside `confab-log`.

pub mod convert;
mod domain;
pub mod error;
pub mod handler;
pub mod log_handler;
pub mod logs;
pub mod store;

use std::sync::Arc;

use confab_kit::{admission::Admission, bus::Bus, page_token::Sealer};
use confab_log::appender;
use confab_proto::messages::v1::{
    log_service_server::LogServiceServer, messages_service_server::MessagesServiceServer,
};

use convert::Limits;
use domain::{Domain, Pages};
use handler::MessagesHandler;
use log_handler::LogHandler;
use logs::{Logs, Projections};
use store::LogStore;

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

impl<S: LogStore> Service<S> {
    /// Nothing runs until it is called.
    pub fn new(options: Options<S>) -> Self {
        let Options { store, projections, admission, bus, sealer, digest_key, limits, appender } =
            options;
        let pages = Pages::new(Arc::clone(&store));
        let logs = Logs::new(store, projections.clone(), bus.clone(), appender);
        let domain = Arc::new(Domain { logs, pages, digest_key, sealer, bus, projections });
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

    /// For the mesh port.
    pub fn mesh(&self) -> LogServiceServer<LogHandler<S>> {
        LogServiceServer::new(LogHandler { domain: Arc::clone(&self.domain) })
    }

    /// All conversations of this node: for the sweeper.
    pub fn logs(&self) -> Logs<S> {
        self.domain.logs.clone()
    }
}
