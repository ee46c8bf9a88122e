//! The parts that Confab can be run in, each in processes of its own: what a
//! process serves, and which part a path of the contract belongs to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The log, and what people say.
    Messages,
    /// Conversations' rows and users' lists.
    Conversations,
    /// Participants, inboxes, profiles and moderation.
    Participants,
    /// Streams and sessions.
    Realtime,
    /// The browsers' door. It owns no RPC: it is an entry to those of the others.
    Gateway,
}

impl Role {
    /// All that serve RPCs.
    pub const ALL: [Self; 4] =
        [Self::Messages, Self::Conversations, Self::Participants, Self::Realtime];

    /// As it is written in configuration, and in the packages of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::Participants => "participants",
            Self::Realtime => "realtime",
            Self::Gateway => "gateway",
        }
    }

    /// Whose the RPC is: `/confab.messages.v1.LogService/Append` is of `messages`.
    pub fn of_path(path: &str) -> Option<Self> {
        let area = path.strip_prefix("/confab.")?.split('.').next()?;
        Self::ALL.into_iter().find(|role| role.name() == area)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter().chain([Self::Gateway]);
        let found = all.find(|role| role.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no role {text:?}; there are {names}, gateway")
        })
    }
}

#[cfg(test)]
mod tests {
    use confab_proto::method::METHODS;

    use super::*;

    #[test]
    fn every_rpc_belongs_to_one_part_or_to_all() {
        for method in METHODS {
            let in_each = ["bus", "mesh", "operations"]
                .iter()
                .any(|area| method.path.starts_with(&format!("/confab.{area}.")));
            assert_eq!(Role::of_path(method.path).is_none(), in_each, "{}", method.path);
        }
        for path in ["", "/", "/confab.", "/confab.messages", "/grpc.health.v1.Health/Check"] {
            let expected = (path == "/confab.messages").then_some(Role::Messages);
            assert_eq!(Role::of_path(path), expected, "{path}");
        }
        assert_eq!(Role::of_path("/confab.gateway.v1.Service/Method"), None);
        for role in Role::ALL.into_iter().chain([Role::Gateway]) {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!("Messages".parse::<Role>().is_err());
    }
}
