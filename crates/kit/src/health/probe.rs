//! Probes of dependencies: asked in parallel with a time-out, their answers
//! kept for a second so that nobody can make us hammer a dependency.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::trouble::Trouble;

const TIMEOUT: Duration = Duration::from_secs(5);
const KEPT: Duration = Duration::from_secs(1);

/// What the loss of a dependency means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Nothing can be served without it.
    Required,
    /// Something is slower or missing without it.
    Optional,
}

/// How well the process can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything works.
    Healthy,
    /// An optional dependency is lost.
    Degraded,
    /// A required dependency is lost.
    Unhealthy,
    /// Not ready yet.
    Starting,
    /// Going away.
    Draining,
}

impl State {
    /// Whether calls should be sent here.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }
}

/// The answer to "are you ready?".
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Over all.
    pub status: State,
    /// Each dependency.
    pub checks: Vec<CheckReport>,
}

/// The answer of one dependency.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Which.
    pub name: &'static str,
    /// Healthy, degraded (optional and lost) or unhealthy (required and lost).
    pub status: State,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What it said when it did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    pub(super) fn without_checks(status: State) -> Self {
        Self { status, checks: Vec::new() }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
pub(super) type Probe = Box<dyn Fn() -> Answer + Send + Sync>;

struct Registered {
    name: &'static str,
    importance: Importance,
    probe: Probe,
    trouble: Trouble,
}

#[derive(Default)]
pub(super) struct Probes {
    ready: AtomicBool,
    registered: Mutex<Vec<Arc<Registered>>>,
    /// Held while asking, so that many who ask at once share one answer.
    last: tokio::sync::Mutex<Option<(Instant, Report)>>,
}

impl Probes {
    pub(super) fn add(&self, name: &'static str, importance: Importance, probe: Probe) {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.push(Arc::new(Registered {
            name,
            importance,
            probe,
            trouble: Trouble::default(),
        }));
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(super) async fn report(&self) -> Report {
        if !self.ready.load(Ordering::Acquire) {
            return Report::without_checks(State::Starting);
        }
        let mut last = self.last.lock().await;
        if let Some((when, report)) = &*last
            && when.elapsed() < KEPT
        {
            return report.clone();
        }
        let report = self.ask().await;
        *last = Some((Instant::now(), report.clone()));
        report
    }

    async fn ask(&self) -> Report {
        let registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let checks = join_all(registered.iter().map(|one| check(one))).await;
        let any = |state| checks.iter().any(|check| check.status == state);
        let status = if any(State::Unhealthy) {
            State::Unhealthy
        } else if any(State::Degraded) {
            State::Degraded
        } else {
            State::Healthy
        };
        Report { status, checks }
    }
}

async fn check(registered: &Registered) -> CheckReport {
    let begun = Instant::now();
    let error = match timeout(TIMEOUT, (registered.probe)()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some("no answer in time".to_owned()),
    };
    let status = match (&error, registered.importance) {
        (None, _) => State::Healthy,
        (Some(_), Importance::Optional) => State::Degraded,
        (Some(_), Importance::Required) => State::Unhealthy,
    };
    match &error {
        Some(error) if registered.trouble.begins() => {
            tracing::warn!(dependency = registered.name, error, "dependency is lost");
        }
        None if registered.trouble.ends() => {
            tracing::info!(dependency = registered.name, "dependency is back");
        }
        _ => {}
    }
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    CheckReport { name: registered.name, status, duration_ms, error }
}
