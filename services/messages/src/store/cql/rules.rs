//! Content rules: replaced if their version is still the one that was read.

use confab_log::{Micros, TenantId};
use confab_store::cql::number;

use super::{CqlLogStore, StoreResult, value};
use crate::{
    rules::Rule,
    store::{Replaced, RuleStore, StoredRules},
};

impl RuleStore for CqlLogStore {
    async fn rules(&self, tenant: &TenantId) -> StoreResult<Option<StoredRules>> {
        let row: Option<(Vec<u8>,)> = self.statements.rules.first((tenant.as_str(),)).await?;
        row.map(|(rules,)| value::decode(&rules)).transpose()
    }

    async fn replace_rules(
        &self,
        tenant: &TenantId,
        version: Option<u64>,
        rules: Vec<Rule>,
        time: Micros,
    ) -> StoreResult<Replaced> {
        let mut new = StoredRules { version: 0, time, rules };
        loop {
            let current = self.rules(tenant).await?.map_or(0, |stored| stored.version);
            if version.is_some_and(|version| version != current) {
                return Ok(Replaced::Stale(current));
            }
            new.version = current + 1;
            let (bytes, next) = (value::encode(&new), number(new.version));
            let replaced = if current == 0 {
                self.statements.add_rules.run((tenant.as_str(), next, bytes)).await?
            } else {
                let values = (next, bytes, tenant.as_str(), number(current));
                self.statements.change_rules.run(values).await?
            };
            if replaced {
                return Ok(Replaced::Stored(new));
            }
        }
    }
}
