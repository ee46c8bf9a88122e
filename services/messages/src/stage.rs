//! The stages of a command, measured one by one: admit, validate, transform,
//! append, publish. What comes before (who calls, their budget) is the kit's, and
//! measured there. What bounds each stage stands in docs/operations.md.

use std::time::Duration;

use tokio::time::Instant;

/// How long a stage may wait for something outside of this process.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A stage that has begun; it ends when this is dropped.
pub(crate) struct Stage {
    name: &'static str,
    begun: Instant,
}

impl Stage {
    #[must_use]
    pub(crate) fn begin(name: &'static str) -> Self {
        Self { name, begun: Instant::now() }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        metrics::histogram!("confab_stage_seconds", "stage" => self.name)
            .record(self.begun.elapsed());
    }
}
