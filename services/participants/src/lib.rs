//! Participants: who is in a conversation, and each user's inbox.
//!
//! It owns the member rows, which the log's effects write, and the inboxes,
//! which the effects and the read cursors feed. It calls the log (`Append`, and
//! `Observe` through the admission) and nobody else. It never decides what a
//! command may do: the log does, at the command's place in the order.

mod convert;
pub mod domain;
mod error;
mod handler;
mod order;
pub mod store;

use std::sync::Arc;

use confab_kit::{admission::Admission, bus::Bus, channel::Channel, page_token::Sealer};
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::{
        member_rows_service_server::MemberRowsServiceServer,
        participants_service_server::ParticipantsServiceServer,
    },
};
use metrics::describe_counter;

pub use error::Error;
pub use handler::{mesh::Mesh, public::Public};
pub use store::{EmbeddedStore, MemberStore};

/// What the service is made of.
pub struct Options<S> {
    /// Member rows and inboxes.
    pub store: S,
    /// The log, over a channel with the mesh credential.
    pub log: LogServiceClient<Channel>,
    /// Who may do what.
    pub admission: Admission,
    /// Signs page tokens; every node has the same key.
    pub sealer: Sealer,
    /// Where inbox signals go.
    pub bus: Bus,
}

/// The service.
pub struct Service<S> {
    public: Arc<Public<S>>,
    mesh: Arc<Mesh<S>>,
}

impl<S: MemberStore> Service<S> {
    /// Puts it together. It holds nothing that must be stopped.
    pub fn new(options: Options<S>) -> Self {
        describe();
        let store = Arc::new(options.store);
        let public = Public {
            store: Arc::clone(&store),
            log: options.log,
            admission: options.admission,
            sealer: options.sealer,
        };
        let mesh = Mesh::new(store, options.bus);
        Self { public: Arc::new(public), mesh: Arc::new(mesh) }
    }

    /// What users call.
    pub fn public(&self) -> ParticipantsServiceServer<Public<S>> {
        ParticipantsServiceServer::from_arc(Arc::clone(&self.public))
    }

    /// What the mesh calls.
    pub fn mesh(&self) -> MemberRowsServiceServer<Mesh<S>> {
        MemberRowsServiceServer::from_arc(Arc::clone(&self.mesh))
    }
}

fn describe() {
    describe_counter!("confab_participants_added_total", "users who became participants");
    describe_counter!("confab_participants_removed_total", "users who are participants no longer");
}
