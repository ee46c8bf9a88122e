//! Runs a backup on a thread that may block, and tells how far it is.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

use confab_kit::{clock, task};
use confab_store::{
    backup::{self, BackupError, Manifest, Progress},
    embedded::Engine,
};
use tokio::sync::watch;

/// Makes a backup; the receiver of `progress` gives it up by going away.
///
/// # Errors
/// What the store says; [`BackupError::GivenUp`] too when the copy panicked.
pub async fn run(
    engine: Engine,
    to: PathBuf,
    progress: watch::Sender<Progress>,
) -> Result<Manifest, BackupError> {
    let begun_at = clock::now_seconds();
    let begun = now();
    tracing::info!(to = %to.display(), "backup begun");
    let written = to.clone();
    let outcome = task::blocking("backup", move || {
        let mut tell = |copied: Progress| match progress.send(copied) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        backup::backup(&engine, &written, env!("CARGO_PKG_VERSION"), begun_at, &mut tell)
    });
    let outcome = outcome.await.unwrap_or(Err(BackupError::GivenUp));
    count(outcome.is_ok());
    match &outcome {
        Ok(manifest) => {
            let (rows, seconds) = (manifest.rows, begun.elapsed().as_secs_f64());
            tracing::info!(to = %to.display(), rows, seconds, "backup made");
        }
        Err(error) => tracing::warn!(to = %to.display(), %error, "backup not made"),
    }
    outcome
}

fn count(made: bool) {
    let outcome = if made { "made" } else { "failed" };
    metrics::counter!("confab_backups_total", "outcome" => outcome).increment(1);
    if made {
        let seconds = u32::try_from(clock::now_seconds()).unwrap_or(u32::MAX);
        metrics::gauge!("confab_backup_last_made_seconds").set(f64::from(seconds));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a duration for the log, which no behaviour depends on"
)]
fn now() -> Instant {
    Instant::now()
}

/// How often progress is told to whoever asked for the backup.
pub const TOLD: Duration = Duration::from_millis(200);
