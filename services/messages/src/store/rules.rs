//! The port of content rules: one row for each tenant.

use std::future::Future;

use confab_log::{Micros, TenantId};
use minicbor::{Decode, Encode};

use super::StoreResult;
use crate::rules::Rule;

/// A tenant's rules as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StoredRules {
    /// One more with each change; the etag says it.
    #[n(0)]
    pub version: u64,
    /// When they were changed last.
    #[n(1)]
    pub time: Micros,
    /// All of them.
    #[n(2)]
    pub rules: Vec<Rule>,
}

/// What became of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is durable.
    Stored(StoredRules),
    /// The version is another one: this.
    Stale(u64),
}

/// The store of content rules.
pub trait RuleStore: Send + Sync + 'static {
    /// The tenant's rules; `None` if there were never any.
    fn rules(
        &self,
        tenant: &TenantId,
    ) -> impl Future<Output = StoreResult<Option<StoredRules>>> + Send;

    /// Replaces them, if the version is still the one given (0 where there are
    /// none, `None` for whatever is there), and numbers them.
    fn replace_rules(
        &self,
        tenant: &TenantId,
        version: Option<u64>,
        rules: Vec<Rule>,
        time: Micros,
    ) -> impl Future<Output = StoreResult<Replaced>> + Send;
}
