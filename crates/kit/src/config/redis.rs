//! The section `redis`: what processes tell each other over.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret, invalid, sections::exclusive};

/// The longest prefix.
const MAX_PREFIX: usize = 64;

/// A Redis that all processes share. Without one they tell each other directly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://user:password@host:6379`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// In front of all names there, for Confabs that share a Redis.
    pub prefix: String,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: None, url_file: None, prefix: "confab".to_owned() }
    }
}

impl Redis {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        exclusive("redis.url", self.url.is_some(), self.url_file.is_some())?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !(1..=MAX_PREFIX).contains(&self.prefix.len()) || !self.prefix.bytes().all(good) {
            let rule = "must be 1 to 64 characters of A-Z a-z 0-9 and -_.:";
            return Err(invalid("redis.prefix", rule));
        }
        Ok(())
    }

    /// Whether there is one.
    pub fn is_configured(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }
}
