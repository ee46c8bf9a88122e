//! The store of a node, whichever engine it is: where each service's part of it
//! comes from, and what the program itself keeps in it.

#[cfg(feature = "cql")]
mod cql;
mod embedded;

use std::{collections::BTreeSet, future::Future, sync::Arc};

use confab_conversations::ConversationStore;
use confab_kit::{
    config::{Config, ConfigError, StoreKind},
    role::Role,
};
use confab_messages::store::{LogStore, RuleStore};
use confab_realtime::store::{LastSeenStore, RevocationStore, SessionStore};
use confab_store::{OpenError, StoreError, embedded::Engine};

use crate::{Failure, folder::FolderError, keys};

#[cfg(feature = "cql")]
pub(crate) use cql::{Cql, migrate};
pub(crate) use embedded::Embedded;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be opened.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The keyspace cannot be used.
    #[cfg(feature = "cql")]
    #[error(transparent)]
    Keyspace(#[from] confab_store::cql::OpenError),
    /// The data folder is not for what this process serves.
    #[error(transparent)]
    Roles(#[from] FolderError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not a part of this program.
    #[cfg(not(feature = "cql"))]
    #[error("store.kind is cql, but this program was built without the feature cql")]
    NotBuilt,
}

/// What the realtime service keeps.
pub(crate) struct Realtime {
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) revoked: Arc<dyn RevocationStore>,
    pub(crate) last_seen: Arc<dyn LastSeenStore>,
}

/// An engine.
pub(crate) trait Backend: Clone + Send + Sync + 'static {
    type Logs: LogStore + RuleStore;
    type Conversations: ConversationStore;
    type Participants: confab_participants::Store;

    /// Opens it as the configuration says.
    fn open(config: &Config) -> impl Future<Output = Result<Self, StoreOpenError>> + Send;

    /// Takes it for these roles; its id. Processes that serve one role serve it from
    /// a store with one id.
    fn take(
        &self,
        roles: &BTreeSet<Role>,
    ) -> impl Future<Output = Result<String, StoreOpenError>> + Send;

    fn logs(
        &self,
        config: &Config,
    ) -> impl Future<Output = Result<Self::Logs, StoreOpenError>> + Send;

    fn conversations(
        &self,
    ) -> impl Future<Output = Result<Self::Conversations, StoreOpenError>> + Send;

    fn participants(
        &self,
    ) -> impl Future<Output = Result<Self::Participants, StoreOpenError>> + Send;

    fn realtime(&self) -> impl Future<Output = Result<Realtime, StoreOpenError>> + Send;

    /// The data folder's engine, if it is that.
    fn engine(&self) -> Option<Engine>;

    /// Whether it can be used now.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The fingerprint of the key that it was used with.
    fn known_key(
        &self,
        name: &'static str,
    ) -> impl Future<Output = Result<Option<[u8; 16]>, StoreError>> + Send;

    /// Notes a fingerprint, if the one that is known is still the one given.
    fn note_key(
        &self,
        name: &'static str,
        before: Option<[u8; 16]>,
        now: [u8; 16],
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    fn forget_key(&self, name: &'static str)
    -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Forgets with which keys the store was used.
pub(crate) async fn forget_keys(config: &Config) -> Result<(), Failure> {
    match config.store.kind {
        StoreKind::Embedded => keys::forget(config, &Embedded::open(config).await?).await?,
        #[cfg(feature = "cql")]
        StoreKind::Cql => keys::forget(config, &Cql::open(config).await?).await?,
        #[cfg(not(feature = "cql"))]
        StoreKind::Cql => return Err(StoreOpenError::NotBuilt.into()),
    }
    Ok(())
}

/// Makes what is missing in the keyspace.
#[cfg(not(feature = "cql"))]
pub(crate) async fn migrate(_: &Config) -> Result<Vec<(&'static str, usize)>, StoreOpenError> {
    Err(StoreOpenError::NotBuilt)
}
