//! The engine alone. Twice: through `confab_store::Engine`, as the messages
//! adapter uses it, and through fjall itself with the same group commit and
//! nothing around it, which nothing can be faster than.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use confab_store::embedded::{Direction, Engine, Options};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    EngineArguments,
    rows::{self, LOG, LogRow, MARKS},
};
use crate::{
    Failure,
    bench::{
        arguments::{Common, SendArguments},
        check::Findings,
        crew::Crew,
        latency::{Recorder, Summary},
        process::{self, Usage},
        report::{Check, Report, Window, count},
        screen::Screen,
        send,
        server::{Folder, Program, Server},
    },
};

/// What the committer of `confab_store` allows a group.
const GROUP_BYTES: usize = 4 << 20;

/// See the module.
pub(super) async fn run(arguments: &EngineArguments, screen: &Screen) -> Result<(), Failure> {
    let EngineArguments { common, rows_from, in_flight, group_rows } = arguments;
    let rows = match rows_from {
        Some(folder) => rows::read(folder)?,
        None => written(common, *in_flight, screen).await?,
    };
    let raw = through_fjall(&rows, *in_flight, *group_rows, common, screen).await?;
    let engine = through_engine(&rows, *in_flight, common, screen).await?;
    let mut report = Report::new("engine", arguments, "rows", raw.window);
    report.latency_us = raw.took;
    report.figure("bytes_per_row", bytes_per_row(&rows));
    report.figure("rows_per_group", raw.rows_per_group);
    report.figure("through_confab_store_per_second", engine.rate());
    report.figure("confab_store_of_fjall", engine.rate() / raw.rate());
    let mut findings = Findings::default();
    if engine.missing > 0 {
        findings.find(format!("{} rows were written and are not there", engine.missing));
    }
    report.check = Check::of(rows.len() as u64, findings);
    screen.clear();
    crate::bench::tell(common, &report)
}

/// Rows that a server wrote for as many senders.
async fn written(
    common: &Common,
    in_flight: usize,
    screen: &Screen,
) -> Result<Vec<LogRow>, Failure> {
    let mut server = Server::spawn(common, Program::Confab).await?;
    let arguments = SendArguments {
        common: common.clone(),
        in_flight,
        rate: None,
        conversations: 64,
        connections: 64,
        subscribers: 0,
        size: 100,
    };
    send::run(&arguments, &server, screen).await?;
    rows_of(&mut server).await
}

/// The rows that a server of our own has written; it is stopped for that.
pub(super) async fn rows_of(server: &mut Server) -> Result<Vec<LogRow>, Failure> {
    server.kill().await?;
    rows::read(&server.data().ok_or("only a server of its own has a folder to read")?)
}

fn bytes_per_row(rows: &[LogRow]) -> f64 {
    let bytes: usize = rows.iter().map(|row| row.key.len() + row.value.len()).sum();
    count(bytes as u64) / count(rows.len().max(1) as u64)
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) window: Window,
    pub(super) took: Summary,
    /// Unknown through `confab_store`, which does not tell.
    rows_per_group: Option<f64>,
    /// Rows that are not there afterwards.
    missing: u64,
}

impl Written {
    /// Rows a second.
    pub(super) fn rate(&self) -> f64 {
        count(self.window.operations) / self.window.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Deals rows to workers, each of whom waits for the answer to one.
struct Dealer {
    rows: Arc<[LogRow]>,
    next: Arc<AtomicUsize>,
    recorder: Recorder,
    screen: Screen,
}

impl Dealer {
    fn new(rows: &[LogRow], screen: &Screen) -> Self {
        screen.begin("writing rows", rows.len());
        Self {
            rows: rows.into(),
            next: Arc::default(),
            recorder: Recorder::new(),
            screen: screen.clone(),
        }
    }

    /// Writes all rows with so many workers; `write` returns when one is durable.
    async fn deal<W, F>(self, workers: usize, write: W) -> Result<Written, Failure>
    where
        W: Fn(LogRow) -> F + Clone + Send + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let operations = self.rows.len() as u64;
        let mut crew = Crew::new("bench writer");
        let (begun, before) = (Instant::now(), usage());
        for number in 0..workers.max(1) {
            let (rows, next) = (Arc::clone(&self.rows), Arc::clone(&self.next));
            let (recorder, screen) = (self.recorder.for_task(number), self.screen.clone());
            let write = write.clone();
            crew.add(async move {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    write(row.clone()).await?;
                    recorder.record(begun.elapsed());
                    screen.step();
                }
                Ok(())
            });
        }
        crew.all().await?;
        let window = Window { operations, elapsed: begun.elapsed(), before, after: usage() };
        Ok(Written { window, took: self.recorder.summary(), rows_per_group: None, missing: 0 })
    }
}

/// This process does nothing else meanwhile.
fn usage() -> Usage {
    process::usage(std::process::id())
}

/// As the messages adapter appends: if the row does not exist, it is put.
pub(super) async fn through_engine(
    rows: &[LogRow],
    in_flight: usize,
    common: &Common,
    screen: &Screen,
) -> Result<Written, Failure> {
    let folder = Folder::new(common.folder.as_deref())?;
    let engine = Engine::open(&folder.data(), Options::default())?;
    let (log, marks) = (engine.keyspace(LOG)?, engine.keyspace(MARKS)?);
    let reader = log.clone();
    let write = move |row: LogRow| {
        let (log, marks) = (log.clone(), marks.clone());
        let appending = engine.transact(move |transaction| {
            if transaction.get(&log, &row.key)?.is_some() {
                return Ok::<_, confab_store::StoreError>(false);
            }
            transaction.put(&log, &row.key, row.value);
            if let Some((key, value)) = row.mark {
                transaction.put(&marks, key, value);
            }
            Ok(true)
        });
        async move {
            let appended = appending.await??;
            if appended { Ok(()) } else { Err("a row was there already".into()) }
        }
    };
    let mut written = Dealer::new(rows, screen).deal(in_flight, write).await?;
    for row in rows {
        written.missing += u64::from(reader.get(&row.key)?.as_ref() != Some(&row.value));
    }
    Ok(written)
}

struct Job {
    row: LogRow,
    done: oneshot::Sender<()>,
}

/// One thread takes what is queued, writes it as one batch with one fsync, and
/// answers: what `confab_store` does, without transactions. A group has at most
/// `group_rows` rows, if that is given.
pub(super) async fn through_fjall(
    rows: &[LogRow],
    in_flight: usize,
    group_rows: Option<usize>,
    common: &Common,
    screen: &Screen,
) -> Result<Written, Failure> {
    let folder = Folder::new(common.folder.as_deref())?;
    let database = Database::builder(folder.data())
        .cache_size(Options::default().cache_bytes)
        .manual_journal_persist(true)
        .open()?;
    let (queue, jobs) = mpsc::channel(Options::default().queue);
    let most = group_rows.unwrap_or(usize::MAX);
    let committer = tokio::task::spawn_blocking(move || commit(&database, jobs, most));
    let write = move |row: LogRow| {
        let queue = queue.clone();
        async move {
            let (done, durable) = oneshot::channel();
            queue.send(Job { row, done }).await.map_err(|_| "the committer has ended")?;
            Ok(durable.await?)
        }
    };
    let written = Dealer::new(rows, screen).deal(in_flight, write).await;
    let groups = committer.await??;
    let mut written = written?;
    written.rows_per_group = Some(count(rows.len() as u64) / count(groups.max(1)));
    Ok(written)
}

/// Says how many groups there were.
fn commit(
    database: &Database,
    mut jobs: mpsc::Receiver<Job>,
    most: usize,
) -> Result<u64, fjall::Error> {
    let options = || KeyspaceCreateOptions::default().manual_journal_persist(true);
    let (log, marks) = (database.keyspace(LOG, options)?, database.keyspace(MARKS, options)?);
    let mut groups = 0;
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
        let (mut waiting, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(Job { row: LogRow { key, value, mark }, done }) = next {
            bytes += key.len() + value.len();
            batch.insert(&log, key, value);
            if let Some((key, value)) = mark {
                batch.insert(&marks, key, value);
            }
            waiting.push(done);
            let full = bytes >= GROUP_BYTES || waiting.len() >= most;
            next = if full { None } else { jobs.try_recv().ok() };
        }
        batch.commit()?;
        groups += 1;
        for done in waiting {
            // Whoever waited has failed and is not here any more.
            let _gone = done.send(());
        }
    }
    Ok(groups)
}

/// How long the engine takes for so many neighbouring rows at a random place of
/// a folder's one long log, in this process.
pub(super) fn range_reads(
    server: &Server,
    rows: u64,
    duration: Duration,
    seed: u64,
) -> Result<Summary, Failure> {
    let data = server.data().ok_or("only a server of its own has a folder to read")?;
    let engine = Engine::open(&data, Options::default())?;
    let log = engine.keyspace(LOG)?;
    let newest = log.range::<&[u8]>(.., Direction::Backward, 1)?;
    let (key, _) = newest.first().ok_or("the log is empty")?;
    let (prefix, head) = rows::split(key).ok_or("the log's rows have other keys")?;
    let row = |seq: u64| [prefix, &seq.to_be_bytes()].concat();
    let mut random = SmallRng::seed_from_u64(seed);
    let (recorder, begun) = (Recorder::new(), Instant::now());
    while begun.elapsed() < duration {
        let to = random.random_range(rows.min(head)..=head);
        let from = to.saturating_sub(rows) + 1;
        let start = Instant::now();
        let read = log.range(row(from)..=row(to), Direction::Backward, usize::MAX)?;
        recorder.record(start.elapsed());
        if read.len() as u64 != rows.min(head) {
            return Err(format!("{} rows where {rows} are", read.len()).into());
        }
    }
    Ok(recorder.summary())
}
