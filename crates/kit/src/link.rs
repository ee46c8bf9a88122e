//! The way to something that processes share and none depends on. No call waits for it
//! for longer than a bound; once one has failed none waits at all, until it is found
//! again in the background. It never knows what is asked.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{backoff::doubled, random, trouble::Trouble};

/// Between two attempts to reach it: at first, and the longest.
const BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// See the module. Down at first.
#[derive(Debug)]
pub struct Link {
    /// What is shared over it, for the log: a plural.
    what: &'static str,
    /// How long a call waits.
    patience: Duration,
    up: AtomicBool,
    broken: Notify,
    trouble: Trouble,
    /// 1 while it is up.
    gauge: metrics::Gauge,
}

impl Link {
    /// Over which these are shared, and whether they are shows in the gauge.
    pub fn new(what: &'static str, patience: Duration, gauge: metrics::Gauge) -> Self {
        gauge.set(0);
        Self {
            what,
            patience,
            up: AtomicBool::new(false),
            broken: Notify::new(),
            trouble: Trouble::default(),
            gauge,
        }
    }

    /// What the call answers; `None` without making it while the link is down, and when
    /// it breaks the link: by an error, or by no answer in time. It may have taken
    /// effect then.
    pub async fn ask<T, E: Display>(&self, call: impl Future<Output = Result<T, E>>) -> Option<T> {
        if !self.up.load(Ordering::Acquire) {
            return None;
        }
        match timeout(self.patience, call).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => self.breaks(&error),
            Err(_) => self.breaks(&format_args!("no answer in {:?}", self.patience)),
        }
        None
    }

    /// Connects whenever the link is down, and says each time that it is up. Never ends.
    pub async fn keep<E: Display, F: Future<Output = Result<(), E>>>(
        &self,
        connect: impl Fn() -> F,
        connected: impl Fn(),
    ) {
        let mut failures = 0;
        loop {
            match connect().await {
                Ok(()) => {
                    failures = 0;
                    if self.trouble.ends() {
                        tracing::info!("{} are shared again", self.what);
                    }
                    self.up.store(true, Ordering::Release);
                    self.gauge.set(1);
                    connected();
                    self.broken.notified().await;
                }
                Err(error) => self.breaks(&error),
            }
            let delay = doubled(BACKOFF, failures, MAX_BACKOFF);
            failures += 1;
            sleep(random::jitter(delay)).await;
        }
    }

    fn breaks(&self, error: &dyn Display) {
        self.gauge.set(0);
        if self.up.swap(false, Ordering::AcqRel) {
            self.broken.notify_one();
        }
        if self.trouble.begins() {
            tracing::warn!(%error, "{} are not shared", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::Arc,
        sync::atomic::AtomicUsize,
    };

    use super::*;
    use crate::task;

    /// A link that is kept up, and how often it was connected.
    fn kept() -> (Arc<Link>, Arc<AtomicUsize>) {
        let patience = Duration::from_millis(50);
        let link = Arc::new(Link::new("things", patience, metrics::Gauge::noop()));
        let (keeping, times) = (Arc::clone(&link), Arc::<AtomicUsize>::default());
        let counting = Arc::clone(&times);
        task::spawn("test", async move {
            let connected = || _ = counting.fetch_add(1, Ordering::SeqCst);
            keeping.keep(|| ready(Ok::<(), String>(())), connected).await;
        });
        (link, times)
    }

    async fn up(link: &Link) {
        while link.ask(ready(Ok::<(), String>(()))).await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_and_a_silence_break_it_and_nobody_waits_until_it_is_back() {
        let (link, times) = kept();
        up(&link).await;
        assert_eq!(link.ask(ready(Err::<(), _>("no"))).await, None);
        let begun = tokio::time::Instant::now();
        assert_eq!(link.ask(pending::<Result<(), String>>()).await, None);
        assert!(begun.elapsed().is_zero(), "it is not asked");
        up(&link).await;
        assert_eq!(times.load(Ordering::SeqCst), 2);
        let begun = tokio::time::Instant::now();
        assert_eq!(link.ask(pending::<Result<(), String>>()).await, None);
        assert_eq!(begun.elapsed().as_millis(), 50);
        up(&link).await;
        assert_eq!(times.load(Ordering::SeqCst), 3);
    }
}
