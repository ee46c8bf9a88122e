//! The configuration: defaults < TOML file < `CONFAB_*` environment < flags.
//! Unknown keys are errors, secrets can be files and are never shown. Opens
//! nothing but those files.

mod explain;
mod gateway;
mod mesh;
mod participant_cache;
mod rates;
mod redis;
mod secret;
mod secrets;
mod sections;
mod store;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use crate::{address::AddressRange, role::Role};
pub use gateway::{Gateway, Origin};
pub use mesh::Mesh;
pub use participant_cache::ParticipantCache;
pub use rates::{Rate, Rates};
pub use redis::Redis;
pub use secret::Secret;
pub use secrets::{Identity, fingerprint};
pub use sections::{Auth, AuthKey, Limits, Log};
pub use store::{CqlStore, Preset, Serial, Store, StoreKind};

/// Environment variables `CONFAB_*` that are not configuration: the tests'
/// switch, and what the command line's clients read.
const NOT_CONFIGURATION: &[&str] = &["mutant", "config", "token", "server"];

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the embedded store and generated keys live.
    pub data_dir: PathBuf,
    /// Where generated keys live instead, for processes that share them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_dir: Option<PathBuf>,
    /// What this process serves; all of it when empty.
    pub roles: Vec<Role>,
    /// Address of the public port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the mesh's port.
    pub mesh_listen: SocketAddr,
    /// Address of the operations port: `/healthz`, `/readyz`, `/metrics`.
    pub ops_listen: SocketAddr,
    /// How long draining may take, in seconds.
    pub drain_seconds: u64,
    /// Authenticates page tokens: 64 hexadecimal digits, the same on all
    /// nodes. Made in the data folder when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token_key: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token_key_file: Option<PathBuf>,
    /// A second key whose page tokens are opened, too, while the first one is
    /// being changed: the one before, or the one to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token_second_key: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token_second_key_file: Option<PathBuf>,
    /// Keys the digests of commands: 64 hexadecimal digits, the same on all
    /// nodes and for ever. Made in the data folder when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_key: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_key_file: Option<PathBuf>,
    /// What is logged, and how.
    pub log: Log,
    /// Whose tokens are accepted.
    pub auth: Auth,
    /// Sizes, times and numbers.
    pub limits: Limits,
    /// How much each user may ask for.
    pub rates: Rates,
    /// The browsers' door.
    pub gateway: Gateway,
    /// The mesh of Confab processes.
    pub mesh: Mesh,
    /// What processes tell each other over.
    pub redis: Redis,
    /// How lists of participants are remembered.
    pub participant_cache: ParticipantCache,
    /// Where everything durable is kept.
    pub store: Store,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            data_dir: "confab-data".into(),
            keys_dir: None,
            roles: Vec::new(),
            listen: local(7400),
            mesh_listen: local(7401),
            ops_listen: local(7402),
            drain_seconds: 30,
            page_token_key: None,
            page_token_key_file: None,
            page_token_second_key: None,
            page_token_second_key_file: None,
            digest_key: None,
            digest_key_file: None,
            log: Log::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            rates: Rates::default(),
            gateway: Gateway::default(),
            mesh: Mesh::default(),
            redis: Redis::default(),
            participant_cache: ParticipantCache::default(),
            store: Store::default(),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown or a value is of the wrong kind.
    #[error("configuration: {}", explain::explain(.0))]
    Malformed(Box<figment::Error>),
    /// The file that was named is not there.
    #[error("configuration file {0} does not exist")]
    NoFile(PathBuf),
    /// A value cannot be used.
    #[error("configuration: {key} {problem}")]
    Invalid {
        /// Which, as it is written in TOML.
        key: &'static str,
        /// Why.
        problem: String,
    },
    /// A secret's file cannot be read.
    #[error("configuration: {key}: {path}: {source}")]
    File {
        /// Which, as it is written in TOML.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key for tokens cannot be used.
    #[error("configuration: auth.keys: {0}")]
    Key(#[from] crate::identity::KeyError),
    /// The issuer's keys cannot be fetched from there.
    #[error("configuration: auth.jwks_url: {0}")]
    JwksUrl(#[from] crate::identity::UrlError),
    /// TLS towards browsers cannot be used.
    #[error("configuration: gateway.tls: {0}")]
    GatewayTls(crate::mesh_tls::TlsError),
    /// TLS between processes cannot be used.
    #[error("configuration: mesh.tls: {0}")]
    MeshTls(#[from] crate::mesh_tls::TlsError),
    /// The dev key cannot be used.
    #[error(transparent)]
    DevKey(#[from] crate::identity::DevKeyError),
    /// The configuration cannot be printed.
    #[error("configuration cannot be printed: {0}")]
    Unprintable(#[from] toml::ser::Error),
}

impl Config {
    /// Reads it. `flags` is anything that serializes to the same keys, with
    /// the flags that were not given left out.
    pub fn load(file: Option<&Path>, flags: impl Serialize) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed("CONFAB_").ignore(NOT_CONFIGURATION).split("__");
        let config: Self = figment
            .merge(environment)
            .merge(Serialized::globals(flags))
            .extract()
            .map_err(|error| ConfigError::Malformed(Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    /// With no keys configured, nor where to fetch some, Confab makes its own
    /// and serves this machine only.
    pub fn is_dev_mode(&self) -> bool {
        self.auth.keys.is_empty() && self.auth.jwks_url.is_none()
    }

    /// The RPCs' roles that this process serves.
    pub fn roles(&self) -> BTreeSet<Role> {
        if self.roles.is_empty() {
            return Role::ALL.into();
        }
        self.roles.iter().copied().filter(|role| *role != Role::Gateway).collect()
    }

    /// Where browsers are served, if this process does that.
    pub fn gateway_listen(&self) -> Option<SocketAddr> {
        let is_gateway = if self.roles.is_empty() {
            self.gateway.enabled
        } else {
            self.roles.contains(&Role::Gateway)
        };
        is_gateway.then_some(self.gateway.listen)
    }

    /// Where generated keys live.
    pub fn keys_dir(&self) -> &Path {
        self.keys_dir.as_deref().unwrap_or(&self.data_dir)
    }

    /// How long draining may take.
    pub fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// The effective configuration in TOML, secrets hidden.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        Ok(toml::to_string(self)?)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let listeners = [
            ("listen", self.listen),
            ("mesh_listen", self.mesh_listen),
            ("ops_listen", self.ops_listen),
        ];
        let gateway = self.gateway_listen().map(|address| ("gateway.listen", address));
        for (key, address) in listeners.into_iter().chain(gateway) {
            if self.is_dev_mode() && !address.ip().is_loopback() {
                return Err(invalid(
                    key,
                    "must be a loopback address in dev mode, because anyone who reaches it could \
                     use the dev key's tokens; configure auth.jwks_url or auth.keys to serve \
                     others",
                ));
            }
        }
        if !self.is_dev_mode() && self.auth.issuer.is_none() {
            return Err(invalid("auth.issuer", "must be set when auth.keys or auth.jwks_url are"));
        }
        self.auth.check()?;
        if self.is_dev_mode() && self.auth.issuer.is_some() {
            return Err(invalid(
                "auth.issuer",
                "is set, but none of its keys: without them it would be dev mode, whose tokens \
                 come from nobody else; set auth.keys or auth.jwks_url, or leave it out",
            ));
        }
        self.auth.check()?;
        self.limits.check()?;
        self.gateway.check(self.is_dev_mode(), self.limits.request_bytes)?;
        self.mesh.check()?;
        self.check_roles()?;
        self.redis.check()?;
        self.participant_cache.check()?;
        self.store.check()?;
        sections::exclusive(
            "page_token_key",
            self.page_token_key.is_some(),
            self.page_token_key_file.is_some(),
        )?;
        sections::exclusive(
            "page_token_second_key",
            self.page_token_second_key.is_some(),
            self.page_token_second_key_file.is_some(),
        )?;
        sections::exclusive(
            "digest_key",
            self.digest_key.is_some(),
            self.digest_key_file.is_some(),
        )?;
        Ok(())
    }

    /// Every part must be somewhere.
    fn check_roles(&self) -> Result<(), ConfigError> {
        let served = self.roles();
        let lost = Role::ALL.into_iter().find(|role| {
            let peers = self.mesh.peers.get(role).is_some_and(|peers| !peers.is_empty());
            !served.contains(role) && !peers
        });
        match lost {
            None => Ok(()),
            Some(role) => Err(invalid(
                "mesh.peers",
                format!(
                    "must say where {role} is served, because this process does not: \
                     mesh.peers.{role} = [\"http://host:7401\"], the mesh's port there"
                ),
            )),
        }
    }
}

fn invalid(key: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { key, problem: problem.into() }
}

#[cfg(test)]
mod tests;
