//! A connection to something that may be away and is never waited for: whether it is
//! there, how long an answer may take, and a task that connects anew. Knows no protocol.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::{backoff::doubled, lifecycle::Lifecycle, random, task};

/// Between two attempts to connect: at first, and the longest.
const BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// What was told last.
const NOTHING: u8 = 0;
const UP: u8 = 1;
const AWAY: u8 = 2;

/// Why something cannot be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

/// Hears that the connection is there, or is not: once for each change.
pub type Told = fn(Result<(), &Away>);

/// See the module.
#[derive(Debug)]
pub struct Link {
    /// The number of the connection that is there, or 0.
    up: AtomicU64,
    broken: Notify,
    told: Told,
    last: AtomicU8,
}

impl Link {
    /// Not connected yet.
    pub fn new(told: Told) -> Self {
        let (up, broken) = (AtomicU64::new(0), Notify::new());
        Self { up, broken, told, last: AtomicU8::new(NOTHING) }
    }

    /// Connects whenever there is no connection, in a task of this name, until the
    /// process ends.
    pub fn keep(
        self: &Arc<Self>,
        name: &'static str,
        lifecycle: Lifecycle,
        connect: impl Fn() -> BoxFuture<'static, Result<(), Away>> + Send + Sync + 'static,
    ) {
        let link = Arc::clone(self);
        task::spawn(name, async move {
            tokio::select! {
                () = link.connect_for_ever(connect, || {}) => {}
                () = lifecycle.stopped() => {}
            }
        });
    }

    /// The answer, or `None`: where there is no connection at once, else when it fails
    /// or takes longer than `patience`. Then nobody asks until there is a new connection.
    pub async fn ask<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, Away>>,
    ) -> Option<T> {
        let connection = self.up.load(Ordering::Acquire);
        if connection == 0 {
            return None;
        }
        let away = match timeout(patience, call).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(away)) => away,
            Err(_) => Away(format!("no answer in {patience:?}")),
        };
        self.breaks(connection, &away);
        None
    }

    /// Connects whenever there is no connection, and says so each time that there is a
    /// new one.
    pub async fn connect_for_ever<F: Future<Output = Result<(), Away>>>(
        &self,
        connect: impl Fn() -> F,
        connected: impl Fn(),
    ) {
        let (mut failures, mut connections) = (0, 0);
        loop {
            match connect().await {
                Ok(()) => {
                    connections += 1;
                    self.tell(UP, Ok(()));
                    self.up.store(connections, Ordering::Release);
                    let since = Instant::now();
                    connected();
                    self.broken.notified().await;
                    if since.elapsed() >= MAX_BACKOFF {
                        failures = 0;
                    }
                }
                Err(away) => self.tell(AWAY, Err(&away)),
            }
            let delay = doubled(BACKOFF, failures, MAX_BACKOFF);
            failures += 1;
            sleep(random::jitter(delay)).await;
        }
    }

    /// What was asked over a connection that has been replaced says nothing of the new
    /// one.
    fn breaks(&self, connection: u64, away: &Away) {
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        if self.up.compare_exchange(connection, 0, order.0, order.1).is_ok() {
            self.tell(AWAY, Err(away));
            self.broken.notify_one();
        }
    }

    fn tell(&self, news: u8, what: Result<(), &Away>) {
        if self.last.swap(news, Ordering::Relaxed) != news {
            (self.told)(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError, atomic::AtomicBool};

    use futures_util::future::FutureExt as _;

    use super::*;

    /// What was told in this process: one test has it.
    static TOLD: Mutex<Vec<bool>> = Mutex::new(Vec::new());

    fn note(news: Result<(), &Away>) {
        TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(news.is_ok());
    }

    fn broken() -> Result<(), Away> {
        Err(Away("broken".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_what_is_away_and_changes_are_told_once() {
        let second = Duration::from_secs(1);
        let link = Arc::new(Link::new(note));
        assert!(link.ask(second, async { Ok(()) }).await.is_none(), "not connected yet");
        let there = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&there);
        let lifecycle = Lifecycle::new(Duration::ZERO);
        link.keep("test", lifecycle.clone(), move || {
            let there = seen.load(Ordering::Relaxed);
            async move { if there { Ok(()) } else { broken() } }.boxed()
        });
        sleep(20 * second).await;
        there.store(true, Ordering::Relaxed);
        sleep(20 * second).await;
        assert_eq!(link.ask(second, async { Ok(7) }).await, Some(7));
        assert!(link.ask(second, sleep(2 * second).map(Ok)).await.is_none(), "too late");
        assert!(link.ask(second, async { Ok(7) }).await.is_none(), "until it is connected anew");
        sleep(20 * second).await;
        assert!(link.ask(second, async { broken() }).await.is_none());
        sleep(20 * second).await;
        assert!(link.ask(second, async { Ok(()) }).await.is_some());
        // What was asked before a break says nothing of the connection that came after it.
        let late = link.ask(9 * second, sleep(10 * second).map(|()| broken()));
        let (late, broken) = tokio::join!(late, link.ask(second, async { broken() }));
        assert!(late.is_none() && broken.is_none());
        assert!(link.ask(second, async { Ok(()) }).await.is_some(), "it is the new one's");
        let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(told, [false, true, false, true, false, true, false, true]);
        lifecycle.stop();
    }
}
