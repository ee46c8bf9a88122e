//! Rows of a log as readers want them: the same page at the same time is read
//! once. Who may see what of it is for each reader to find out.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use confab_log::{Event, Seq, mutant};
use confab_store::StoreError;

use super::{flights::Flights, sight::Span};
use crate::{
    error::Error,
    store::{LogKey, LogStore, StoreResult},
};

/// Rows, by all that makes them what they are.
type Rows = (LogKey, Span);
/// Messages of a thread, by its root.
type Thread = (LogKey, Seq, Span);
type Reading<T> = Pin<Box<dyn Future<Output = StoreResult<Arc<Vec<T>>>> + Send>>;

/// Reads pages.
pub(crate) struct Pages {
    rows: Flights<Rows, StoreResult<Arc<Vec<Event>>>>,
    threads: Flights<Thread, StoreResult<Arc<Vec<Seq>>>>,
}

impl Pages {
    pub(crate) fn new<S: LogStore>(store: Arc<S>) -> Self {
        let threads_of = Arc::clone(&store);
        let rows = move |(key, span): Rows| -> Reading<Event> {
            let store = Arc::clone(&store);
            Box::pin(async move {
                let Span { from, to, direction, limit } = span;
                let rows = store.read(&key, from, to, direction, limit).await;
                if mutant::is("slow-pages") {
                    // Breaks nothing by itself, but gives others the time to come.
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                rows.map(Arc::new)
            })
        };
        let threads = move |(key, root, span): Thread| -> Reading<Seq> {
            let store = Arc::clone(&threads_of);
            Box::pin(async move {
                let Span { from, to, direction, limit } = span;
                store.list_thread(&key, root, from, to, direction, limit).await.map(Arc::new)
            })
        };
        Self { rows: flights(rows), threads: flights(threads) }
    }

    /// Rows as they stood at a moment after this call.
    pub(super) async fn read(&self, key: &LogKey, span: Span) -> Result<Vec<Event>, Error> {
        landed(self.rows.get((key.clone(), span)).await)
    }

    /// Messages of a thread as they stood at a moment after this call.
    pub(super) async fn thread(
        &self,
        key: &LogKey,
        root: Seq,
        span: Span,
    ) -> Result<Vec<Seq>, Error> {
        landed(self.threads.get((key.clone(), root, span)).await)
    }
}

fn flights<K, T>(
    read: impl Fn(K) -> Reading<T> + Send + Sync + 'static,
) -> Flights<K, StoreResult<Arc<Vec<T>>>>
where
    K: super::flights::Key,
    T: Clone + Send + Sync + 'static,
{
    let reads = metrics::counter!("confab_page_reads_total");
    Flights::new(read, reads, metrics::counter!("confab_page_reads_shared_total"))
}

/// The reader's own copy. Who has read alone has the rows themselves.
fn landed<T: Clone>(flight: Option<StoreResult<Arc<Vec<T>>>>) -> Result<Vec<T>, Error> {
    match flight {
        Some(rows) => Ok(Arc::unwrap_or_clone(rows?)),
        // It was logged where it happened.
        None => Err(Error::Store(StoreError::Panicked)),
    }
}

#[cfg(test)]
mod tests;
