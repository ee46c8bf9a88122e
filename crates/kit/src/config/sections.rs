//! The sections of the configuration, their defaults and their bounds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, invalid};
use crate::{
    address::AddressRange,
    identity::{Algorithm, DEFAULT_AUDIENCE},
    telemetry::LogFormat,
};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// `info`, or `warn,confab_messages=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: "info,fjall=warn,lsm_tree=warn,scylla=warn".to_owned(),
        }
    }
}

/// Whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The `iss` of every token; required with `keys` and `jwks_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The `aud` of every token, or one of them.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u64,
    /// The longest that a token may live, `exp` minus `iat`, in seconds. What is
    /// revoked is kept for so long.
    pub max_token_seconds: u64,
    /// A stream is told so long before its token ends, in seconds.
    pub expiry_notice_seconds: u64,
    /// The algorithms that tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Where the issuer publishes its keys; `https`, or `http` on a loopback
    /// address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// A file with the certificates, in PEM, that the server there is trusted
    /// by; the system's authorities when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_ca_file: Option<PathBuf>,
    /// Between two regular fetches, in seconds; each is drawn between half and
    /// one and a half of it.
    pub jwks_refresh_seconds: u64,
    /// The least time between two fetches, in seconds, however many tokens
    /// name a key that is not known.
    pub jwks_min_interval_seconds: u64,
    /// Keys that tokens are verified with. Neither these nor `jwks_url` is dev
    /// mode.
    pub keys: Vec<AuthKey>,
}

/// Clocks that differ by more are broken, and so is a token's lifetime then.
const MAX_LEEWAY_SECONDS: u64 = 3600;

impl Default for Auth {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: DEFAULT_AUDIENCE.to_owned(),
            leeway_seconds: 60,
            max_token_seconds: 30 * 24 * 3600,
            expiry_notice_seconds: 60,
            algorithms: Algorithm::ALL.to_vec(),
            jwks_url: None,
            jwks_ca_file: None,
            jwks_refresh_seconds: 300,
            jwks_min_interval_seconds: 30,
            keys: Vec::new(),
        }
    }
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.leeway_seconds > MAX_LEEWAY_SECONDS {
            return Err(invalid("auth.leeway_seconds", "must not be above 3600"));
        }
        if self.algorithms.is_empty() {
            return Err(invalid("auth.algorithms", "must not be empty"));
        }
        if self.jwks_refresh_seconds == 0 {
            return Err(invalid("auth.jwks_refresh_seconds", "must be above 0"));
        }
        if self.jwks_ca_file.is_some() && self.jwks_url.is_none() {
            return Err(invalid("auth.jwks_ca_file", "is of no use without auth.jwks_url"));
        }
        for key in &self.keys {
            exclusive("auth.keys.pem", key.pem.is_some(), key.pem_file.is_some())?;
            if !self.algorithms.contains(&key.algorithm) {
                let problem = format!("{:?} is not in auth.algorithms", key.algorithm);
                return Err(invalid("auth.keys.algorithm", problem));
            }
        }
        Ok(())
    }
}

/// A key that tokens are verified with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthKey {
    /// Its name in the tokens' header.
    pub kid: String,
    /// The one algorithm that it is used with.
    pub algorithm: Algorithm,
    /// The public key in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// A file with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem_file: Option<PathBuf>,
}

/// Sizes, times and numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A message's text, in bytes of UTF-8.
    pub text_bytes: usize,
    /// A frame that a client sends on a stream, in bytes.
    pub frame_bytes: usize,
    /// The request of a unary call, in bytes.
    pub request_bytes: usize,
    /// The deadline of a unary call that asks for none, in milliseconds.
    pub default_deadline_ms: u64,
    /// The longest deadline of a unary call, in milliseconds.
    pub max_deadline_ms: u64,
    /// Open calls on one connection.
    pub streams_per_connection: u32,
    /// Open connections of one port.
    pub max_connections: usize,
    /// A connection on which no call has proven who makes it is closed after
    /// this, in seconds.
    pub unauthenticated_idle_seconds: u64,
    /// A connection whose client takes nothing for so long, though something
    /// is to be written all the time, is closed, in seconds.
    pub write_stall_seconds: u64,
    /// A call whose client takes nothing of its answer for so long is reset, in
    /// seconds.
    pub answer_stall_seconds: u64,
    /// A stream that says no hello is closed after this, in milliseconds.
    pub hello_timeout_ms: u64,
    /// Time between two heartbeats on a stream, in milliseconds.
    pub heartbeat_ms: u64,
    /// How often a stream asks the log, with jitter, for what nobody has told of what it
    /// watches, in milliseconds.
    pub heal_ms: u64,
    /// What may wait for a slow reader of a stream, in bytes.
    pub stream_queue_bytes: usize,
    /// How often messages are looked for that their conversation's retention
    /// expires, in seconds.
    pub retention_seconds: u64,
    /// Open streams of one user; 0 is no limit. 50 when absent, and none in
    /// dev mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams_per_user: Option<u32>,
    /// New connections from one address in a minute; 0 is no limit. 600 when
    /// absent, and none in dev mode and for loopback addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address_per_minute: Option<u32>,
    /// Open connections from one address; 0 is no limit. 2000 when absent, and
    /// none in dev mode and for loopback addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// Tokens from one address, in a minute, that prove nothing; 0 is no limit.
    /// 60 when absent, and none in dev mode and for loopback addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_auth_per_address_per_minute: Option<u32>,
    /// Addresses of proxies, as `10.0.0.0/8`: behind each are many clients, so
    /// none of the limits of one address is for them.
    pub trusted_proxies: Vec<AddressRange>,
    /// Streams that do not watch a conversation hear of its heads and receipts up
    /// to this many participants.
    pub live_head_participants: u32,
    /// Typing is passed on up to this many participants, and as many watchers.
    pub typing_participants: u32,
    /// Users whose presence one stream may watch.
    pub presences_per_stream: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 16 * 1024,
            frame_bytes: 64 * 1024,
            request_bytes: 256 * 1024,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
            streams_per_connection: 1000,
            max_connections: 20_000,
            unauthenticated_idle_seconds: 20,
            write_stall_seconds: 30,
            answer_stall_seconds: 60,
            hello_timeout_ms: 10_000,
            heartbeat_ms: 15_000,
            heal_ms: 30_000,
            stream_queue_bytes: 1024 * 1024,
            retention_seconds: 3600,
            streams_per_user: None,
            connections_per_address_per_minute: None,
            connections_per_address: None,
            failed_auth_per_address_per_minute: None,
            trusted_proxies: Vec::new(),
            live_head_participants: 500,
            typing_participants: 200,
            presences_per_stream: 200,
        }
    }
}

/// A hello that watches as many conversations as it may, 200, fits.
const MIN_FRAME_BYTES: usize = 16 * 1024;

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("limits.text_bytes", self.text_bytes > 0),
            ("limits.default_deadline_ms", self.default_deadline_ms > 0),
            ("limits.streams_per_connection", self.streams_per_connection > 0),
            ("limits.max_connections", self.max_connections > 0),
            ("limits.unauthenticated_idle_seconds", self.unauthenticated_idle_seconds > 0),
            ("limits.write_stall_seconds", self.write_stall_seconds > 0),
            ("limits.answer_stall_seconds", self.answer_stall_seconds > 0),
            ("limits.hello_timeout_ms", self.hello_timeout_ms > 0),
            ("limits.heartbeat_ms", self.heartbeat_ms > 0),
            ("limits.heal_ms", self.heal_ms > 0),
            ("limits.retention_seconds", self.retention_seconds > 0),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, good)| !good) {
            return Err(invalid(key, "must be above 0"));
        }
        if self.frame_bytes < MIN_FRAME_BYTES {
            let problem = format!("must not be below {MIN_FRAME_BYTES}: a hello would not fit");
            return Err(invalid("limits.frame_bytes", problem));
        }
        if self.max_deadline_ms < self.default_deadline_ms {
            return Err(invalid("limits.max_deadline_ms", "must not be below default_deadline_ms"));
        }
        if self.request_bytes < self.text_bytes {
            return Err(invalid("limits.request_bytes", "must not be below text_bytes"));
        }
        if self.stream_queue_bytes < self.text_bytes {
            return Err(invalid("limits.stream_queue_bytes", "must not be below text_bytes"));
        }
        Ok(())
    }
}

/// Refuses a value that is given twice.
pub(super) fn exclusive(key: &'static str, value: bool, file: bool) -> Result<(), ConfigError> {
    if value && file {
        return Err(invalid(key, "and its _file are both set; set one"));
    }
    Ok(())
}
