//! Budgets that all processes share, kept by somebody else; and this process's own for
//! the time in which that is away or slow. No call waits for it for longer than
//! [`PATIENCE`], and while it is away none waits at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use confab_log::mutant;
use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{BudgetKey, BudgetStore, MemoryBudgets, gcra::Quota};
use crate::{backoff::doubled, lifecycle::Lifecycle, random, task, trouble::Trouble};

/// How long a call waits for the shared budgets.
const PATIENCE: Duration = Duration::from_millis(50);
/// Between two attempts to reach them: at first, and the longest.
const BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Why the shared budgets cannot be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

/// Where all processes keep their users' budgets.
pub trait SharedBudgets: Send + Sync {
    /// Connects anew.
    fn connect(&self) -> BoxFuture<'_, Result<(), Away>>;

    /// As [`BudgetStore::take`], at once for all processes. A call that is dropped, or
    /// fails, may have been charged.
    fn take(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> BoxFuture<'_, Result<Result<(), Duration>, Away>>;
}

/// See the module.
pub(super) struct WithFallback {
    shared: Arc<dyn SharedBudgets>,
    own: MemoryBudgets,
    link: Arc<Link>,
    charged_own: metrics::Counter,
}

#[derive(Default)]
struct Link {
    up: AtomicBool,
    broken: Notify,
    trouble: Trouble,
}

impl WithFallback {
    pub(super) fn new(shared: Arc<dyn SharedBudgets>, lifecycle: Lifecycle) -> Self {
        let link = Arc::<Link>::default();
        let keeping = Arc::clone(&link).keep(Arc::clone(&shared));
        task::spawn("shared budgets", async move {
            tokio::select! {
                () = keeping => {}
                () = lifecycle.stopped() => {}
            }
        });
        let charged_own = metrics::counter!("confab_budgets_own_total");
        Self { shared, own: MemoryBudgets::default(), link, charged_own }
    }

    async fn ask(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> Option<Result<(), Duration>> {
        if !self.link.up.load(Ordering::Acquire) || mutant::is("budgets-not-shared") {
            return None;
        }
        let away = match timeout(PATIENCE, self.shared.take(key, quotas)).await {
            Ok(Ok(taken)) => return Some(taken),
            Ok(Err(away)) => away,
            Err(_) => Away(format!("no answer in {PATIENCE:?}")),
        };
        self.link.breaks(&away);
        None
    }
}

impl BudgetStore for WithFallback {
    fn take(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> BoxFuture<'_, Result<(), Duration>> {
        Box::pin(async move {
            let taken = self.ask(key, quotas).await;
            if taken.is_none() {
                self.charged_own.increment(1);
            }
            // What is spent there is spent here, too: nobody gets a whole budget more
            // when the shared ones go away.
            match taken {
                Some(Err(delay)) => Err(delay),
                Some(Ok(())) => {
                    let _exhausted = self.own.take_now(key, quotas);
                    Ok(())
                }
                None => self.own.take_now(key, quotas),
            }
        })
    }
}

impl Link {
    /// Connects whenever that is broken. Never ends.
    async fn keep(self: Arc<Self>, shared: Arc<dyn SharedBudgets>) {
        let mut failures = 0;
        loop {
            match shared.connect().await {
                Ok(()) => {
                    failures = 0;
                    if self.trouble.ends() {
                        tracing::info!("budgets are shared again");
                    }
                    self.up.store(true, Ordering::Release);
                    metrics::gauge!("confab_budgets_shared").set(1);
                    self.broken.notified().await;
                }
                Err(away) => self.breaks(&away),
            }
            let delay = doubled(BACKOFF, failures, MAX_BACKOFF);
            failures += 1;
            sleep(random::jitter(delay)).await;
        }
    }

    fn breaks(&self, away: &Away) {
        metrics::gauge!("confab_budgets_shared").set(0);
        if self.up.swap(false, Ordering::AcqRel) {
            self.broken.notify_one();
        }
        if self.trouble.begins() {
            tracing::warn!(error = %away, "budgets are not shared");
        }
    }
}
