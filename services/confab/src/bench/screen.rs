//! What is shown while a run goes on: a bar on standard error, on a terminal
//! only. It measures nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep_until};

const REFRESH: Duration = Duration::from_millis(200);

/// See the module; clones show on the same bar.
#[derive(Clone, Debug)]
pub(super) struct Screen(ProgressBar);

impl Screen {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        // The template is a constant; without it the bar has its default look.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:24} {bar:30} {percent:>3} %  {msg}")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Something of so many steps begins.
    pub(super) fn begin(&self, what: &'static str, steps: usize) {
        self.0.reset();
        self.0.set_length(steps as u64);
        self.0.set_prefix(what);
        self.0.set_message("");
    }

    /// One step is done.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// So much time of something whose steps are milliseconds has passed.
    pub(super) fn at(&self, elapsed: Duration, counted: u64) {
        self.0.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        self.0.set_message(counted.to_string());
    }

    /// Waits, and shows how the count grows.
    pub(super) async fn wait(
        &self,
        what: &'static str,
        duration: Duration,
        counted: impl Fn() -> u64,
    ) {
        let begun = Instant::now();
        self.begin(what, usize::try_from(duration.as_millis()).unwrap_or(usize::MAX));
        while begun.elapsed() < duration {
            self.at(begun.elapsed(), counted());
            sleep_until((Instant::now() + REFRESH).min(begun + duration)).await;
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
