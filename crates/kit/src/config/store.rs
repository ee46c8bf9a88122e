//! Where everything durable is kept.

use std::{num::NonZeroU64, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret, invalid, sections::exclusive};

/// Where everything durable is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// By which engine.
    pub kind: StoreKind,
    /// Of the engine `cql` only.
    pub cql: CqlStore,
}

/// An engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In the data folder, for one process.
    #[default]
    Embedded,
    /// In a keyspace of ScyllaDB or Apache Cassandra, for any number of them.
    Cql,
}

/// Where conditional writes find their quorum: one of the two for a keyspace, for
/// ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serial {
    /// Among all replicas.
    #[default]
    Everywhere,
    /// Among those of `data_centre`: it alone writes to the keyspace.
    Local,
}

/// How many replicas answer for receipts, and for when users were last here. All
/// else is always `Safe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// One.
    Fast,
    /// A quorum of the nearest data centre's.
    Balanced,
    /// A quorum, as for everything else.
    #[default]
    Safe,
}

/// ScyllaDB or Apache Cassandra.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CqlStore {
    /// Nodes of the cluster, `host:port`. The others are learned from them.
    pub contact_points: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// The data centre that requests go to; any, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_centre: Option<String>,
    /// Where conditional writes find their quorum.
    pub serial: Serial,
    /// How many replicas answer for receipts, and for when users were last here.
    pub preset: Preset,
    /// Who Confab is to the server, where that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// And the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether to make the keyspace if it is not there; when absent, in dev mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_keyspace: Option<bool>,
    /// What a keyspace is made with, in CQL.
    pub replication: String,
    /// Whether a start makes missing migrations; when absent, in dev mode. Otherwise
    /// `confab migrate` makes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate: Option<bool>,
    /// Events of a log in one partition. A keyspace keeps what it began with.
    pub partition_rows: NonZeroU64,
    /// How long to wait for a connection.
    pub connect_timeout_ms: u64,
    /// How long to wait for an answer.
    pub request_timeout_ms: u64,
}

impl Default for CqlStore {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "confab".to_owned(),
            data_centre: None,
            serial: Serial::default(),
            preset: Preset::default(),
            user: None,
            password: None,
            password_file: None,
            create_keyspace: None,
            replication: "{'class': 'SimpleStrategy', 'replication_factor': 1}".to_owned(),
            migrate: None,
            partition_rows: const { NonZeroU64::new(4096).unwrap() },
            connect_timeout_ms: 5000,
            request_timeout_ms: 4000,
        }
    }
}

impl Store {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let cql = &self.cql;
        exclusive("store.cql.password", cql.password.is_some(), cql.password_file.is_some())?;
        let has_password = cql.password.is_some() || cql.password_file.is_some();
        if cql.user.is_some() != has_password {
            return Err(invalid("store.cql.user", "and a password belong together"));
        }
        if self.kind == StoreKind::Cql && cql.contact_points.is_empty() {
            return Err(invalid("store.cql.contact_points", "must name a node"));
        }
        if cql.serial == Serial::Local && cql.data_centre.is_none() {
            return Err(invalid("store.cql.data_centre", "must be set when serial is local"));
        }
        Ok(())
    }
}
