//! The section `mesh`: what processes show each other, and where they are.

use std::{collections::BTreeMap, path::PathBuf};

use http::Uri;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret, invalid, sections::exclusive};
use crate::{
    mesh_tls::{MeshTls, TlsFiles},
    role::Role,
};

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
    /// This process's certificate in PEM, for TLS between processes. With it, all of
    /// them speak TLS and show theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The certificates of the authority that signs them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
    /// The name that they are all for; each peer's host when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
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
            tls_cert_file: None,
            tls_key_file: None,
            tls_ca_file: None,
            tls_name: None,
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
        if self.peers.contains_key(&Role::Gateway) {
            return Err(invalid("mesh.peers", "must not name gateway: nobody asks it anything"));
        }
        let scheme = self.check_tls()?;
        match self.peers.values().flatten().find(|uri| !is_address(uri, scheme)) {
            None => Ok(()),
            Some(uri) => {
                let problem = format!("{uri:?} is not like {scheme}://host:7401");
                Err(invalid("mesh.peers", problem))
            }
        }
    }

    /// All of TLS or nothing of it; the scheme that the peers' addresses have then.
    fn check_tls(&self) -> Result<&'static str, ConfigError> {
        let files = [&self.tls_cert_file, &self.tls_key_file, &self.tls_ca_file];
        match files.iter().filter(|file| file.is_some()).count() {
            0 if self.tls_name.is_none() => Ok("http"),
            3 => Ok("https"),
            _ => Err(invalid(
                "mesh.tls_cert_file",
                "needs mesh.tls_key_file and mesh.tls_ca_file, and so does each of them the others",
            )),
        }
    }

    /// TLS between processes, if it is configured.
    pub fn tls(&self) -> Result<Option<MeshTls>, ConfigError> {
        let (Some(certificate), Some(key), Some(authority)) =
            (&self.tls_cert_file, &self.tls_key_file, &self.tls_ca_file)
        else {
            return Ok(None);
        };
        let files = TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            authority: authority.clone(),
            name: self.tls_name.clone(),
        };
        Ok(Some(MeshTls::load(&files)?))
    }
}

/// The scheme, a host, a port and nothing else.
fn is_address(text: &str, scheme: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    uri.scheme_str() == Some(scheme) && plain && uri.port().is_some() && uri.path() == "/"
}
