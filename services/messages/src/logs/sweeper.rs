//! Finishes what a crash left open, without waiting for the next visitor.
//!
//! Every log that is written to in an hour has a mark in the store. The sweeper
//! walks the marks: a log whose effects are behind its head and that nobody
//! drives is loaded, which finishes them. A mark of a past hour whose log is
//! finished is forgotten.

use std::time::Duration;

use confab_kit::{clock, random};
use confab_log::mutant;
use tokio_util::sync::CancellationToken;

use super::Logs;
use crate::{
    error::Error,
    store::{LogKey, LogStore},
};

const EVERY: Duration = Duration::from_mins(1);
const PAGE: usize = 256;

impl<S: LogStore> Logs<S> {
    /// Sweeps now and then every minute, until stopped.
    pub async fn sweep_until(self, stopped: CancellationToken) {
        loop {
            match self.sweep().await {
                Ok(0) => {}
                Ok(finished) => tracing::info!(finished, "finished what a crash had left open"),
                Err(error) => tracing::warn!(%error, "the sweep did not end"),
            }
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(random::jitter(EVERY)) => {}
            }
        }
    }

    /// One walk over all marks; says how many logs were finished.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let hour = u64::try_from(clock::now_micros()).unwrap_or(0) / 3_600_000_000;
        let (mut after, mut finished) = (None, 0);
        loop {
            let marks = self.store().marks(after.take(), PAGE).await?;
            let Some(last) = marks.last().cloned() else { return Ok(finished) };
            after = Some(last);
            for (marked, key) in marks {
                finished += u64::from(self.finish(&key).await?);
                // With an hour to spare: another node's clock may be behind, or its
                // append of the hour's last second on its way.
                if marked + 1 < hour && !self.is_driven(&key) {
                    self.store().clear_mark(marked, &key).await?;
                }
            }
        }
    }

    /// Whether effects were open and are applied now.
    async fn finish(&self, key: &LogKey) -> Result<bool, Error> {
        if self.is_driven(key) || mutant::is("never-heals") {
            return Ok(false);
        }
        let Some(end) = self.store().end(key).await? else { return Ok(false) };
        if end.applied_through >= end.head.seq {
            return Ok(false);
        }
        let observed = self.observe(key, Vec::new()).await?;
        self.store().raise(key, observed.as_of).await?;
        Ok(true)
    }
}
