//! Order, atomicity, races, panics and reads of transactions.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use confab_store::{
    StoreError,
    embedded::{Direction, Engine, Keyspace, Options, Row},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;
use tokio::task::JoinSet;

struct Store {
    engine: Engine,
    rows: Keyspace,
    _folder: TempDir,
}

fn store(options: Options) -> Store {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(folder.path(), options).expect("a new folder");
    Store { rows: engine.keyspace("rows").expect("a keyspace"), engine, _folder: folder }
}

/// Keeps the committer busy until the sender is used, so that what is enqueued
/// meanwhile forms one group behind it.
fn hold(engine: &Engine) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (release, released) = mpsc::channel();
    let held = engine.transact(move |_| released.recv().is_ok());
    let task = tokio::spawn(async move {
        assert_eq!(held.await.ok(), Some(true));
    });
    (release, task)
}

#[tokio::test]
async fn a_group_keeps_the_order_and_sees_what_came_before() {
    let Store { engine, rows, _folder } = store(Options::default());
    let (release, held) = hold(&engine);
    let mut tasks = JoinSet::new();
    for expected in 0..500_u32 {
        let rows = rows.clone();
        let append = engine.transact(move |transaction| {
            let last = transaction.get(&rows, "last")?.map_or(0, |n| number(&n));
            transaction.put(&rows, "last", (last + 1).to_be_bytes().to_vec());
            Ok::<_, StoreError>(last)
        });
        tasks.spawn(async move { (expected, append.await.expect("an answer").expect("a read")) });
        tokio::task::yield_now().await;
    }
    assert_eq!(rows.get("last").expect("a read"), None, "seen before the commit");
    release.send(()).expect("the committer waits");
    held.await.expect("the holder ends");
    for (expected, found) in tasks.join_all().await {
        assert_eq!(found, expected);
    }
    let last = rows.get("last").expect("a read").expect("a row");
    assert_eq!(number(&last), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_32_racers_exactly_one_appends() {
    let store = store(Options { queue: 4, ..Options::default() });
    for round in 0..20_u32 {
        let mut racers = JoinSet::new();
        for racer in 0..32_u32 {
            let rows = store.rows.clone();
            racers.spawn(store.engine.transact(move |transaction| {
                if transaction.get(&rows, round.to_be_bytes())?.is_some() {
                    return Ok(None);
                }
                transaction.put(&rows, round.to_be_bytes(), racer.to_be_bytes().to_vec());
                Ok::<_, StoreError>(Some(racer))
            }));
        }
        let mut winners = Vec::new();
        for answer in racers.join_all().await {
            winners.extend(answer.expect("an answer").expect("a read"));
        }
        let stored = store.rows.get(round.to_be_bytes()).expect("a read");
        assert_eq!(winners, [number(&stored.expect("a row"))]);
    }
}

#[test]
fn a_reader_never_sees_half_of_a_transaction() {
    let Store { engine, rows, _folder } = store(Options::default());
    let others = engine.keyspace("others").expect("a keyspace");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let view = engine.snapshot();
                let one = view.get(&rows, "n").expect("a read");
                let other = view.prefix(&others, "n", Direction::Forward, 9);
                let other = other.expect("a read").pop().map(|(_, value)| value);
                assert_eq!(one, other);
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            for n in 0..300_u32 {
                let (rows, others) = (rows.clone(), others.clone());
                let both = engine.transact(move |transaction| {
                    transaction.put(&rows, "n", n.to_be_bytes().to_vec());
                    transaction.put(&others, "n", n.to_be_bytes().to_vec());
                });
                both.await.expect("a commit");
            }
        });
        done.store(true, Ordering::Release);
    });
}

#[tokio::test]
async fn a_panic_discards_its_own_writes_only() {
    let Store { engine, rows, _folder } = store(Options::default());
    let (release, held) = hold(&engine);
    let mut tasks = JoinSet::new();
    for n in 0..10_u32 {
        let rows = rows.clone();
        tasks.spawn(engine.transact(move |transaction| {
            transaction.put(&rows, n.to_be_bytes(), "value");
            assert!(n % 3 != 0, "on purpose");
        }));
        tokio::task::yield_now().await;
    }
    let bad_key = rows.clone();
    let bad_key = engine.transact(move |transaction| transaction.put(&bad_key, "", "value"));
    release.send(()).expect("the committer waits");
    held.await.expect("the holder ends");
    let answers = tasks.join_all().await;
    let panicked = answers.iter().filter(|a| matches!(a, Err(StoreError::Panicked)));
    assert_eq!(panicked.count(), 4);
    assert!(matches!(bad_key.await, Err(StoreError::Panicked)));
    for n in 0..10_u32 {
        let stored = rows.get(n.to_be_bytes()).expect("a read");
        assert_eq!(stored.is_some(), n % 3 != 0, "row {n}");
    }
    engine.probe().await.expect("the engine goes on");
    engine.health().expect("the engine goes on");
}

#[tokio::test]
async fn a_discarded_transaction_leaves_nothing() {
    let Store { engine, rows, _folder } = store(Options::default());
    let in_transaction = rows.clone();
    let answer = engine.transact(move |transaction| {
        transaction.put(&in_transaction, "a", "1");
        let seen = transaction.get(&in_transaction, "a");
        transaction.discard();
        transaction.put(&in_transaction, "b", "2");
        seen
    });
    let seen = answer.await.expect("an answer").expect("a read");
    assert_eq!(seen.as_deref(), Some(&b"1"[..]));
    let all = rows.prefix("", Direction::Forward, 9).expect("a read");
    assert_eq!(all, []);
}

#[tokio::test]
async fn a_keyspace_of_another_engine_is_refused() {
    let (one, other) = (store(Options::default()), store(Options::default()));
    let foreign = other.rows.clone();
    let answer = one.engine.transact(move |transaction| transaction.put(&foreign, "a", "1"));
    assert!(matches!(answer.await, Err(StoreError::Panicked)));
}

#[tokio::test]
async fn dropping_the_engine_finishes_what_is_queued() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(folder.path(), Options::default()).expect("a new folder");
    let rows = engine.keyspace("rows").expect("a keyspace");
    let mut tasks = JoinSet::new();
    for n in 0..1000_u32 {
        let rows = rows.clone();
        tasks.spawn(engine.transact(move |transaction| {
            transaction.put(&rows, n.to_be_bytes(), "value");
        }));
    }
    drop((engine, rows));
    for answer in tasks.join_all().await {
        answer.expect("a commit");
    }
    let engine = Engine::open(folder.path(), Options::default()).expect("the folder again");
    let rows = engine.keyspace("rows").expect("a keyspace");
    let stored = rows.prefix("", Direction::Forward, 2000).expect("a read");
    assert_eq!(stored.len(), 1000);
}

/// Reads inside a transaction against a model, over rows that are stored, written
/// earlier in the group, and written by the transaction itself.
#[tokio::test]
async fn reads_in_a_transaction_merge_all_that_came_before() {
    for seed in 0..40 {
        let mut random = SmallRng::seed_from_u64(seed);
        let Store { engine, rows, _folder } = store(Options::default());
        let mut model = BTreeMap::new();
        let stored = changes(&mut random, &mut model);
        write(&engine, &rows, stored).await;
        let (release, held) = hold(&engine);
        let grouped = changes(&mut random, &mut model);
        let grouped = tokio::spawn({
            let (engine, rows) = (engine.clone(), rows.clone());
            async move { write(&engine, &rows, grouped).await }
        });
        tokio::task::yield_now().await;
        let own = changes(&mut random, &mut model);
        let (all, in_transaction) = (rows.clone(), model.clone());
        let reads = tokio::spawn(engine.transact(move |transaction| {
            for (key, value) in own {
                match value {
                    Some(value) => transaction.put(&rows, [key], vec![value]),
                    None => transaction.remove(&rows, [key]),
                }
            }
            assert_agrees(seed, &in_transaction, |range, direction, limit| {
                transaction.range(&rows, range, direction, limit)
            });
            let last = transaction.last_under_prefix(&rows, "").expect("a read");
            let last = last.map(|(key, value)| (key[0], value[0]));
            assert_eq!(last, in_transaction.last_key_value().map(|(k, v)| (*k, *v)));
        }));
        tokio::task::yield_now().await;
        release.send(()).expect("the committer waits");
        held.await.expect("the holder ends");
        grouped.await.expect("the writer ends");
        reads.await.expect("a task").expect("the reads agree");
        assert_agrees(seed, &model, |range, direction, limit| all.range(range, direction, limit));
    }
}

/// Compares reads of drawn ranges, inverted ones too, with the model.
fn assert_agrees(
    seed: u64,
    model: &BTreeMap<u8, u8>,
    mut read: impl FnMut(Range<[u8; 1]>, Direction, usize) -> Result<Vec<Row>, StoreError>,
) {
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..50 {
        let (from, to) = (random.random_range(0..40), random.random_range(0..40));
        let limit = random.random_range(0..12);
        let mut expected = between(model, from, to);
        for direction in [Direction::Forward, Direction::Backward] {
            let found = plain(read([from]..[to], direction, limit));
            assert_eq!(found, expected[..limit.min(expected.len())], "seed {seed}");
            expected.reverse();
        }
    }
}

fn changes(random: &mut SmallRng, model: &mut BTreeMap<u8, u8>) -> Vec<(u8, Option<u8>)> {
    let mut changes = Vec::new();
    for _ in 0..20 {
        let key = random.random_range(0..40);
        let value = random.random::<bool>().then(|| random.random());
        match value {
            Some(value) => model.insert(key, value),
            None => model.remove(&key),
        };
        changes.push((key, value));
    }
    changes
}

async fn write(engine: &Engine, rows: &Keyspace, changes: Vec<(u8, Option<u8>)>) {
    let rows = rows.clone();
    let written = engine.transact(move |transaction| {
        for (key, value) in changes {
            match value {
                Some(value) => transaction.put(&rows, [key], vec![value]),
                None => transaction.remove(&rows, [key]),
            }
        }
    });
    written.await.expect("a commit");
}

fn between(model: &BTreeMap<u8, u8>, from: u8, to: u8) -> Vec<(u8, u8)> {
    let inside = model.iter().filter(|(key, _)| (from..to).contains(*key));
    inside.map(|(key, value)| (*key, *value)).collect()
}

fn plain(rows: Result<Vec<Row>, StoreError>) -> Vec<(u8, u8)> {
    let rows = rows.expect("a read");
    rows.iter().map(|(key, value)| (key[0], value[0])).collect()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("4 bytes"))
}
