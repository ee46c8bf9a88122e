//! Compiled rules of the tenants that have sent lately. They are read again after
//! [`MAX_AGE`], so that a change made on another node is found; one made on this
//! node counts at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use confab_log::TenantId;
use tokio::time::Instant;

use super::Rules;
use crate::{
    error::Error,
    store::{RuleStore, StoredRules},
};

/// How old rules may be.
const MAX_AGE: Duration = Duration::from_secs(5);
/// Tenants whose rules are kept; when there are more, all are forgotten.
const MAX_TENANTS: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RulesCache {
    known: Mutex<HashMap<TenantId, (Instant, Arc<Rules>)>>,
}

impl RulesCache {
    /// The tenant's rules.
    pub(crate) async fn get(
        &self,
        store: &impl RuleStore,
        tenant: &TenantId,
    ) -> Result<Arc<Rules>, Error> {
        let now = Instant::now();
        if let Some(rules) = self.young(tenant, now) {
            return Ok(rules);
        }
        let stored = store.rules(tenant).await?;
        Ok(self.remember(tenant, stored.as_ref(), now))
    }

    fn young(&self, tenant: &TenantId, now: Instant) -> Option<Arc<Rules>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, rules) = known.get(tenant)?;
        (now.duration_since(*read) < MAX_AGE).then(|| Arc::clone(rules))
    }

    /// Keeps what was just read or written.
    pub(crate) fn remember(
        &self,
        tenant: &TenantId,
        stored: Option<&StoredRules>,
        now: Instant,
    ) -> Arc<Rules> {
        let rules = stored.map_or(&[][..], |stored| &stored.rules);
        let rules = Rules::compile(rules).unwrap_or_else(|(index, why)| {
            // They were compiled before they were stored.
            tracing::error!(%tenant, index, why, "stored content rules do not compile");
            Rules::default()
        });
        let rules = Arc::new(rules);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TENANTS && !known.contains_key(tenant) {
            known.clear();
        }
        known.insert(tenant.clone(), (now, Arc::clone(&rules)));
        rules
    }
}
