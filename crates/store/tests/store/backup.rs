//! Backups: of one moment, while others write; whole or not there at all; and
//! never restored when they are not what was written.

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use confab_log::mutant;
use confab_store::{
    OpenError,
    backup::{BackupError, Manifest, Progress, backup, check, is_backup, restore},
    embedded::{Direction, Engine, Keyspace, Options},
};
use tempfile::TempDir;

const WRITERS: u64 = 4;

struct Scene {
    folder: TempDir,
    engine: Engine,
    /// Two keyspaces in which every transaction writes the same.
    rows: [Keyspace; 2],
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = open(&folder.path().join("data"));
        let rows = keyspaces(&engine);
        Self { folder, engine, rows }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn write(&self, number: u64) {
        let rows = self.rows.clone();
        let written = self.engine.transact(move |transaction| {
            for rows in &rows {
                transaction.put(rows, number.to_be_bytes(), vec![7; 100]);
            }
        });
        written.await.expect("written");
    }

    fn backup(&self, name: &str) -> Result<Manifest, BackupError> {
        backup(&self.engine, &self.path(name), "test", 1, &mut |_| ControlFlow::Continue(()))
    }
}

fn open(path: &Path) -> Engine {
    Engine::open(path, Options::default()).expect("it opens")
}

fn keyspaces(engine: &Engine) -> [Keyspace; 2] {
    ["left", "right"].map(|name| engine.keyspace(name).expect("a keyspace"))
}

fn keys(rows: &Keyspace) -> Vec<u64> {
    let rows = rows.range::<&[u8]>(.., Direction::Forward, usize::MAX).expect("rows");
    rows.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().expect("a key"))).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Writes from several sides until the backup is made; what was acknowledged
/// before it began, and what the restored folder holds on its two sides.
async fn backup_under_load(mutant: Option<&'static str>) -> (Vec<u64>, [Vec<u64>; 2]) {
    let scene = Arc::new(Scene::new());
    let (next, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (scene, next, is_over) = (Arc::clone(&scene), Arc::clone(&next), Arc::clone(&is_over));
        writers.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                scene.write(next.fetch_add(1, Ordering::Relaxed)).await;
            }
        });
    }
    while next.load(Ordering::Relaxed) < 2000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let acknowledged = keys(&scene.rows[0]);
    let made = Arc::clone(&scene);
    let made = tokio::task::spawn_blocking(move || {
        mutant::set(mutant);
        let made = made.backup("copy");
        mutant::set(None);
        made
    });
    let manifest = made.await.expect("no panic").expect("a backup");
    is_over.store(true, Ordering::Relaxed);
    writers.join_all().await;
    assert!(next.load(Ordering::Relaxed) > acknowledged.len() as u64, "others went on");
    let restored = scene.path("restored");
    assert_eq!(restore(&scene.path("copy"), &restored).expect("restored"), manifest);
    let sides = keyspaces(&open(&restored)).each_ref().map(keys);
    assert!(mutant.is_some() || manifest.rows == 2 * sides[0].len() as u64);
    (acknowledged, sides)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_moment_while_others_write() {
    let (acknowledged, [left, right]) = backup_under_load(None).await;
    assert_eq!(left, right, "half a transaction");
    assert!(acknowledged.iter().all(|key| left.binary_search(key).is_ok()), "a lost write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_many_moments_is_caught() {
    let (_, [left, right]) = backup_under_load(Some("backup-of-many-moments")).await;
    assert_ne!(left, right);
}

#[tokio::test]
async fn a_backup_is_a_data_folder_for_its_owner_only() {
    let scene = Scene::new();
    scene.write(1).await;
    let secret = scene.engine.secret("cursor").expect("a secret");
    let data = scene.path("data");
    for own in ["digest-key", "dev-key.pem"] {
        fs::write(data.join(own), own).expect("a file");
    }
    for other in ["ADDRESSES", ".hidden", "half.tmp"] {
        fs::write(data.join(other), other).expect("a file");
    }
    scene.backup("copy").expect("a backup");
    let copy = scene.path("copy");
    let names: Vec<String> = fs::read_dir(&copy)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["BACKUP.json", "FORMAT", "db", "dev-key.pem", "digest-key", "keys"]);
    restore(&copy, &scene.path("restored")).expect("restored");
    for made in [copy, scene.path("restored")] {
        for path in files(&made) {
            let found = fs::metadata(&path).expect("it exists");
            let mode = if found.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(found.permissions().mode() & 0o777, mode, "{}", path.display());
        }
        assert_eq!(fs::metadata(&made).expect("it exists").permissions().mode() & 0o777, 0o700);
    }
    let restored = open(&scene.path("restored"));
    assert_eq!(restored.secret("cursor").expect("the secret"), secret);
    assert_eq!(keys(&keyspaces(&restored)[1]), [1]);
}

#[tokio::test]
async fn a_backup_is_never_opened() {
    let scene = Scene::new();
    scene.backup("copy").expect("a backup");
    let copy = scene.path("copy");
    assert!(is_backup(&copy) && !is_backup(&scene.path("data")));
    let refusals =
        [Engine::open(&copy, Options::default()), Engine::open_existing(&copy, Options::default())];
    for refused in refusals {
        assert!(matches!(refused, Err(OpenError::Backup { .. })));
    }
    check(&copy).expect("nothing was changed");
}

/// What is done to a backup, and what is to be told of it.
type Harm<'a> = (&'a str, Box<dyn Fn() + 'a>);

/// Each of these is noticed, by the check and before anything is restored.
#[tokio::test]
async fn a_damaged_backup_is_told_by_name_and_not_restored() {
    let scene = Scene::new();
    for number in 0..300 {
        scene.write(number).await;
    }
    scene.backup("copy").expect("a backup");
    let copy = scene.path("copy");
    check(&copy).expect("sound");
    let table = files(&copy.join("db"))
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(|path| fs::metadata(path).expect("it exists").len())
        .expect("a table");
    let whole = fs::read(&table).expect("its bytes");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let harms: [Harm<'_>; 4] = [
        ("other bytes", Box::new(|| fs::write(&table, &flipped).expect("written"))),
        ("bytes instead", Box::new(|| fs::write(&table, &whole[1..]).expect("written"))),
        ("is missing", Box::new(|| fs::remove_file(&table).expect("removed"))),
        ("is unreadable", Box::new(|| fs::write(copy.join("BACKUP.json"), "{").expect("written"))),
    ];
    let list = fs::read(copy.join("BACKUP.json")).expect("the list");
    let name = table.file_name().expect("a name").to_string_lossy().into_owned();
    for (problem, harm) in harms {
        harm();
        let restored = scene.path("restored");
        for refused in [check(&copy), restore(&copy, &restored)] {
            let told = refused.expect_err("damaged").to_string();
            let named = told.contains(&name) || told.contains("BACKUP.json");
            assert!(named && told.contains(problem), "{told}");
        }
        assert!(!restored.exists() && !scene.path("restored.partial").exists());
        fs::write(&table, &whole).expect("whole again");
        fs::write(copy.join("BACKUP.json"), &list).expect("whole again");
    }
    fs::write(copy.join("db/one-more"), "file").expect("a file");
    let told = check(&copy).expect_err("one file too many").to_string();
    assert!(told.contains("one-more is not listed"), "{told}");
}

#[tokio::test]
async fn nothing_that_is_there_is_overwritten() {
    let scene = Scene::new();
    scene.backup("copy").expect("a backup");
    let (copy, taken) = (scene.path("copy"), scene.path("taken"));
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("mine"), "mine").expect("a file");
    let file = scene.path("file");
    fs::write(&file, "mine").expect("a file");
    for there in [&taken, &file, &copy] {
        let name = there.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(matches!(scene.backup(&name), Err(BackupError::Exists { .. })));
        assert!(matches!(restore(&copy, there), Err(BackupError::Exists { .. })));
    }
    assert_eq!(fs::read_to_string(taken.join("mine")).expect("it is there"), "mine");
    // What a crash has left is named, not taken.
    fs::create_dir(scene.path("new.partial")).expect("a folder");
    let Err(BackupError::Exists { path }) = scene.backup("new") else { panic!("taken") };
    assert_eq!(path, scene.path("new.partial"));
    // An empty folder may be there: it was made for this.
    let empty = scene.path("empty");
    fs::create_dir(&empty).expect("a folder");
    restore(&copy, &empty).expect("restored");
    assert!(matches!(restore(&taken, &scene.path("x")), Err(BackupError::NotABackup { .. })));
    let inside = copy.join("deep").join("within");
    assert!(matches!(restore(&copy, &inside), Err(BackupError::Inside { .. })));
}

#[tokio::test]
async fn a_backup_that_is_given_up_leaves_nothing() {
    let scene = Scene::new();
    for number in 0..1000 {
        scene.write(number).await;
    }
    let mut told = 0;
    let mut tell = |progress: Progress| {
        told += 1;
        assert!(progress.rows <= 2000);
        if told == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let given_up = backup(&scene.engine, &scene.path("copy"), "test", 1, &mut tell);
    assert!(matches!(given_up, Err(BackupError::GivenUp)));
    assert_eq!(files(scene.folder.path()).iter().filter(|path| path.ends_with("data")).count(), 1);
    assert!(!scene.path("copy").exists() && !scene.path("copy.partial").exists());
    scene.write(1000).await;
}

/// What a backup costs is what its rows cost.
#[tokio::test]
async fn an_empty_backup_is_small() {
    let scene = Scene::new();
    let manifest = scene.backup("copy").expect("a backup");
    assert!(manifest.bytes() < 1 << 20, "{} bytes", manifest.bytes());
}
