//! The data folder: one holder, one format, its secrets, its mode.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use confab_store::{
    OpenError, StoreError,
    embedded::{Direction, Engine, Options},
};

use crate::child::{Process, say};

/// Tries to open a folder and says how that went.
pub(crate) fn child(folder: &Path) {
    match Engine::open(folder, Options::default()) {
        Ok(_) => say("opened"),
        Err(error) => say(&error.to_string()),
    }
}

fn open(folder: &Path) -> Result<Engine, OpenError> {
    Engine::open(folder, Options::default())
}

fn open_existing(folder: &Path) -> Result<Engine, OpenError> {
    Engine::open_existing(folder, Options::default())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let engine = open(&path).expect("the first one opens it");

    let mut process = Process::start("open", &path, &[]);
    let said = process.next().expect("an answer");
    assert!(process.wait());
    assert!(said.contains(path.to_str().expect("text")), "{said}");
    assert!(said.contains(&format!("process {};", std::process::id())), "{said}");

    drop(engine);
    let mut process = Process::start("open", &path, &[]);
    assert_eq!(process.next().as_deref(), Some("opened"));
    assert!(process.wait());
}

#[test]
fn a_second_engine_in_this_process_is_refused_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path()).expect("the first one opens it");
    let Err(OpenError::InUse { path, holder }) = open(folder.path()) else {
        panic!("the folder was opened twice");
    };
    assert_eq!(path, folder.path());
    assert_eq!(holder, std::process::id().to_string());

    // A keyspace alone keeps the folder: it still reads from it.
    let keyspace = engine.keyspace("rows").expect("a keyspace");
    drop(engine);
    assert!(matches!(open(folder.path()), Err(OpenError::InUse { .. })));
    drop(keyspace);
    open(folder.path()).expect("nobody holds it any more");
}

#[test]
fn an_unknown_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()).expect("a new folder"));
    let format = folder.path().join("FORMAT");
    assert_eq!(fs::read_to_string(&format).expect("a format"), "confab 1\n");
    for strange in ["confab 2\n", "confab 11\n", "", "something else entirely"] {
        fs::write(&format, strange).expect("another format");
        let Err(OpenError::UnknownFormat { found, supported, .. }) = open(folder.path()) else {
            panic!("the format {strange:?} was accepted");
        };
        assert_eq!((found.as_str(), supported), (strange.trim_end(), 1));
        assert_eq!(fs::read_to_string(&format).expect("a format"), strange);
    }
}

#[test]
fn what_a_crash_left_of_an_unfinished_creation_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("db");
    let mark = folder.path().join("CONFAB-UNFINISHED");
    fs::write(&mark, "").expect("the mark");
    fs::create_dir(&database).expect("a folder");
    fs::write(database.join("0.jnl"), [0; 100]).expect("half a database");
    fs::write(database.join("version"), "half of it").expect("half a database");
    fs::write(folder.path().join("FORMAT.tmp"), "con").expect("half of a FORMAT");
    drop(open(folder.path()).expect("the folder opens"));
    assert!(!mark.exists());

    // The crash came after FORMAT was there.
    fs::write(&mark, "").expect("the mark");
    let engine = open(folder.path()).expect("the folder again");
    assert!(!mark.exists());
    drop(engine);
    assert!(database.join("version").exists());
}

/// Every file below a folder, with its content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    found
}

#[test]
fn a_strangers_folder_is_refused_and_left_alone() {
    for names in [vec!["db/schema.rb"], vec!["LOCK"], vec!["db/0.jnl", "notes"], vec!["keys/x"]] {
        let folder = tempfile::tempdir().expect("a folder");
        for name in &names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "precious").expect("a file");
        }
        let before = contents(folder.path());
        let error = open(folder.path()).expect_err("a stranger's folder");
        assert!(matches!(error, OpenError::Foreign { .. }), "{names:?}: {error}");
        assert!(error.to_string().contains(folder.path().to_str().expect("text")), "{error}");
        let error = open_existing(folder.path()).expect_err("a stranger's folder");
        assert!(matches!(error, OpenError::NotADataFolder { .. }), "{names:?}: {error}");
        assert_eq!(contents(folder.path()), before, "{names:?}");
    }
}

#[test]
fn an_empty_folder_of_a_new_file_system_is_made_a_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("lost+found")).expect("a folder");
    open(folder.path()).expect("an empty folder");
}

#[test]
fn a_folder_that_has_lost_its_database_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()).expect("a new folder"));
    fs::remove_dir_all(folder.path().join("db")).expect("removed");
    for error in [open(folder.path()), open_existing(folder.path())].map(Result::err) {
        assert!(matches!(error, Some(OpenError::Database { .. })), "{error:?}");
    }
    assert!(!folder.path().join("db").exists());
}

#[test]
fn opening_what_exists_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let error = open_existing(&missing).expect_err("there is none");
    assert!(matches!(error, OpenError::NotADataFolder { .. }), "{error}");
    assert!(!missing.exists());
    let error = open_existing(folder.path()).expect_err("it is empty");
    assert!(matches!(error, OpenError::NotADataFolder { .. }), "{error}");
    assert_eq!(contents(folder.path()), BTreeMap::new());
}

#[tokio::test]
async fn an_engine_that_only_reads_makes_no_keyspace_and_takes_no_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path()).expect("a new folder");
    let rows = engine.keyspace("rows").expect("a keyspace");
    let space = rows.clone();
    engine.transact(move |txn| txn.put(&space, "key", "value")).await.expect("written");
    drop((engine, rows));

    let engine = open_existing(folder.path()).expect("the folder");
    let rows = engine.keyspace("rows").expect("the keyspace");
    assert_eq!(rows.get("key").expect("read").as_deref(), Some(&b"value"[..]));
    let missing = engine.keyspace("missing").expect("an empty keyspace");
    assert_eq!(missing.get("key").expect("read"), None);
    assert_eq!(missing.prefix("", Direction::Forward, 1).expect("read"), []);
    assert_eq!(missing.range::<&str>(.., Direction::Backward, 1).expect("read"), []);
    let space = rows.clone();
    let refused = engine.transact(move |txn| txn.put(&space, "key", "other")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    drop((engine, rows, missing));

    let tables = folder.path().join("db/keyspaces");
    let before = fs::read_dir(&tables).expect("the keyspaces").count();
    let engine = open_existing(folder.path()).expect("the folder");
    drop(engine.keyspace("missing").expect("an empty keyspace"));
    drop(engine);
    assert_eq!(fs::read_dir(&tables).expect("the keyspaces").count(), before);
}

#[test]
fn a_path_that_is_a_file_is_an_error_that_names_it() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = open(file.path()).expect_err("a file is no folder");
    assert!(matches!(error, OpenError::Io { .. }));
    assert!(error.to_string().contains(file.path().to_str().expect("text")));
}

#[test]
fn secrets_stay_and_are_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b");
    let engine = open(&path).expect("a new folder");
    let digest = engine.secret("digest").expect("a secret");
    assert_ne!(digest, engine.secret("page-token").expect("another secret"));
    assert_ne!(digest, [0; 32]);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("keys")), 0o700);
    assert_eq!(mode(&path.join("keys/digest.key")), 0o600);
    for bad in ["", "../digest", "a/b", "UPPER", "a.b"] {
        assert!(matches!(engine.secret(bad), Err(StoreError::Unavailable { .. })));
    }

    drop(engine);
    let engine = open(&path).expect("the folder again");
    assert_eq!(engine.secret("digest").expect("the secret"), digest);
    fs::write(path.join("keys/digest.key"), "short").expect("a damaged secret");
    assert!(matches!(engine.secret("digest"), Err(StoreError::Corrupt { .. })));
}
