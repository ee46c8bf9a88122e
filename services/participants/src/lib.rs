//! Participants: who is in a conversation, each user's inbox, profiles and blocks,
//! reports and the record of moderation.
//!
//! It owns the member rows and the record of moderation, which the log's effects
//! write; the inboxes, which the effects, the read cursors and their users feed;
//! profiles, blocks and reports. It calls the log (`Append`, and `Observe` through
//! the admission) and, to see what a reporter sees, the public `GetMessage`. It
//! never decides what a command may do: the log does, at the command's place in
//! the order.

mod blocks;
mod convert;
pub mod domain;
mod error;
mod handler;
mod inboxes;
mod order;
mod rosters;
pub mod store;

use std::sync::Arc;

use confab_kit::{admission::Admission, bus::Bus, channel::Channel, page_token::Sealer};
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::{
        member_rows_service_server::MemberRowsServiceServer,
        moderation_service_server::ModerationServiceServer,
        participant_cache_service_server::ParticipantCacheServiceServer,
        participants_service_server::ParticipantsServiceServer,
        users_service_server::UsersServiceServer,
    },
};
use metrics::describe_counter;

use blocks::Blocks;
pub use error::Error;
pub use handler::{cache::Cache, mesh::Mesh, moderation::Moderation, public::Public, users::Users};
use inboxes::Inboxes;
pub use rosters::CacheOptions;
use rosters::Rosters;
pub use store::{EmbeddedStore, MemberStore, Store};

/// What the service is made of.
pub struct Options<S> {
    /// All that it keeps.
    pub store: S,
    /// The log, over a channel with the mesh credential.
    pub log: LogServiceClient<Channel>,
    /// All public services, without a token.
    pub public: Channel,
    /// Who may do what.
    pub admission: Admission,
    /// Signs page tokens; every node has the same key.
    pub sealer: Sealer,
    /// Where inbox signals go, and what is told of changed lists comes from.
    pub bus: Bus,
    /// How lists of participants are remembered.
    pub cache: CacheOptions,
}

/// The service.
pub struct Service<S> {
    public: Arc<Public<S>>,
    users: Arc<Users<S>>,
    moderation: Arc<Moderation<S>>,
    mesh: Arc<Mesh<S>>,
    cache: Arc<Cache<S>>,
}

impl<S: Store> Service<S> {
    /// Puts it together. It holds nothing that must be stopped.
    pub fn new(options: Options<S>) -> Self {
        describe();
        let Options { store, log, public: channel, admission, sealer, bus, cache } = options;
        let store = Arc::new(store);
        let rosters = Arc::new(Rosters::new(Arc::clone(&store), cache, &bus));
        let inboxes = Inboxes::new(Arc::clone(&store), bus);
        let blocks = || Blocks { store: Arc::clone(&store), log: log.clone() };
        let public = Public {
            store: Arc::clone(&store),
            rosters: Arc::clone(&rosters),
            inboxes: inboxes.clone(),
            log: log.clone(),
            admission: admission.clone(),
            sealer: sealer.clone(),
        };
        let users = Users {
            store: Arc::clone(&store),
            blocks: blocks(),
            inboxes: inboxes.clone(),
            admission: admission.clone(),
            sealer: sealer.clone(),
        };
        let moderation =
            Moderation { store: Arc::clone(&store), public: channel, admission, sealer };
        let mesh = Mesh { blocks: blocks(), store, inboxes };
        Self {
            public: Arc::new(public),
            users: Arc::new(users),
            moderation: Arc::new(moderation),
            mesh: Arc::new(mesh),
            cache: Arc::new(Cache { rosters }),
        }
    }

    /// What users call about conversations' participants.
    pub fn public(&self) -> ParticipantsServiceServer<Public<S>> {
        ParticipantsServiceServer::from_arc(Arc::clone(&self.public))
    }

    /// What users call about users.
    pub fn users(&self) -> UsersServiceServer<Users<S>> {
        UsersServiceServer::from_arc(Arc::clone(&self.users))
    }

    /// What users and applications call about moderation.
    pub fn moderation(&self) -> ModerationServiceServer<Moderation<S>> {
        ModerationServiceServer::from_arc(Arc::clone(&self.moderation))
    }

    /// What the mesh calls.
    pub fn mesh(&self) -> MemberRowsServiceServer<Mesh<S>> {
        MemberRowsServiceServer::from_arc(Arc::clone(&self.mesh))
    }

    /// What operators call.
    pub fn cache(&self) -> ParticipantCacheServiceServer<Cache<S>> {
        ParticipantCacheServiceServer::from_arc(Arc::clone(&self.cache))
    }
}

fn describe() {
    describe_counter!("confab_participants_added_total", "users who became participants");
    describe_counter!("confab_participants_removed_total", "users who are participants no longer");
    describe_counter!(
        "confab_participant_cache_total",
        "lists of participants that were asked for"
    );
}
