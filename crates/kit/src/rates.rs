//! Budgets: how many calls of a class a user may make in a minute and in an
//! hour, how many streams may be open, how many bad tokens an address may
//! show. Refuses; knows no RPC and no conversation. The limits of connections
//! are in `server`.
//!
//! A budget of 60 a minute is 60 calls at once after a quiet minute and one a
//! second from then on ([`gcra`]): who talks too much is slowed down and not
//! shut out. Each call is charged to a budget of the minute and one of the hour, to
//! both or to none. Budgets are kept behind a port, [`BudgetStore`]: in memory they are
//! those of one process, and a restart forgets them; [`SharedBudgets`] are those of all.

mod failures;
pub mod gcra;
mod memory;
mod shared;
mod streams;

use std::{fmt, sync::Arc, time::Duration};

use confab_log::mutant;
use futures_util::future::BoxFuture;

pub(crate) use memory::MemoryBudgets;
pub use shared::SharedBudgets;
pub use streams::StreamSlot;

use crate::{
    config::{Config, Rate, Rates},
    error::{Error, Reason},
    identity::{Caller, CallerKind},
    lifecycle::Lifecycle,
    rates::{failures::FailedProofs, gcra::Quota, shared::WithFallback, streams::OpenStreams},
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Whose budget for what: a hash of tenant, kind of caller, user and class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BudgetKey(pub [u8; 16]);

/// Where budgets are kept: in this process, or somewhere that all nodes share.
/// An adapter whose store is away lets calls pass: limits protect, nothing is
/// correct because of them.
pub trait BudgetStore: Send + Sync {
    /// Takes one call from both budgets, or from neither. `None` is no limit.
    /// An error is the time after which the same call would be let through, if
    /// no other came before it.
    fn take(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> BoxFuture<'_, Result<(), Duration>>;
}

/// All budgets of a node; cheap to clone.
#[derive(Clone)]
pub struct Budgets(Arc<Shared>);

struct Shared {
    rates: Option<Rates>,
    store: Arc<dyn BudgetStore>,
    streams: OpenStreams,
    failures: FailedProofs,
}

impl Budgets {
    /// As configured, kept in memory.
    pub fn new(config: &Config) -> Self {
        Self::kept_in(config, Arc::new(MemoryBudgets::default()))
    }

    /// As configured, shared with other processes whenever that is possible.
    pub fn shared(config: &Config, shared: Arc<dyn SharedBudgets>, lifecycle: Lifecycle) -> Self {
        Self::kept_in(config, Arc::new(WithFallback::new(shared, lifecycle)))
    }

    fn kept_in(config: &Config, store: Arc<dyn BudgetStore>) -> Self {
        let dev_mode = config.is_dev_mode();
        let rates = config.rates.enabled.unwrap_or(!dev_mode).then(|| config.rates.clone());
        Self(Arc::new(Shared {
            rates,
            store,
            streams: OpenStreams::new(&config.limits, dev_mode),
            failures: FailedProofs::new(config),
        }))
    }

    /// Charges a call of the class to its caller: `RATE_LIMITED` with the time
    /// after which it would pass. Calls of other Confab processes are free.
    pub(crate) async fn charge(&self, caller: &Caller, class: &'static str) -> Result<(), Error> {
        let Some(rates) = &self.0.rates else {
            return Ok(());
        };
        let Some(rate) = rates.of_class(class).filter(|_| caller.kind != CallerKind::Mesh) else {
            return Ok(());
        };
        let factor = match caller.kind {
            CallerKind::User => 1,
            _ => rates.application_factor,
        };
        let Err(delay) = self.0.store.take(key(caller, class), quotas(rate, factor)).await else {
            return Ok(());
        };
        if mutant::is("no-rate-limit") {
            return Ok(());
        }
        Err(limited(class, delay))
    }

    /// A place for one more stream of the caller, held until it is dropped:
    /// `TOO_MANY_STREAMS` when there is none.
    pub(crate) fn open_stream(&self, caller: &Caller) -> Result<StreamSlot, Error> {
        self.0.streams.open(key(caller, "streams"))
    }

    /// The bad tokens of addresses.
    pub(crate) fn failures(&self) -> &FailedProofs {
        &self.0.failures
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets").field("rates", &self.0.rates).finish_non_exhaustive()
    }
}

/// The refusal of a call that comes too early, counted.
fn limited(class: &'static str, delay: Duration) -> Error {
    metrics::counter!("confab_rate_limited_total", "class" => class).increment(1);
    let message = format!("too many calls of the class {class}; try again in {delay:.1?}");
    Error::new(Reason::RateLimited, message).with("class", class).retry_after(delay)
}

fn quotas(rate: Rate, factor: u32) -> [Option<Quota>; 2] {
    let quota = |limit: u32, period| Quota::new(limit.saturating_mul(factor), period);
    [quota(rate.per_minute, MINUTE), quota(rate.per_hour, HOUR)]
}

fn key(caller: &Caller, class: &str) -> BudgetKey {
    let tenant = if mutant::is("budgets-without-tenant") { "" } else { caller.tenant.as_str() };
    let user = if mutant::is("budgets-without-user") { "" } else { caller.user.as_str() };
    let kind = match caller.kind {
        CallerKind::User => "user",
        CallerKind::Application => "application",
        CallerKind::TenantAdmin => "tenant admin",
        CallerKind::Mesh => "mesh",
    };
    let mut hasher = blake3::Hasher::new_derive_key("confab 2026 budget");
    for part in [tenant, kind, user, class] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut short = [0; 16];
    hasher.finalize_xof().fill(&mut short);
    BudgetKey(short)
}

#[cfg(test)]
mod tests;
