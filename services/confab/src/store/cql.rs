//! A keyspace of ScyllaDB or Apache Cassandra.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use confab_conversations::store::cql as conversations;
use confab_kit::{
    config::{Config, Preset, Serial},
    random,
    role::Role,
};
use confab_messages::store::cql as messages;
use confab_participants::store::cql as participants;
use confab_realtime::store::cql as realtime;
use confab_store::{
    StoreError,
    cql::{
        Conditional, Cql as Connection, Migration, Options, Preset as StorePreset, Read,
        Serial as StoreSerial,
    },
    embedded::Engine,
};

use super::{Backend, Realtime, StoreOpenError};

/// What the program itself keeps.
const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, text: include_str!("cql/migrations/1.cql") }];
const SERVICE: &str = "confab";
/// The row beside those of the keys that says which keyspace this is.
const ID: &str = "keyspace_id";
/// How often it is looked for, and made where it is not there.
const LOOKS: usize = 3;

/// Everything that is in a keyspace, and who keeps it.
const ALL_MIGRATIONS: [(&str, &[Migration]); 5] = [
    (SERVICE, MIGRATIONS),
    (messages::SERVICE, messages::MIGRATIONS),
    (conversations::SERVICE, conversations::MIGRATIONS),
    (participants::SERVICE, participants::MIGRATIONS),
    (realtime::SERVICE, realtime::MIGRATIONS),
];

/// See the module.
#[derive(Clone)]
pub(crate) struct Cql {
    connection: Connection,
    keys: Arc<Keys>,
}

struct Keys {
    known: Read,
    add: Conditional,
    change: Conditional,
    remove: Conditional,
}

/// Makes what is missing in the keyspace; says how much that was for each service.
pub(crate) async fn migrate(config: &Config) -> Result<Vec<(&'static str, usize)>, StoreOpenError> {
    migrate_on(&connect(config).await?).await
}

async fn migrate_on(connection: &Connection) -> Result<Vec<(&'static str, usize)>, StoreOpenError> {
    let mut made = Vec::with_capacity(ALL_MIGRATIONS.len());
    for (service, migrations) in ALL_MIGRATIONS {
        made.push((service, connection.migrate(service, migrations).await?));
    }
    Ok(made)
}

async fn connect(config: &Config) -> Result<Connection, StoreOpenError> {
    let cql = &config.store.cql;
    let options = Options {
        create_keyspace: cql.create_keyspace.unwrap_or(config.is_dev_mode()),
        replication: cql.replication.clone(),
        data_centre: cql.data_centre.clone(),
        serial: match cql.serial {
            Serial::Everywhere => StoreSerial::Everywhere,
            Serial::Local => StoreSerial::Local,
        },
        preset: match cql.preset {
            Preset::Fast => StorePreset::Fast,
            Preset::Balanced => StorePreset::Balanced,
            Preset::Safe => StorePreset::Safe,
        },
        credentials: config.cql_credentials()?,
        connect_timeout: Duration::from_millis(cql.connect_timeout_ms),
        request_timeout: Duration::from_millis(cql.request_timeout_ms),
        ..Options::new(cql.contact_points.clone(), &cql.keyspace)
    };
    Ok(Connection::connect(options).await?)
}

impl Keys {
    async fn prepare(connection: &Connection) -> Result<Self, StoreError> {
        Ok(Self {
            known: connection.read("SELECT fingerprint FROM keyspace.confab_keys WHERE name = ?").await?,
            add: connection
                .conditional(
                    "INSERT INTO keyspace.confab_keys (name, fingerprint) VALUES (?, ?) IF NOT EXISTS",
                )
                .await?,
            change: connection
                .conditional(
                    "UPDATE keyspace.confab_keys SET fingerprint = ? WHERE name = ? IF fingerprint = ?",
                )
                .await?,
            remove: connection
                .conditional("DELETE FROM keyspace.confab_keys WHERE name = ? IF EXISTS")
                .await?,
        })
    }
}

impl Backend for Cql {
    type Logs = messages::CqlLogStore;
    type Conversations = conversations::CqlStore;
    type Participants = participants::CqlStore;

    async fn open(config: &Config) -> Result<Self, StoreOpenError> {
        let connection = connect(config).await?;
        if config.store.cql.migrate.unwrap_or(config.is_dev_mode()) {
            migrate_on(&connection).await?;
        }
        connection.check_migrated(SERVICE, MIGRATIONS).await?;
        let keys = Arc::new(Keys::prepare(&connection).await?);
        Ok(Self { connection, keys })
    }

    /// Any number of processes serve any roles from one keyspace.
    async fn take(&self, _: &BTreeSet<Role>) -> Result<String, StoreOpenError> {
        for _ in 0..LOOKS {
            if let Some(id) = self.known_key(ID).await? {
                return Ok(hex::encode(id));
            }
            // Not added: another process was faster.
            self.note_key(ID, None, random::bytes()).await?;
        }
        Err(StoreError::corrupt("the keyspace has no id").into())
    }

    async fn logs(&self, config: &Config) -> Result<Self::Logs, StoreOpenError> {
        let rows = config.store.cql.partition_rows;
        Ok(messages::CqlLogStore::open(&self.connection, rows).await?)
    }

    async fn conversations(&self) -> Result<Self::Conversations, StoreOpenError> {
        Ok(conversations::CqlStore::open(&self.connection).await?)
    }

    async fn participants(&self) -> Result<Self::Participants, StoreOpenError> {
        Ok(participants::CqlStore::open(&self.connection).await?)
    }

    async fn realtime(&self) -> Result<Realtime, StoreOpenError> {
        let connection = &self.connection;
        Ok(Realtime {
            sessions: Arc::new(realtime::CqlSessions::open(connection).await?),
            revoked: Arc::new(realtime::CqlRevocations::open(connection).await?),
            last_seen: Arc::new(realtime::CqlLastSeen::open(connection).await?),
        })
    }

    fn engine(&self) -> Option<Engine> {
        None
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.connection.ping().await
    }

    async fn known_key(&self, name: &'static str) -> Result<Option<[u8; 16]>, StoreError> {
        let row: Option<(Vec<u8>,)> = self.keys.known.first((name,)).await?;
        let unknown = || StoreError::corrupt(format!("the fingerprint of {name}"));
        row.map(|(bytes,)| bytes.try_into().map_err(|_| unknown())).transpose()
    }

    async fn note_key(
        &self,
        name: &'static str,
        before: Option<[u8; 16]>,
        now: [u8; 16],
    ) -> Result<bool, StoreError> {
        let noted = match before {
            None => self.keys.add.run((name, &now[..])).await,
            Some(before) => self.keys.change.run((&now[..], name, &before[..])).await,
        };
        match noted {
            // Whoever asks looks again then, and finds it, or tries again.
            Err(error) if !error.is_determinate() => {
                tracing::warn!(name, %error, "whether a key was noted is not known");
                Ok(false)
            }
            noted => noted,
        }
    }

    async fn forget_key(&self, name: &'static str) -> Result<(), StoreError> {
        self.keys.remove.run((name,)).await.map(drop)
    }
}
