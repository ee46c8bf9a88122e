//! The one thread that writes.
//!
//! It takes what is queued, runs it in order over the group's uncommitted rows,
//! commits the group as one batch with one fsync, and only then answers. It
//! never retries a failed commit, and never answers success without one.

#![expect(
    clippy::disallowed_methods,
    reason = "the committer is a thread that may block, and times its commits for a metric"
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fjall::{AbstractTree, PersistMode};
use metrics::{Unit, describe_gauge, describe_histogram, histogram};
use tokio::sync::{mpsc, oneshot};

use super::{Options, shared::Shared, transaction::Transaction, writes::Writes};
use crate::{OpenError, StoreError};

/// Runs a transaction, or is told why it cannot run; returns who waits for the commit.
type Job = Box<dyn FnOnce(Result<&mut Transaction<'_>, StoreError>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The caller's end. The last one to drop it waits until the queue is empty.
pub(super) struct Committer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Committer {
    pub(super) fn start(shared: Arc<Shared>, options: &Options) -> Result<Self, OpenError> {
        describe();
        let (queue, jobs) = mpsc::channel(options.queue.max(1));
        let worker = Worker {
            shared: shared.clone(),
            group_bytes: options.group_bytes,
            mutants: Mutants::now(),
        };
        let thread = thread::Builder::new()
            .name("confab-committer".to_owned())
            .spawn(move || worker.run(jobs))
            .map_err(|source| OpenError::Io {
                action: "start the committer thread for",
                path: shared.folder.path().to_owned(),
                source,
            })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), shared })
    }

    pub(super) async fn transact<R, F>(&self, work: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> R + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let sent = match &self.queue {
            Some(queue) => queue.send(job(work, answer)).await.is_ok(),
            None => false,
        };
        if !sent {
            self.shared.health()?;
            return Err(StoreError::unavailable("the committer has ended"));
        }
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::outcome_unknown("the committer ended before it answered"))
        })
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A transaction may hold the last handle; the thread cannot wait for itself.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        if thread.join().is_err() {
            tracing::error!("committer thread panicked");
        }
    }
}

fn job<R, F>(work: F, answer: oneshot::Sender<Result<R, StoreError>>) -> Job
where
    R: Send + 'static,
    F: FnOnce(&mut Transaction<'_>) -> R + Send + 'static,
{
    Box::new(move |start| {
        let result = match start {
            Err(error) => Err(error),
            Ok(transaction) => {
                catch_unwind(AssertUnwindSafe(|| work(&mut *transaction))).map_err(|_| {
                    transaction.discard();
                    StoreError::Panicked
                })
            }
        };
        // Who no longer waits is not an error: the answer has no other reader.
        Box::new(move |committed| drop(answer.send(committed.and(result))))
    })
}

struct Worker {
    shared: Arc<Shared>,
    group_bytes: usize,
    mutants: Mutants,
}

#[derive(Default)]
struct Group {
    writes: Writes,
    replies: Vec<Reply>,
}

impl Worker {
    fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let _guard = FailOnPanic(self.shared.clone());
        while let Some(first) = jobs.blocking_recv() {
            let group = self.collect(first, &mut jobs);
            self.finish(group);
        }
    }

    /// Runs what is queued, up to the bound. What arrives while the group is
    /// being committed makes the next one: no timer is needed to form groups.
    fn collect(&self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Group {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(job) = next {
            self.run_job(job, &mut group);
            if group.writes.bytes() >= self.group_bytes {
                break;
            }
            next = jobs.try_recv().ok();
        }
        group
    }

    fn run_job(&self, job: Job, group: &mut Group) {
        if let Err(error) = self.shared.health() {
            let reply = job(Err(error.clone()));
            return reply(Err(error));
        }
        let mut transaction = Transaction::new(&group.writes, &self.shared);
        let reply = job(Ok(&mut transaction));
        match transaction.finish() {
            Ok(writes) => {
                group.writes.absorb(writes);
                group.replies.push(reply);
            }
            Err(error) => reply(Err(error)),
        }
    }

    fn finish(&self, mut group: Group) {
        if self.mutants.ack_before_commit {
            answer(std::mem::take(&mut group.replies), &Ok(()));
            thread::sleep(Duration::from_millis(20));
        }
        let outcome = match self.commit(&group.replies, group.writes) {
            Err(_) if self.mutants.retry_failed_fsync => Ok(()),
            outcome => outcome,
        };
        answer(group.replies, &outcome);
    }

    fn commit(&self, replies: &[Reply], writes: Writes) -> Result<(), StoreError> {
        let started = Instant::now();
        let outcome = self.write(writes);
        if let Err(error) = outcome {
            return Err(self.stop(&error));
        }
        histogram!("confab_store_commit_seconds").record(started.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "a group is far below 2^52")]
        histogram!("confab_store_commit_transactions").record(replies.len() as f64);
        Ok(())
    }

    fn write(&self, writes: Writes) -> Result<(), fjall::Error> {
        if writes.is_empty() {
            // Nothing to sync; but is the database still alive? See `wait_for_room`.
            return self.shared.database.persist(PersistMode::Buffer);
        }
        self.wait_for_room(&writes)?;
        let mode = (!self.mutants.skip_fsync).then_some(PersistMode::SyncAll);
        let mut batch = self.shared.database.batch().durability(mode);
        writes.fill(&mut batch);
        batch.commit()
    }

    /// Waits until the database's background threads have caught up.
    ///
    /// The database would wait too, inside its commit, but for ever when those
    /// threads are dead (a full disk ends them). So wait here, at lower bounds
    /// than its own (4 sealed memtables, 30 runs), and ask whether it is poisoned.
    fn wait_for_room(&self, writes: &Writes) -> Result<(), fjall::Error> {
        let is_behind = |tree: &fjall::Keyspace| {
            tree.tree.sealed_memtable_count() >= 3 || tree.tree.l0_run_count() >= 26
        };
        while writes.trees().any(is_behind) {
            self.shared.database.persist(PersistMode::Buffer)?;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops the engine, and says what the callers of this group may conclude.
    fn stop(&self, error: &fjall::Error) -> StoreError {
        let reason = StoreError::reason_of(error);
        if !self.mutants.retry_failed_fsync {
            self.shared.fail(&reason);
        }
        match error {
            // The database refused before it wrote: a background thread had failed.
            fjall::Error::Poisoned => StoreError::Failed { reason: reason.into() },
            _ => StoreError::outcome_unknown(reason),
        }
    }
}

fn answer(replies: Vec<Reply>, outcome: &Result<(), StoreError>) {
    for reply in replies {
        reply(outcome.clone());
    }
}

/// If the committer itself panics, nobody may take the engine for alive.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("the committer thread panicked");
        }
    }
}

/// Which promises are broken on purpose; none in a release.
struct Mutants {
    ack_before_commit: bool,
    skip_fsync: bool,
    retry_failed_fsync: bool,
}

impl Mutants {
    fn now() -> Self {
        Self {
            ack_before_commit: confab_log::mutant::is("ack-before-commit"),
            skip_fsync: confab_log::mutant::is("skip-fsync"),
            retry_failed_fsync: confab_log::mutant::is("retry-failed-fsync"),
        }
    }
}

fn describe() {
    describe_histogram!(
        "confab_store_commit_seconds",
        Unit::Seconds,
        "time to commit a group, fsync included"
    );
    describe_histogram!("confab_store_commit_transactions", Unit::Count, "transactions in a group");
    describe_gauge!("confab_store_failed", "1 when the store has stopped after a failed write");
}
