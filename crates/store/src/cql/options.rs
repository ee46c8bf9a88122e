//! Where the server is and what may be asked of it.

use std::time::Duration;

use confab_log::mutant;
use scylla::statement::{Consistency, SerialConsistency};

use super::OpenError;

/// Where conditional writes find their quorum. A keyspace is written with one of
/// the two for ever: two writes, one of each, do not see each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serial {
    /// Among all replicas (`SERIAL`, `QUORUM`).
    #[default]
    Everywhere,
    /// Among those of this node's data centre (`LOCAL_SERIAL`, `LOCAL_QUORUM`): for
    /// keyspaces that are written from one data centre only.
    Local,
}

/// How many replicas answer for what may be lost or be seen late: see
/// [`Cql::relaxed`](super::Cql::relaxed). Everything else is always `Safe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// One (`LOCAL_ONE`): lost when it dies before it has told the others, and not
    /// always read back at once.
    Fast,
    /// A quorum of the nearest data centre's (`LOCAL_QUORUM`): not always read back
    /// at once from another data centre.
    Balanced,
    /// As for everything else.
    #[default]
    Safe,
}

/// How to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Nodes of the cluster, `host:port`, at least one. The others are learned.
    pub contact_points: Vec<String>,
    /// The keyspace: a lower-case letter, then those, digits and `_`, at most 48.
    pub keyspace: String,
    /// Whether to make the keyspace if it is not there: in development and tests.
    pub create_keyspace: bool,
    /// What it is made with, as CQL: `{'class': 'SimpleStrategy', …}`.
    pub replication: String,
    /// The data centre that requests go to; unset: any.
    pub data_centre: Option<String>,
    /// Where conditional writes find their quorum.
    pub serial: Serial,
    /// How many replicas answer for what may be lost or be seen late.
    pub preset: Preset,
    /// User and password, where the server wants them.
    pub credentials: Option<(String, String)>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer. Shorter than the servers' own time-outs it
    /// turns answers into unknown outcomes.
    pub request_timeout: Duration,
}

impl Options {
    /// A keyspace at these contact points; it must be there.
    pub fn new(contact_points: Vec<String>, keyspace: &str) -> Self {
        Self {
            contact_points,
            keyspace: keyspace.to_owned(),
            create_keyspace: false,
            replication: "{'class': 'SimpleStrategy', 'replication_factor': 1}".to_owned(),
            data_centre: None,
            serial: Serial::default(),
            preset: Preset::default(),
            credentials: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(4),
        }
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        // It is a part of statements' texts.
        let mut bytes = self.keyspace.bytes();
        let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let goes_on = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !begins || !goes_on || self.keyspace.len() > 48 {
            return Err(OpenError::InvalidOption {
                problem: format!("{:?} is no name of a keyspace", self.keyspace),
            });
        }
        if self.serial == Serial::Local && self.data_centre.is_none() {
            let problem = "local serial consistency needs the data centre's name".to_owned();
            return Err(OpenError::InvalidOption { problem });
        }
        Ok(())
    }

    pub(super) fn consistency(&self) -> Consistency {
        if mutant::is("ask-all-replicas") {
            return Consistency::All;
        }
        match self.serial {
            Serial::Everywhere => Consistency::Quorum,
            Serial::Local => Consistency::LocalQuorum,
        }
    }

    pub(super) fn relaxed_consistency(&self) -> Consistency {
        match self.preset {
            Preset::Fast => Consistency::LocalOne,
            Preset::Balanced => Consistency::LocalQuorum,
            Preset::Safe => self.consistency(),
        }
    }

    pub(super) fn serial_consistency(&self) -> SerialConsistency {
        match self.serial {
            Serial::Everywhere => SerialConsistency::Serial,
            Serial::Local => SerialConsistency::LocalSerial,
        }
    }

    /// Of a read that finishes what conditional writes have left open.
    pub(super) fn settling_consistency(&self) -> Consistency {
        match self.serial {
            Serial::Everywhere => Consistency::Serial,
            Serial::Local => Consistency::LocalSerial,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("contact_points", &self.contact_points)
            .field("keyspace", &self.keyspace)
            .field("data_centre", &self.data_centre)
            .field("serial", &self.serial)
            .field("preset", &self.preset)
            .field("credentials", &self.credentials.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}
