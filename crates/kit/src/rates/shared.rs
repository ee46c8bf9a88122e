//! Budgets that all processes share, kept by somebody else; and this process's own for
//! the time in which that is away or slow. No call waits for it for longer than
//! [`PATIENCE`], and while it is away none waits at all.

use std::{sync::Arc, time::Duration};

use confab_log::mutant;
use futures_util::future::{BoxFuture, FutureExt as _};

use super::{BudgetKey, BudgetStore, MemoryBudgets, gcra::Quota};
use crate::{
    lifecycle::Lifecycle,
    link::{Away, Link},
};

/// How long a call waits for the shared budgets.
const PATIENCE: Duration = Duration::from_millis(50);

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

impl WithFallback {
    pub(super) fn new(shared: Arc<dyn SharedBudgets>, lifecycle: Lifecycle) -> Self {
        let link = Arc::new(Link::new(tell));
        let connecting = Arc::clone(&shared);
        link.keep("shared budgets", lifecycle, move || {
            let shared = Arc::clone(&connecting);
            async move { shared.connect().await }.boxed()
        });
        let charged_own = metrics::counter!("confab_budgets_own_total");
        Self { shared, own: MemoryBudgets::default(), link, charged_own }
    }

    async fn ask(
        &self,
        key: BudgetKey,
        quotas: [Option<Quota>; 2],
    ) -> Option<Result<(), Duration>> {
        if mutant::is("budgets-not-shared") {
            return None;
        }
        self.link.ask(PATIENCE, self.shared.take(key, quotas)).await
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

fn tell(news: Result<(), &Away>) {
    metrics::gauge!("confab_budgets_shared").set(i32::from(news.is_ok()));
    match news {
        Ok(()) => tracing::info!("budgets are shared"),
        Err(away) => tracing::warn!(error = %away, "budgets are not shared"),
    }
}
