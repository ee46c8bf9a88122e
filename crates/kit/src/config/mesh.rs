//! The section `mesh`: what processes show each other, and where they are.

use std::{collections::BTreeMap, path::PathBuf};

use http::Uri;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret, invalid, sections::exclusive};
use crate::role::Role;

/// The mesh of Confab processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mesh {
    /// What processes show each other, the same on all nodes. Made beside the
    /// other keys when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_file: Option<PathBuf>,
    /// How often the names among the peers are looked up again, in seconds; each
    /// time is drawn between half and one and a half of it.
    pub resolve_seconds: u64,
    /// So many failures in a row and a peer is asked nothing for a while.
    pub breaker_failures: u32,
    /// The longest that this while grows to, in seconds.
    pub breaker_open_seconds: u64,
    /// Where each role is served: the mesh's ports, `http://10.0.0.1:7401` or
    /// `http://messages.chat.svc:7401`. A name stands for all its addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<Role, Vec<String>>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            credential: None,
            credential_file: None,
            resolve_seconds: 10,
            breaker_failures: 5,
            breaker_open_seconds: 60,
            peers: BTreeMap::new(),
        }
    }
}

impl Mesh {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        exclusive("mesh.credential", self.credential.is_some(), self.credential_file.is_some())?;
        let positive = [
            ("mesh.resolve_seconds", self.resolve_seconds > 0),
            ("mesh.breaker_failures", self.breaker_failures > 0),
            ("mesh.breaker_open_seconds", self.breaker_open_seconds > 0),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, good)| !good) {
            return Err(invalid(key, "must be above 0"));
        }
        match self.peers.values().flatten().find(|uri| !is_address(uri)) {
            None => Ok(()),
            Some(uri) => {
                let problem = format!("{uri:?} is not like http://host:7401");
                Err(invalid("mesh.peers", problem))
            }
        }
    }
}

/// `http`, a host, a port and nothing else.
fn is_address(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    uri.scheme_str() == Some("http") && plain && uri.port().is_some() && uri.path() == "/"
}
