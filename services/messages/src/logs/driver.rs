//! One conversation's task: asks the appender what to do, does it, and tells
//! it how that went. It decides nothing.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use confab_kit::{bus::Signal, clock, random};
use confab_log::{
    Appender, Effects, Event, EventBody, Request, RowKey, Seq,
    appender::{Done, Io, Outcome, Ticket},
    mutant,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Logs, Quiet};
use crate::{
    convert::event::event_to_pb,
    stage::{self, Stage},
    store::{Direction, LogKey, LogStore, StoreResult},
};

/// A conversation that nobody uses for so long is dropped from memory.
const IDLE: Duration = Duration::from_mins(1);
/// Before a failed I/O is tried again, so that a store that is down is not hammered.
const RETRY_DELAY: Duration = Duration::from_millis(40);

/// A log's time that is so much ahead of the clock is told of, and so often: a
/// minute, in microseconds.
const FAR_AHEAD: i64 = 60_000_000;

/// When that was told last, of any conversation: they are all alike.
static TOLD_OF_THE_CLOCK: AtomicI64 = AtomicI64::new(i64::MIN);

pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Outcome>,
}

pub(super) enum Work {
    Command(Arc<Request>),
    Observe(Vec<RowKey>),
}

pub(super) struct Driver<S> {
    logs: Logs<S>,
    key: LogKey,
    jobs: mpsc::Receiver<Job>,
    appender: Appender,
    waiting: HashMap<Ticket, oneshot::Sender<Outcome>>,
    quiet: Arc<Quiet>,
}

impl<S: LogStore> Driver<S> {
    pub(super) fn new(
        logs: Logs<S>,
        key: LogKey,
        jobs: mpsc::Receiver<Job>,
        quiet: Arc<Quiet>,
    ) -> Self {
        let appender = Appender::new(logs.inner.options.clone());
        Self { logs, key, jobs, appender, waiting: HashMap::new(), quiet }
    }

    pub(super) async fn run(mut self) {
        loop {
            match tokio::time::timeout(self.idle_time(), self.jobs.recv()).await {
                Ok(Some(job)) => self.take(job),
                Ok(None) => break,
                Err(_) => {
                    self.settle().await;
                    if self.retire() {
                        break;
                    }
                    continue;
                }
            }
            self.work().await;
        }
        metrics::gauge!("confab_conversations_loaded").decrement(1);
    }

    /// A conversation that does not exist is not worth remembering.
    fn idle_time(&self) -> Duration {
        if self.appender.folded_through() == Some(0) { Duration::ZERO } else { IDLE }
    }

    async fn work(&mut self) {
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.take(job);
            }
            let next = self.appender.poll(clock::now_micros());
            self.hand_out();
            let Some(io) = next else { break };
            let done = self.bounded(io).await;
            if done == Done::Failed {
                tokio::time::sleep(random::jitter(RETRY_DELAY)).await;
            }
            self.appender.complete(done);
        }
        self.quiet.set(self.appender.folded_through());
    }

    fn take(&mut self, job: Job) {
        let ticket = match job.work {
            Work::Command(request) => {
                self.quiet.set(None);
                self.appender.submit(request)
            }
            Work::Observe(keys) => self.appender.observe(keys),
        };
        self.waiting.insert(ticket, job.reply);
    }

    /// Answers and publishes what the appender says is due.
    fn hand_out(&mut self) {
        for event in self.appender.take_published() {
            self.publish(&event);
        }
        for (ticket, outcome) in self.appender.take_answers() {
            if let Some(reply) = self.waiting.remove(&ticket) {
                // Whoever asked may have gone; the log does not mind.
                let _gone = reply.send(outcome);
            }
        }
    }

    fn publish(&self, event: &Event) {
        if mutant::is("publish-drops") && event.seq.is_multiple_of(10) {
            return;
        }
        let _publish = Stage::begin(&self.logs.stages().publish);
        self.logs.inner.bus.publish(Signal::Event {
            tenant: self.key.tenant.clone(),
            conversation: self.key.conversation.clone(),
            event: Arc::new(event_to_pb(&self.key.conversation, event, &[])),
            participants: self.appender.participant_count(),
        });
    }

    /// An I/O that takes too long has failed; whether it took effect is unclear,
    /// as it is with any failure.
    async fn bounded(&self, io: Io) -> Done {
        let (name, seconds) = self.logs.inner.io_times.of(&io);
        let begun = Instant::now();
        let done = tokio::time::timeout(stage::PATIENCE, self.perform(io)).await;
        seconds.record(begun.elapsed());
        let done = done.unwrap_or_else(|_| {
            metrics::counter!("confab_log_io_timeouts_total", "io" => name).increment(1);
            self.failed("in time", &"no answer")
        });
        if done != Done::Failed && self.logs.inner.trouble.ends() {
            tracing::info!("log store works again");
        }
        done
    }

    /// Every command that cannot be carried out fails here: the first is told.
    fn failed(&self, what: &'static str, error: &dyn Display) -> Done {
        let conversation = &self.key.conversation;
        if self.logs.inner.trouble.begins() {
            tracing::warn!(%conversation, what, %error, "log store failed");
        } else {
            tracing::debug!(%conversation, what, %error, "log store still fails");
        }
        Done::Failed
    }

    async fn perform(&self, io: Io) -> Done {
        let outcome = match io {
            Io::Look => self.look().await,
            Io::Read { from, to } => self.read(from, to).await.map(Done::Read),
            Io::Load(keys) => return self.load(keys).await,
            Io::Append(events) => self.append(events).await.map(Done::Appended),
            Io::Apply(event, effects) => return self.apply(&event, &effects).await,
            Io::Raise(through) => {
                self.logs.store().raise(&self.key, through).await.map(|()| Done::Raised)
            }
        };
        outcome.unwrap_or_else(|error| self.failed("log", &error))
    }

    async fn look(&self) -> StoreResult<Done> {
        // Who has the log in memory wants to know no more than how far it goes.
        if let Some(known) = self.appender.folded_through().filter(|seq| *seq > 0) {
            let head = self.logs.store().head_from(&self.key, known).await?;
            return Ok(Done::Looked { head, applied_through: 0 });
        }
        let end = self.logs.store().end(&self.key).await?;
        Ok(end.map_or(Done::Looked { head: 0, applied_through: 0 }, |end| Done::Looked {
            head: end.head.seq,
            applied_through: end.applied_through,
        }))
    }

    async fn read(&self, from: Seq, to: Seq) -> StoreResult<Vec<Event>> {
        let limit = usize::try_from(to.saturating_sub(from) + 1).unwrap_or(usize::MAX);
        let rows =
            self.logs.store().read(&self.key, from, to, Direction::OldestFirst, limit).await?;
        // Whatever stands above a hole is not known to be in the log yet.
        let dense = rows.iter().zip(from..).take_while(|(row, seq)| row.seq == *seq).count();
        Ok(rows.into_iter().take(dense).collect())
    }

    async fn append(&self, events: Vec<Event>) -> StoreResult<bool> {
        let hour = u64::try_from(clock::now_micros()).unwrap_or(0) / 3_600_000_000;
        metrics::histogram!("confab_append_group_events")
            .record(f64::from(u32::try_from(events.len()).unwrap_or(u32::MAX)));
        self.mind_the_clock(&events);
        let sizes: Vec<_> = events.iter().filter_map(message_bytes).collect();
        let appended = self.logs.store().append(&self.key, events, hour).await?;
        if appended {
            metrics::counter!("confab_messages_appended_total").increment(sizes.len() as u64);
            let bytes = metrics::histogram!("confab_message_bytes");
            for size in sizes {
                bytes.record(size);
            }
        } else {
            metrics::counter!("confab_append_conflicts_total").increment(1);
        }
        if mutant::is("late-publish") {
            // Breaks nothing by itself, but gives others the time to end this process.
            tokio::time::sleep(stage::PATIENCE / 2).await;
        }
        Ok(appended)
    }

    /// Times in a log never go back, so after a clock that was ahead everything
    /// there stays ahead, and mutes and bans that end before then are refused.
    fn mind_the_clock(&self, events: &[Event]) {
        let now = clock::now_micros();
        let ahead = events.last().map_or(0, |event| event.time.saturating_sub(now));
        let told = TOLD_OF_THE_CLOCK.load(Ordering::Relaxed);
        if ahead < FAR_AHEAD || now.saturating_sub(told) < FAR_AHEAD {
            return;
        }
        TOLD_OF_THE_CLOCK.store(now, Ordering::Relaxed);
        let (conversation, ahead_seconds) = (&self.key.conversation, ahead / 1_000_000);
        tracing::warn!(
            %conversation,
            ahead_seconds,
            "a conversation's time is far ahead of the clock: a clock was wrong, or is"
        );
    }

    async fn load(&self, keys: Vec<RowKey>) -> Done {
        let (own, others): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| matches!(key, RowKey::Message(_) | RowKey::Reactions(..)));
        let projections = &self.logs.inner.projections;
        let (own, others) = tokio::join!(
            self.logs.store().load(&self.key, &own),
            projections.load(&self.key, &others)
        );
        match (own, others) {
            (Ok(mut rows), Ok(others)) => {
                rows.extend(others);
                Done::Loaded(rows)
            }
            (Err(error), _) => self.failed("load", &error),
            (_, Err(error)) => self.failed("load", &error),
        }
    }

    async fn apply(&self, event: &Event, effects: &Effects) -> Done {
        if mutant::is("ack-before-effects") || mutant::is("late-effects") {
            // Breaks nothing by itself, but gives others the time to see what does.
            tokio::time::sleep(random::jitter(RETRY_DELAY)).await;
        }
        let projections = &self.logs.inner.projections;
        let (own, others) = tokio::join!(
            self.logs.store().apply(&self.key, event, effects),
            projections.apply(&self.key, event, effects)
        );
        match (own, others) {
            (Ok(()), Ok(())) => Done::Applied,
            (Err(error), _) => self.failed("effects", &error),
            (_, Err(error)) => self.failed("effects", &error),
        }
    }

    /// Notes that every effect is applied, so that the next load is short.
    async fn settle(&mut self) {
        let Some(through) = self.appender.folded_through().filter(|through| *through > 0) else {
            return;
        };
        if let Err(error) = self.logs.store().raise(&self.key, through).await {
            self.failed("applied_through", &error);
        }
    }

    /// Leaves the registry, unless somebody has asked for something meanwhile.
    fn retire(&self) -> bool {
        let mut drivers = self.logs.drivers();
        if !self.jobs.is_empty() {
            return false;
        }
        drivers.remove(&self.key);
        true
    }
}

/// The text of a message, as text and as HTML, if the event made one.
fn message_bytes(event: &Event) -> Option<f64> {
    let EventBody::MessageCreated(row) = &event.body else { return None };
    let bytes = row
        .content
        .as_ref()
        .map_or(0, |content| content.text.len() + content.html.as_ref().map_or(0, String::len));
    Some(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)))
}
