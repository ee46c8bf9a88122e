//! Budgets in this process's memory. An entry without anything to remember is
//! dropped when there are many; past a bound a part of them is forgotten, which
//! gives its owners their budgets anew.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use tokio::time::Instant;

use super::{
    BudgetKey, BudgetStore,
    gcra::{self, Quota},
};

/// Locks, so that callers rarely wait for each other.
const SHARDS: usize = 64;
/// Entries of one lock that are never looked through.
const FEW: usize = 256;
/// Entries of one lock: a million in all, some 64 MB.
const MOST: usize = 16_384;

/// See the module.
pub(crate) struct MemoryBudgets {
    /// What times are counted from.
    origin: Instant,
    /// Clients can choose their addresses, but not where these fall.
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

/// The states of a minute's budget and of an hour's.
struct Shard {
    states: HashMap<BudgetKey, [u64; 2]>,
    /// How many there may be before the idle ones are dropped.
    full: usize,
}

impl MemoryBudgets {
    /// Takes one call from both budgets, or from neither.
    pub(crate) fn take_now(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> Result<(), Duration> {
        let now = self.now();
        let mut shard = self.shard(key);
        let states = shard.states.get(&key).copied().unwrap_or_default();
        let states = gcra::admit_both(quotas, states, now)?;
        shard.make_room(now);
        shard.states.insert(key, states);
        Ok(())
    }

    /// Whether a call would be let through, without taking it.
    pub(crate) fn look(&self, key: BudgetKey, quotas: [Option<Quota>; 2]) -> Result<(), Duration> {
        let now = self.now();
        let states = self.shard(key).states.get(&key).copied().unwrap_or_default();
        gcra::admit_both(quotas, states, now).map(drop)
    }

    fn now(&self) -> u64 {
        gcra::nanos(self.origin.elapsed())
    }

    fn shard(&self, key: BudgetKey) -> std::sync::MutexGuard<'_, Shard> {
        let shards = SHARDS as u64;
        let index = usize::try_from(self.hasher.hash_one(key) % shards).unwrap_or_default();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().expect("a lock").states.len()).sum()
    }
}

impl std::fmt::Debug for MemoryBudgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBudgets").finish_non_exhaustive()
    }
}

impl Default for MemoryBudgets {
    fn default() -> Self {
        let shard = || Mutex::new(Shard { states: HashMap::new(), full: FEW });
        let shards = (0..SHARDS).map(|_| shard()).collect();
        Self { origin: Instant::now(), hasher: RandomState::new(), shards }
    }
}

impl Shard {
    /// Looks through the entries only after their number has doubled, so each
    /// call pays little for it.
    fn make_room(&mut self, now: u64) {
        if self.states.len() < self.full {
            return;
        }
        // A budget that is whole again is as good as none.
        self.states.retain(|_, states| states.iter().any(|state| *state > now));
        if self.states.len() >= MOST {
            metrics::counter!("confab_budgets_forgotten_total")
                .increment(u64::try_from(self.states.len()).unwrap_or(u64::MAX));
            self.states.clear();
        }
        self.full = (self.states.len() * 2).clamp(FEW, MOST);
        self.states.shrink_to(self.full);
    }
}

impl BudgetStore for MemoryBudgets {
    fn take(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> BoxFuture<'_, Result<(), Duration>> {
        Box::pin(ready(self.take_now(key, quotas)))
    }
}
