//! The sections of the configuration, their defaults and their bounds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret, invalid};
use crate::{
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
        Self { format: LogFormat::Human, filter: "info,fjall=warn,lsm_tree=warn".to_owned() }
    }
}

/// Whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The `iss` of every token; required with `keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The `aud` of every token.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u64,
    /// The keys that tokens are verified with. None is dev mode.
    pub keys: Vec<AuthKey>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: DEFAULT_AUDIENCE.to_owned(),
            leeway_seconds: 60,
            keys: Vec::new(),
        }
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
    /// What may wait for a slow reader of a stream, in bytes.
    pub stream_queue_bytes: usize,
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
            stream_queue_bytes: 1024 * 1024,
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("limits.text_bytes", self.text_bytes > 0),
            ("limits.frame_bytes", self.frame_bytes > 0),
            ("limits.default_deadline_ms", self.default_deadline_ms > 0),
            ("limits.streams_per_connection", self.streams_per_connection > 0),
            ("limits.max_connections", self.max_connections > 0),
            ("limits.unauthenticated_idle_seconds", self.unauthenticated_idle_seconds > 0),
            ("limits.write_stall_seconds", self.write_stall_seconds > 0),
            ("limits.answer_stall_seconds", self.answer_stall_seconds > 0),
            ("limits.hello_timeout_ms", self.hello_timeout_ms > 0),
            ("limits.heartbeat_ms", self.heartbeat_ms > 0),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, good)| !good) {
            return Err(invalid(key, "must be above 0"));
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

/// The mesh of Confab processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mesh {
    /// What processes show each other, the same on all nodes. Made in the data
    /// folder when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_file: Option<PathBuf>,
}

/// Refuses a value that is given twice.
pub(super) fn exclusive(key: &'static str, value: bool, file: bool) -> Result<(), ConfigError> {
    if value && file {
        return Err(invalid(key, "and its _file are both set; set one"));
    }
    Ok(())
}
