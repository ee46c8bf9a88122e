//! The data folder: one holder, one format, its secrets, its mode.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use confab_store::{
    OpenError, StoreError,
    embedded::{Engine, Options},
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
    fs::create_dir(&database).expect("a folder");
    fs::write(database.join("0.jnl"), [0; 100]).expect("half a database");
    open(folder.path()).expect("the folder opens");
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
