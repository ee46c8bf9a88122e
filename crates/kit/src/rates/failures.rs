//! How many tokens that prove nothing an address has shown. Past the limit no
//! signature is checked for it any more; whoever has proven something already
//! passes all the same, because many clients may share an address.

use std::net::IpAddr;

use super::{BudgetKey, MINUTE, MemoryBudgets, gcra::Quota, limited};
use crate::{
    address::{AddressRules, ClientAddress},
    config::Config,
    error::Error,
};

/// Unless configured.
const DEFAULT_FAILURES: u32 = 60;

pub(crate) struct FailedProofs {
    rules: AddressRules,
    configured: Option<u32>,
    budgets: MemoryBudgets,
}

impl FailedProofs {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            rules: AddressRules::of(config),
            configured: config.limits.failed_auth_per_address_per_minute,
            budgets: MemoryBudgets::default(),
        }
    }

    /// Whether this address may have another token looked at.
    pub(crate) fn may_try(&self, address: IpAddr) -> Result<(), Error> {
        let (key, quotas) = self.budget(address);
        self.budgets.look(key, quotas).map_err(|delay| limited("failed_auth", delay))
    }

    /// The address has shown one that proves nothing.
    pub(crate) fn note(&self, address: IpAddr) {
        let (key, quotas) = self.budget(address);
        // Several at once can be one too many; then the next one is refused.
        let _exhausted = self.budgets.take_now(key, quotas);
    }

    fn budget(&self, address: IpAddr) -> (BudgetKey, [Option<Quota>; 2]) {
        let limit = self.rules.limit(self.configured, DEFAULT_FAILURES, address);
        let key = BudgetKey(ClientAddress::of(address).number().to_be_bytes());
        (key, [Quota::new(limit, MINUTE), None])
    }
}
