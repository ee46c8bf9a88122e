//! The operations service: what an operator asks of a node that runs.
//!
//! It makes backups of the node's data folder and changes what is logged. It
//! owns no rows, and calls no other service: a backup copies everybody's, and
//! understands none. Only the mesh's port serves it.

pub mod backup;
mod convert;
mod error;
mod handler;

use std::sync::Arc;

use confab_kit::lifecycle::Lifecycle;
use confab_proto::operations::v1::operations_service_server::OperationsServiceServer;
use confab_store::embedded::Engine;
use tokio::sync::Semaphore;

pub use error::Error;
pub use handler::OperationsHandler;

/// What the service needs.
pub struct Options {
    /// The data folder, if the node has its store in one.
    pub engine: Option<Engine>,
    /// A drain gives a backup up.
    pub lifecycle: Lifecycle,
}

/// The service on one node.
pub struct Service {
    shared: Arc<Shared>,
}

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) engine: Option<Engine>,
    pub(crate) lifecycle: Lifecycle,
    /// One backup at a time.
    pub(crate) backups: Semaphore,
}

impl Service {
    /// Nothing runs until it is called.
    pub fn new(options: Options) -> Self {
        let Options { engine, lifecycle } = options;
        Self { shared: Arc::new(Shared { engine, lifecycle, backups: Semaphore::new(1) }) }
    }

    /// For the mesh port.
    pub fn mesh(&self) -> OperationsServiceServer<OperationsHandler> {
        OperationsServiceServer::new(OperationsHandler { shared: Arc::clone(&self.shared) })
    }
}
