//! The stages of a command, measured one by one: admit, validate, transform,
//! append, publish. What comes before (who calls, their budget) is the kit's, and
//! measured there. What bounds each stage stands in docs/operations.md.

use std::time::Duration;

use metrics::Histogram;
use tokio::time::Instant;

/// How long a stage may wait for something outside of this process.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Where the time of each stage goes. Looked up once: to find a metric by its label
/// would cost every command again.
pub(crate) struct Stages {
    pub(crate) admit: Histogram,
    pub(crate) validate: Histogram,
    pub(crate) transform: Histogram,
    pub(crate) append: Histogram,
    pub(crate) publish: Histogram,
}

impl Default for Stages {
    fn default() -> Self {
        let of =
            |stage: &'static str| metrics::histogram!("confab_stage_seconds", "stage" => stage);
        Self {
            admit: of("admit"),
            validate: of("validate"),
            transform: of("transform"),
            append: of("append"),
            publish: of("publish"),
        }
    }
}

/// A stage that has begun; it ends when this is dropped.
pub(crate) struct Stage<'a> {
    seconds: &'a Histogram,
    begun: Instant,
}

impl<'a> Stage<'a> {
    #[must_use]
    pub(crate) fn begin(seconds: &'a Histogram) -> Self {
        Self { seconds, begun: Instant::now() }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.seconds.record(self.begun.elapsed());
    }
}
