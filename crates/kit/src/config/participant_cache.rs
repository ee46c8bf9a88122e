//! The section `participant_cache`: who is in a conversation, remembered.

use serde::{Deserialize, Serialize};

use super::{ConfigError, invalid};

/// How lists of participants are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParticipantCache {
    /// Whether they are at all.
    pub enabled: bool,
    /// Bytes of them in this process, at most.
    pub memory_bytes: usize,
    /// Conversations in this process, at most.
    pub conversations: usize,
    /// How long one is remembered, here and in Redis, in seconds.
    pub seconds: u64,
}

impl Default for ParticipantCache {
    fn default() -> Self {
        Self { enabled: true, memory_bytes: 32 << 20, conversations: 10_000, seconds: 300 }
    }
}

impl ParticipantCache {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.seconds == 0 {
            return Err(invalid("participant_cache.seconds", "must be above 0"));
        }
        Ok(())
    }
}
