//! How much each user may ask for: the section `[rates]` and its defaults.
//! What the numbers mean is in `crate::rates`.

use serde::{Deserialize, Serialize};

/// Budgets of calls, for each user and class of RPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Whether calls are limited; when absent: not in dev mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// An application and a tenant administrator may do so many times what a
    /// user may.
    pub application_factor: u32,
    /// Reads.
    pub read: Rate,
    /// Changes that are none of the below.
    pub write: Rate,
    /// Messages.
    pub send: Rate,
    /// Conversations created.
    pub create: Rate,
    /// Streams opened.
    pub connect: Rate,
    /// What is told and not kept.
    pub ephemeral: Rate,
}

/// One budget, in calls; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In a minute.
    pub per_minute: u32,
    /// In an hour.
    pub per_hour: u32,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_minute, per_hour| Rate { per_minute, per_hour };
        Self {
            enabled: None,
            application_factor: 100,
            read: rate(600, 20_000),
            write: rate(120, 3000),
            send: rate(60, 1000),
            create: rate(10, 100),
            connect: rate(30, 600),
            ephemeral: rate(120, 6000),
        }
    }
}

impl Rates {
    /// The budget of a class of the contract's policies; the mesh's has none.
    pub fn of_class(&self, class: &str) -> Option<Rate> {
        match class {
            "read" => Some(self.read),
            "write" => Some(self.write),
            "send" => Some(self.send),
            "create" => Some(self.create),
            "connect" => Some(self.connect),
            "ephemeral" => Some(self.ephemeral),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RATE_CLASSES;

    #[test]
    fn every_class_but_the_meshs_has_a_budget() {
        let rates = Rates::default();
        for class in RATE_CLASSES {
            assert_eq!(rates.of_class(class).is_some(), *class != "mesh", "{class}");
        }
    }
}
