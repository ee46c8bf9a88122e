//! Content rules on the embedded engine.

use confab_log::{Micros, TenantId};

use super::{EmbeddedLogStore, StoreResult, codec};
use crate::{
    rules::Rule,
    store::{Replaced, RuleStore, StoredRules},
};

impl RuleStore for EmbeddedLogStore {
    async fn rules(&self, tenant: &TenantId) -> StoreResult<Option<StoredRules>> {
        let bytes = self.spaces.rules.get(codec::tenant(tenant))?;
        bytes.map(|bytes| codec::decode(&bytes)).transpose()
    }

    async fn replace_rules(
        &self,
        tenant: &TenantId,
        version: Option<u64>,
        rules: Vec<Rule>,
        time: Micros,
    ) -> StoreResult<Replaced> {
        let (space, row) = (self.spaces.rules.clone(), codec::tenant(tenant));
        self.engine
            .transact(move |txn| -> StoreResult<Replaced> {
                let stored = txn.get(&space, &row)?;
                let stored: Option<StoredRules> =
                    stored.map(|bytes| codec::decode(&bytes)).transpose()?;
                let current = stored.map_or(0, |stored| stored.version);
                if version.is_some_and(|version| version != current) {
                    return Ok(Replaced::Stale(current));
                }
                let new = StoredRules { version: current + 1, time, rules };
                txn.put(&space, row, codec::encode(&new));
                Ok(Replaced::Stored(new))
            })
            .await?
    }
}
