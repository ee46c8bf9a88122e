//! A cache that all processes share and somebody else keeps: it may lose anything, hold
//! anything, and be away. No call waits for it for longer than [`PATIENCE`], and while it
//! is away none waits at all. What a value means, and whether it is believed, is up to
//! whoever asks.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};

use crate::{
    lifecycle::Lifecycle,
    link::{Away, Link},
    task,
};

/// How long a call waits for a value.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an operator waits until values are forgotten.
const LONG_PATIENCE: Duration = Duration::from_secs(2);

/// Where the values are kept: a port. Names hold the tenant.
pub trait Values: Send + Sync {
    /// Connects anew.
    fn connect(&self) -> BoxFuture<'_, Result<(), Away>>;
    /// A value, if there is one.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Away>>;
    /// Keeps a value for so long.
    fn put(&self, name: String, value: Bytes, time: Duration) -> BoxFuture<'_, Result<(), Away>>;
    /// Forgets values.
    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), Away>>;
    /// Forgets all values whose names begin so.
    fn remove_all<'a>(&'a self, beginning: &'a str) -> BoxFuture<'a, Result<(), Away>>;
}

/// See the module. Clones share the connection.
#[derive(Clone)]
pub struct SharedCache {
    values: Arc<dyn Values>,
    link: Arc<Link>,
}

impl SharedCache {
    /// Connects, and again whenever that is broken, until the process ends.
    pub fn new(values: Arc<dyn Values>, lifecycle: Lifecycle) -> Self {
        let link = Arc::new(Link::new(tell));
        let connecting = Arc::clone(&values);
        link.keep("shared cache", lifecycle, move || {
            let values = Arc::clone(&connecting);
            async move { values.connect().await }.boxed()
        });
        Self { values, link }
    }

    /// A value; `None` also when there is no answer in time.
    pub async fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.link.ask(PATIENCE, self.values.get(name)).await.flatten()
    }

    /// Keeps a value for so long, or not. Nobody waits for it.
    pub fn put(&self, name: String, value: Bytes, time: Duration) {
        let cache = self.clone();
        task::spawn("shared cache", async move {
            let _lost = cache.link.ask(PATIENCE, cache.values.put(name, value, time)).await;
        });
    }

    /// Forgets values. Whether that is certain.
    pub async fn remove(&self, names: Vec<String>) -> bool {
        self.link.ask(LONG_PATIENCE, self.values.remove(names)).await.is_some()
    }

    /// Forgets all values whose names begin so. Whether that is certain.
    pub async fn remove_all(&self, beginning: &str) -> bool {
        self.link.ask(LONG_PATIENCE, self.values.remove_all(beginning)).await.is_some()
    }
}

fn tell(news: Result<(), &Away>) {
    metrics::gauge!("confab_shared_cache_connected").set(i32::from(news.is_ok()));
    match news {
        Ok(()) => tracing::info!("the cache is shared"),
        // Whoever is hurt by what is away says so: this is only slower.
        Err(away) => tracing::info!(error = %away, "the cache is not shared"),
    }
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCache").field("link", &self.link).finish_non_exhaustive()
    }
}
