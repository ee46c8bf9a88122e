//! Conversations: what there is, what describes it, and each user's list.
//!
//! It owns the conversation rows, which the log's effects write. It calls the
//! log (`Append`, `Observe`, `Heads`) and participants (`ListMemberships`,
//! `FindBlocks`, `EnforceBlocks`). It never decides what a command may do, and
//! stores no order of activity: lists are sorted from the logs' heads.

mod convert;
pub mod domain;
mod error;
mod handler;
mod peers;
pub mod store;

use std::sync::Arc;

use confab_kit::{admission::Admission, channel::Channel, page_token::Sealer};
use confab_proto::{
    conversations::v1::{
        conversation_rows_service_server::ConversationRowsServiceServer,
        conversations_service_server::ConversationsServiceServer,
    },
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use metrics::describe_counter;

pub use error::Error;
pub use handler::{mesh::Mesh, public::Public};
pub use store::{ConversationStore, EmbeddedStore};

/// What the service is made of.
pub struct Options<S> {
    /// The conversations' rows.
    pub store: S,
    /// The log, over a channel with the mesh credential.
    pub log: LogServiceClient<Channel>,
    /// Where users are, over a channel with the mesh credential.
    pub members: MemberRowsServiceClient<Channel>,
    /// Who may do what.
    pub admission: Admission,
    /// Signs page tokens; every node has the same key.
    pub sealer: Sealer,
}

/// The service.
pub struct Service<S> {
    public: Arc<Public<S>>,
    mesh: Arc<Mesh<S>>,
}

impl<S: ConversationStore> Service<S> {
    /// Puts it together. It holds nothing that must be stopped.
    pub fn new(options: Options<S>) -> Self {
        describe();
        let store = Arc::new(options.store);
        let public = Public {
            store: Arc::clone(&store),
            peers: peers::Peers::new(options.log, options.members),
            admission: options.admission,
            sealer: options.sealer,
            orders: handler::Orders::default(),
        };
        Self { public: Arc::new(public), mesh: Arc::new(Mesh { store }) }
    }

    /// What users call.
    pub fn public(&self) -> ConversationsServiceServer<Public<S>> {
        ConversationsServiceServer::from_arc(Arc::clone(&self.public))
    }

    /// What the mesh calls.
    pub fn mesh(&self) -> ConversationRowsServiceServer<Mesh<S>> {
        ConversationRowsServiceServer::from_arc(Arc::clone(&self.mesh))
    }
}

fn describe() {
    describe_counter!("confab_conversations_created_total", "conversations begun, by type");
    describe_counter!("confab_conversations_deleted_total", "deletions of conversations");
    describe_counter!("confab_version_conflicts_total", "changes refused for a stale etag");
}
