//! The embedded engine, in the data folder.

use std::{collections::BTreeSet, sync::Arc};

use confab_kit::{config::Config, role::Role};
use confab_messages::store::embedded::EmbeddedLogStore;
use confab_realtime::store::{EmbeddedLastSeen, EmbeddedRevocations, EmbeddedSessions};
use confab_store::{
    StoreError,
    embedded::{Engine, Options},
};

use crate::folder;

use super::{Backend, Realtime, StoreOpenError};

/// The keyspace of the keys' fingerprints, for ever. Key: the key's name; value: a
/// format byte and the fingerprint.
const KEYS: &str = "keys";
const FORMAT: u8 = 1;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Embedded(pub(crate) Engine);

impl Backend for Embedded {
    type Logs = EmbeddedLogStore;
    type Conversations = confab_conversations::EmbeddedStore;
    type Participants = confab_participants::EmbeddedStore;

    async fn open(config: &Config) -> Result<Self, StoreOpenError> {
        Ok(Self(Engine::open(&config.data_dir, Options::default())?))
    }

    async fn take(&self, roles: &BTreeSet<Role>) -> Result<String, StoreOpenError> {
        Ok(folder::take(&self.0, roles).await?)
    }

    async fn logs(&self, _: &Config) -> Result<Self::Logs, StoreOpenError> {
        Ok(EmbeddedLogStore::open(&self.0)?)
    }

    async fn conversations(&self) -> Result<Self::Conversations, StoreOpenError> {
        Ok(confab_conversations::EmbeddedStore::open(&self.0)?)
    }

    async fn participants(&self) -> Result<Self::Participants, StoreOpenError> {
        Ok(confab_participants::EmbeddedStore::open(&self.0)?)
    }

    async fn realtime(&self) -> Result<Realtime, StoreOpenError> {
        Ok(Realtime {
            sessions: Arc::new(EmbeddedSessions::open(&self.0)?),
            revoked: Arc::new(EmbeddedRevocations::open(&self.0)?),
            last_seen: Arc::new(EmbeddedLastSeen::open(&self.0)?),
        })
    }

    fn engine(&self) -> Option<Engine> {
        Some(self.0.clone())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.0.probe().await
    }

    async fn known_key(&self, name: &'static str) -> Result<Option<[u8; 16]>, StoreError> {
        let value = self.0.keyspace(KEYS)?.get(name)?;
        value.map(|value| fingerprint(name, &value)).transpose()
    }

    async fn note_key(
        &self,
        name: &'static str,
        before: Option<[u8; 16]>,
        now: [u8; 16],
    ) -> Result<bool, StoreError> {
        let keys = self.0.keyspace(KEYS)?;
        let noted = self.0.transact(move |txn| {
            let known = txn.get(&keys, name)?;
            let known = known.map(|value| fingerprint(name, &value)).transpose()?;
            if known == before {
                txn.put(&keys, name, [&[FORMAT][..], &now].concat());
            }
            Ok(known == before)
        });
        noted.await?
    }

    async fn forget_key(&self, name: &'static str) -> Result<(), StoreError> {
        let keys = self.0.keyspace(KEYS)?;
        self.0.transact(move |txn| txn.remove(&keys, name)).await
    }
}

fn fingerprint(name: &str, value: &[u8]) -> Result<[u8; 16], StoreError> {
    let bytes = value.strip_prefix(&[FORMAT]).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        StoreError::corrupt(format!("the fingerprint of {name} has an unknown form"))
    })
}
