//! The window of a run that is measured, and the senders that fill it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::Common,
    latency::Recorder,
    report::Window,
    schedule::Schedule,
    screen::Screen,
    server::Server,
    stage::{Run, Sender},
    stopwatch::Stopwatch,
};
use crate::Failure;

/// The window waits for its first operation by such steps, and at most so long.
const FIRST: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// What all workers of a run note; clones note in the same place.
#[derive(Clone)]
pub(super) struct Pace {
    stopwatch: Arc<Stopwatch>,
    recorder: Recorder,
    measured: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Pace {
    pub(super) fn new(run: &Run) -> Self {
        Self {
            stopwatch: Arc::clone(&run.stopwatch),
            recorder: Recorder::new(),
            measured: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// For one of many tasks.
    pub(super) fn for_task(&self, number: usize) -> Self {
        Self { recorder: self.recorder.for_task(number), ..self.clone() }
    }

    /// Whether the workers should go on.
    pub(super) fn goes_on(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// Notes an operation that was due then and is done now.
    pub(super) fn note(&self, due: Instant) {
        let now = Instant::now();
        if self.stopwatch.is_measured(self.stopwatch.micros(now)) {
            self.recorder.record(now - due);
            self.measured.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends by the schedule until the run is over.
    pub(super) async fn send(self, mut sender: Sender, schedule: Schedule) -> Result<(), Failure> {
        for count in 0.. {
            let due = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                due = schedule.wait(count) => due,
            };
            sender.send(due).await?;
            self.note(due);
        }
        Ok(())
    }

    /// Lets the workers warm up, measures them, and tells them to stop.
    pub(super) async fn measure(
        &self,
        common: &Common,
        server: &Server,
        screen: &Screen,
    ) -> Result<Window, Failure> {
        let counted = || self.measured.load(Ordering::Relaxed);
        self.measure_counting(common, server, screen, counted).await
    }

    /// [`Pace::measure`] of what something else counts.
    pub(super) async fn measure_counting(
        &self,
        common: &Common,
        server: &Server,
        screen: &Screen,
        counted: impl Fn() -> u64,
    ) -> Result<Window, Failure> {
        screen.wait("warming up", common.warmup(), &counted).await;
        let before = server.usage().await;
        self.stopwatch.measure();
        let begun = Instant::now();
        screen.wait("measuring", common.measured(), &counted).await;
        // A rate of nothing says nothing.
        while counted() == 0 && begun.elapsed() < PATIENCE {
            screen.wait("measuring", FIRST, &counted).await;
        }
        self.stopwatch.finish();
        let after = server.usage().await;
        self.stop.cancel();
        Ok(Window { operations: counted(), elapsed: self.stopwatch.elapsed(), before, after })
    }

    /// How long each operation took.
    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }
}
