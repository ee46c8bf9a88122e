//! How a process ends: softly at the first signal (readiness turns false,
//! open calls finish, streams are told to go elsewhere), hard at the second
//! one or when the drain has taken too long. Closes nothing itself: whoever
//! holds something open listens.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::task;

/// Tells when to drain and when to stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    drain: Duration,
}

impl Lifecycle {
    /// Draining takes at most this long.
    pub fn new(drain: Duration) -> Self {
        Self { soft: CancellationToken::new(), hard: CancellationToken::new(), drain }
    }

    /// Begins to drain, and stops hard when that has taken too long.
    pub fn drain(&self) {
        if self.soft.is_cancelled() {
            return;
        }
        self.soft.cancel();
        tracing::info!(seconds = self.drain.as_secs(), "draining");
        let lifecycle = self.clone();
        task::spawn("drain deadline", async move {
            tokio::select! {
                () = lifecycle.hard.cancelled() => {}
                () = tokio::time::sleep(lifecycle.drain) => {
                    tracing::info!("drain deadline passed");
                    lifecycle.hard.cancel();
                }
            }
        });
    }

    /// Stops now.
    pub fn stop(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Resolves when draining begins.
    pub async fn draining(&self) {
        self.soft.cancelled().await;
    }

    /// Resolves when everything still open must be dropped.
    pub async fn stopped(&self) {
        self.hard.cancelled().await;
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Whether everything still open must be dropped.
    pub fn is_stopped(&self) -> bool {
        self.hard.is_cancelled()
    }

    /// How long draining may take.
    pub fn drain_time(&self) -> Duration {
        self.drain
    }

    /// From now on SIGTERM and SIGINT drain, and a second one stops.
    pub fn listen_to_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let lifecycle = self.clone();
        task::spawn("signals", async move {
            while !lifecycle.is_stopped() {
                tokio::select! {
                    Some(()) = terminate.recv() => {}
                    Some(()) = interrupt.recv() => {}
                    () = lifecycle.stopped() => return,
                }
                if lifecycle.is_draining() {
                    tracing::info!("second signal, stopping at once");
                    lifecycle.stop();
                } else {
                    lifecycle.drain();
                }
            }
        });
        Ok(())
    }

    /// From now on SIGHUP does this, instead of ending the process. It must not block.
    pub fn at_hangup(&self, work: impl Fn() + Send + 'static) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let lifecycle = self.clone();
        task::spawn("hangups", async move {
            loop {
                tokio::select! {
                    Some(()) = hangup.recv() => work(),
                    () = lifecycle.stopped() => return,
                }
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_takes_too_long_becomes_a_stop() {
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        let begun = tokio::time::Instant::now();
        lifecycle.drain();
        lifecycle.draining().await;
        assert!(!lifecycle.is_stopped());
        lifecycle.stopped().await;
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test]
    async fn a_stop_is_also_a_drain() {
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        lifecycle.stop();
        lifecycle.draining().await;
        lifecycle.stopped().await;
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_stops() {
        use rustix::process::{Signal, getpid, kill_process};
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        lifecycle.listen_to_signals().expect("listens");
        kill_process(getpid(), Signal::TERM).expect("sent");
        lifecycle.draining().await;
        assert!(!lifecycle.is_stopped());
        kill_process(getpid(), Signal::INT).expect("sent");
        lifecycle.stopped().await;
    }
}
