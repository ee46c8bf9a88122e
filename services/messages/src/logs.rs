//! Every conversation that is being used has one task, its driver, which runs
//! the pure appender of `confab-log` against the store and the other services.
//! Here is the registry of drivers, and what the rest of the service sees of them.

mod driver;
mod io_times;
mod rows;
mod sweeper;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use confab_kit::{bus::Bus, clock, task, trouble::Trouble};
use confab_log::{
    Event, Request, Row, RowKey, Seq, TenantId, appender, mutant, row::ConversationRow,
};
use tokio::sync::{mpsc, oneshot};

pub use rows::Projections;

use crate::{
    error::Error,
    stage::Stages,
    store::{LogKey, LogStore},
};
use driver::{Driver, Job, Work};
use io_times::IoTimes;

/// Commands and reads of one conversation that may wait for its driver.
const QUEUE: usize = 4096;

/// All conversations of this node.
pub struct Logs<S> {
    inner: Arc<Inner<S>>,
}

impl<S> Clone for Logs<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

struct Inner<S> {
    store: Arc<S>,
    projections: Projections,
    bus: Bus,
    options: appender::Options,
    drivers: Mutex<HashMap<LogKey, Handle>>,
    /// Of all drivers: they share what they work with.
    trouble: Trouble,
    stages: Stages,
    io_times: IoTimes,
}

/// A driver, as others see it.
struct Handle {
    jobs: mpsc::Sender<Job>,
    quiet: Arc<Quiet>,
}

/// How far a log is folded, and all of it applied, while nothing is to be appended
/// to it here; 0 otherwise. What it once said stays true.
#[derive(Default)]
struct Quiet(AtomicU64);

impl Quiet {
    fn set(&self, folded: Option<Seq>) {
        self.0.store(folded.unwrap_or(0), Ordering::Release);
    }

    fn get(&self) -> Option<Seq> {
        Some(self.0.load(Ordering::Acquire)).filter(|folded| *folded > 0)
    }
}

/// A command's event stands in the log.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its position.
    pub seq: Seq,
    /// The event; `None` where an older try had appended it.
    pub event: Option<Box<Event>>,
}

/// What a look at the head found.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Every event up to here is folded and its effects are applied.
    pub as_of: Seq,
    /// The rows that were asked for.
    pub rows: Vec<(RowKey, Option<Row>)>,
}

impl Observed {
    /// The conversation's row, if it was asked for.
    pub fn conversation(&self) -> Option<&ConversationRow> {
        self.rows.iter().find_map(|(_, row)| match row {
            Some(Row::Conversation(row)) => Some(row),
            _ => None,
        })
    }
}

impl<S: LogStore> Logs<S> {
    /// No conversation is loaded yet.
    pub fn new(
        store: Arc<S>,
        projections: Projections,
        bus: Bus,
        options: appender::Options,
    ) -> Self {
        let inner = Inner {
            store,
            projections,
            bus,
            options,
            drivers: Mutex::default(),
            trouble: Trouble::default(),
            stages: Stages::default(),
            io_times: IoTimes::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where the stages of commands are measured.
    pub(crate) fn stages(&self) -> &Stages {
        &self.inner.stages
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.inner.store
    }

    /// Decides a command at the end of the log and appends its event.
    pub async fn append(&self, key: &LogKey, request: Request) -> Result<Committed, Error> {
        let (reply, answer) = oneshot::channel();
        self.submit(key, Job { work: Work::Command(Arc::new(request)), reply })?;
        match answer.await {
            Ok(appender::Outcome::Committed { seq, event }) => Ok(Committed { seq, event }),
            Ok(appender::Outcome::Refused(refusal)) => Err(refusal.into()),
            Ok(appender::Outcome::Unavailable { settled: true }) => Err(Error::Unavailable),
            // Also when the driver is gone: what it was doing may have worked.
            Ok(_) | Err(_) => Err(Error::OutcomeUnknown),
        }
    }

    /// Looks at the head, folds up to it, and returns rows as of there.
    pub async fn observe(&self, key: &LogKey, keys: Vec<RowKey>) -> Result<Observed, Error> {
        let (reply, answer) = oneshot::channel();
        self.submit(key, Job { work: Work::Observe(keys), reply })?;
        match answer.await {
            Ok(appender::Outcome::Observed { as_of, rows }) => Ok(Observed { as_of, rows }),
            _ => Err(Error::Unavailable),
        }
    }

    /// Whether the conversation has a driver: its log may be ahead of its effects.
    pub fn is_driven(&self, key: &LogKey) -> bool {
        self.drivers().contains_key(key)
    }

    /// How far this node has folded a log, with all effects applied, unless it is busy
    /// appending to it. Others may have appended since.
    pub(crate) fn quiet_at(&self, key: &LogKey) -> Option<Seq> {
        self.drivers().get(&slot(key))?.quiet.get()
    }

    fn submit(&self, key: &LogKey, job: Job) -> Result<(), Error> {
        let mut drivers = self.drivers();
        // Sent under the lock: a driver retires under it, when its queue is empty.
        let handle = drivers.entry(slot(key)).or_insert_with(|| self.start(key));
        match handle.jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::Overloaded),
            Err(mpsc::error::TrySendError::Closed(job)) => {
                // The driver's task died; nothing of this job has happened.
                *handle = self.start(key);
                handle.jobs.try_send(job).map_err(|_| Error::Overloaded)
            }
        }
    }

    fn start(&self, key: &LogKey) -> Handle {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let quiet = Arc::<Quiet>::default();
        let driver = Driver::new(self.clone(), key.clone(), jobs, Arc::clone(&quiet));
        task::spawn("conversation", driver.run());
        metrics::gauge!("confab_conversations_loaded").increment(1);
        Handle { jobs: sender, quiet }
    }

    fn drivers(&self) -> MutexGuard<'_, HashMap<LogKey, Handle>> {
        self.inner.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a log's driver is registered. A mutant that breaks no promise gives
/// every log two drivers, each with a memory of its own, as two nodes would.
fn slot(key: &LogKey) -> LogKey {
    let rival = mutant::is("two-drivers") && clock::now_micros() % 2 == 0;
    let tenant = rival.then(|| TenantId::parse(&format!("{}.rival", key.tenant)).ok()).flatten();
    LogKey { tenant: tenant.unwrap_or_else(|| key.tenant.clone()), ..key.clone() }
}
