//! What a disk or a power cut does to the journal: a folder opens with all that was
//! acknowledged, or says what is lost, and is left as it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use confab_log::mutant;
use confab_store::{
    OpenError,
    embedded::{Engine, Options},
};
use tempfile::TempDir;

const ROWS: u8 = 10;
/// More than some sectors.
const BYTES: usize = 4000;

/// A folder with one group for each row, closed.
async fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path()).expect("a new folder");
    let rows = engine.keyspace("rows").expect("a keyspace");
    for number in 0..ROWS {
        let rows = rows.clone();
        let written =
            engine.transact(move |txn| txn.put(&rows, [number], vec![b'a' + number; BYTES]));
        written.await.expect("written");
    }
    folder
}

fn open(path: &Path) -> Result<Engine, OpenError> {
    Engine::open(path, Options::default())
}

/// How many rows are there: the first ones, or the test fails.
fn rows(path: &Path) -> u8 {
    let engine = open(path).expect("it opens");
    let rows = engine.keyspace("rows").expect("a keyspace");
    let there = |number: &u8| rows.get([*number]).expect("a read").is_some();
    let count = (0..ROWS).take_while(there).count();
    assert!(!(0..ROWS).skip(count).any(|number| there(&number)), "a hole");
    u8::try_from(count).expect("few")
}

fn journal(folder: &TempDir) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(folder.path().join("db"))
        .expect("a database")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Where the row's value is in the journal.
fn place(journal: &[u8], number: u8) -> usize {
    let value = vec![b'a' + number; BYTES];
    journal.windows(BYTES).position(|window| window == value).expect("the row's group")
}

/// Changes the journal of a new folder.
async fn harmed(harm: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let folder = folder().await;
    let path = journal(&folder);
    let mut bytes = fs::read(&path).expect("a journal");
    // Of the 64 MiB that it was made with.
    let last = bytes.chunks(4096).rposition(|chunk| chunk != [0; 4096]).expect("groups");
    bytes.truncate((last + 2) * 4096);
    harm(&mut bytes);
    fs::write(&path, bytes).expect("written");
    folder
}

fn is_refused(folder: &TempDir, problem: &str) {
    let before = fs::read(journal(folder)).expect("a journal");
    for _ in 0..2 {
        let Err(error @ OpenError::Damaged { .. }) = open(folder.path()) else {
            panic!("a damaged journal was taken");
        };
        assert!(error.to_string().contains(problem), "{error}");
    }
    assert!(fs::read(journal(folder)).expect("a journal") == before, "it was changed");
}

#[tokio::test]
async fn a_whole_journal_is_taken() {
    let folder = folder().await;
    assert_eq!(rows(folder.path()), ROWS);
    assert_eq!(rows(folder.path()), ROWS);
}

#[tokio::test]
async fn damage_below_acknowledged_rows_is_told() {
    for number in [0, ROWS / 2, ROWS - 2] {
        let folder = harmed(|bytes| {
            let at = place(bytes, number) + BYTES / 2;
            bytes[at] ^= 1;
        })
        .await;
        is_refused(&folder, "acknowledged rows are lost");
    }
    let folder = harmed(|bytes| break_a_head(bytes)).await;
    is_refused(&folder, "acknowledged rows are lost");
}

/// Of the group after row 3.
fn break_a_head(bytes: &mut [u8]) {
    let at = place(bytes, 3) + BYTES + 13;
    assert_eq!(bytes[at], 1, "the start of a group");
    bytes[at] = 0;
}

/// The engine by itself drops everything behind a broken head, silently.
#[tokio::test]
async fn a_journal_that_is_not_judged_is_caught() {
    let folder = harmed(|bytes| break_a_head(bytes)).await;
    mutant::set(Some("journal-not-judged"));
    let rows = rows(folder.path());
    mutant::set(None);
    assert_eq!(rows, 4);
}

#[tokio::test]
async fn a_group_that_a_crash_cut_off_is_dropped() {
    let cut = harmed(|bytes| bytes.truncate(place(bytes, ROWS - 1) + BYTES / 2)).await;
    assert_eq!(rows(cut.path()), ROWS - 1);
    // The end is on the disk, and a sector before it is not: the engine by itself
    // would refuse the folder.
    let torn = harmed(|bytes| {
        let sector = (place(bytes, ROWS - 1) + 1000).next_multiple_of(512);
        bytes[sector..sector + 512].fill(0);
    })
    .await;
    assert_eq!(rows(torn.path()), ROWS - 1);
    assert_eq!(rows(torn.path()), ROWS - 1, "and again");
}

#[tokio::test]
async fn damage_of_the_last_group_is_told() {
    let folder = harmed(|bytes| {
        let at = place(bytes, ROWS - 1) + BYTES / 2;
        bytes[at] ^= 1;
    })
    .await;
    is_refused(&folder, "the last group");
}

/// A journal that was enlarged before, as a running engine has it.
#[tokio::test]
async fn nothing_behind_the_last_group_is_no_damage() {
    let folder = harmed(|bytes| bytes.resize(bytes.len() + (1 << 20), 0)).await;
    assert_eq!(rows(folder.path()), ROWS);
}

/// More than one journal takes, in large values; and then nothing but reads.
#[tokio::test]
async fn journals_that_were_replaced_are_no_damage() {
    const LARGE: usize = 4 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let value = |number: u8| vec![number; LARGE];
    let engine = open(folder.path()).expect("a new folder");
    let keyspace = engine.keyspace("rows").expect("a keyspace");
    let first = journal(&folder);
    for number in 0..24 {
        let rows = keyspace.clone();
        let written = engine.transact(move |txn| txn.put(&rows, [number], value(number)));
        written.await.expect("written");
    }
    drop((keyspace, engine));
    for _ in 0..2 {
        let engine = open(folder.path()).expect("it opens");
        let rows = engine.keyspace("rows").expect("a keyspace");
        for number in 0..24 {
            let found = rows.get([number]).expect("a read").expect("a row");
            assert!(found == value(number), "row {number}");
        }
    }
    let names = fs::read_dir(folder.path().join("db")).expect("a database");
    let newer = names.map(|entry| entry.expect("an entry").path());
    let mut newer =
        newer.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    assert!(newer.any(|path| path != first), "no other journal was begun");
}
