//! How many durable transactions a second: the raw database, and the engine.
//!
//! `cargo run --release -p confab-store --example commit_rate [seconds [folder]]`.
//! Use a folder on the disk that matters; the default is the temporary folder.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::{
    env,
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use confab_store::embedded::{Engine, Options};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use tokio::task::JoinSet;

const PRODUCERS: u64 = 64;
const VALUE: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let parent = arguments.next().map_or_else(env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent)?;
    let duration = Duration::from_secs(seconds);
    println!("{PRODUCERS} producers, values of {VALUE} bytes, {seconds} s each");
    for group in [1, PRODUCERS] {
        let path = folder.path().join(format!("raw-{group}"));
        let rate = raw(&path, group, duration)?;
        println!("fjall, batches of {group:>2} rows, one fsync each: {rate:>8.0} rows/s");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    for producers in [1, PRODUCERS] {
        let path = folder.path().join(format!("engine-{producers}"));
        let rate = runtime.block_on(engine(&path, producers, duration))?;
        println!("Engine::transact, {producers:>2} producers: {rate:>8.0} transactions/s");
    }
    reads(&folder.path().join(format!("engine-{PRODUCERS}")))
}

/// One thread, batches as large as a perfect group: nothing can be faster.
fn raw(path: &Path, group: u64, duration: Duration) -> Result<f64, fjall::Error> {
    let database = Database::builder(path).open()?;
    let rows = database.keyspace("rows", KeyspaceCreateOptions::default)?;
    let started = Instant::now();
    let mut next = 0_u64;
    while started.elapsed() < duration {
        let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
        for _ in 0..group {
            batch.insert(&rows, next.to_be_bytes(), vec![b'x'; VALUE]);
            next += 1;
        }
        batch.commit()?;
    }
    Ok(rate(next, started))
}

/// Every producer waits for its answer before it sends again.
async fn engine(path: &Path, producers: u64, duration: Duration) -> Result<f64, Box<dyn Error>> {
    let engine = Engine::open(path, Options::default())?;
    let rows = engine.keyspace("rows")?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for producer in 0..producers {
        let (engine, rows) = (engine.clone(), rows.clone());
        tasks.spawn(async move {
            let mut written = 0_u64;
            while started.elapsed() < duration {
                let key = [producer.to_be_bytes(), written.to_be_bytes()].concat();
                let rows = rows.clone();
                let append = engine.transact(move |transaction| {
                    if transaction.get(&rows, &key)?.is_none() {
                        transaction.put(&rows, &key, vec![b'x'; VALUE]);
                    }
                    Ok::<_, confab_store::StoreError>(())
                });
                append.await??;
                written += 1;
            }
            Ok::<_, confab_store::StoreError>(written)
        });
    }
    let mut total = 0;
    for written in tasks.join_all().await {
        total += written?;
    }
    Ok(rate(total, started))
}

fn reads(path: &Path) -> Result<(), Box<dyn Error>> {
    let engine = Engine::open(path, Options::default())?;
    let rows = engine.keyspace("rows")?;
    let key = |n: u64| [0_u64.to_be_bytes(), n.to_be_bytes()].concat();
    let times = 20_000;
    let started = Instant::now();
    for n in 0..times {
        rows.get(key(n % 100))?;
    }
    println!("get: {:.2} µs", 1e6 / rate(times, started));
    let started = Instant::now();
    for _ in 0..times {
        let direction = confab_store::embedded::Direction::Backward;
        rows.prefix(0_u64.to_be_bytes(), direction, 50)?;
    }
    println!("page of 50: {:.2} µs", 1e6 / rate(times, started));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rate(count: u64, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}
