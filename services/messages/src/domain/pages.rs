//! Rows of a log as readers want them: the same page at the same time is read
//! once. Who may see what of it is for each reader to find out.

use std::sync::Arc;

use confab_log::{Event, Seq, mutant};
use confab_store::StoreError;

use super::flights::Flights;
use crate::{
    error::Error,
    store::{Direction, LogKey, LogStore, StoreResult},
};

/// A page, by all that makes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub(super) key: LogKey,
    pub(super) from: Seq,
    pub(super) to: Seq,
    pub(super) direction: Direction,
    pub(super) limit: usize,
}

/// Reads pages.
pub(crate) struct Pages(Flights<Page, StoreResult<Arc<Vec<Event>>>>);

impl Pages {
    pub(crate) fn new<S: LogStore>(store: Arc<S>) -> Self {
        let read = move |page: Page| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
            let store = Arc::clone(&store);
            Box::pin(async move {
                let Page { key, from, to, direction, limit } = page;
                let rows = store.read(&key, from, to, direction, limit).await;
                if mutant::is("slow-pages") {
                    // Breaks nothing by itself, but gives others the time to come.
                    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                }
                rows.map(Arc::new)
            })
        };
        Self(Flights::new(
            read,
            metrics::counter!("confab_page_reads_total"),
            metrics::counter!("confab_page_reads_shared_total"),
        ))
    }

    /// Rows that stood in the store at a moment after this call.
    pub(super) async fn read(&self, page: Page) -> Result<Vec<Event>, Error> {
        match self.0.get(page).await {
            Some(rows) => Ok(Arc::unwrap_or_clone(rows?)),
            // It was logged where it happened.
            None => Err(Error::Store(StoreError::Panicked)),
        }
    }
}
