//! Makes a backup of an open data folder, while it is served.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    BackupError, Manifest, Tell,
    files::{self, Unfinished},
};
use crate::embedded::{
    Engine, Options,
    folder::{Folder, io_error},
    ownership::{BACKUP_FILE, FORMAT_FILE, LOCK_FILE, UNFINISHED},
};

/// Room on the disk that a backup leaves, so that a node on the same disk goes on.
const SPARE_BYTES: u64 = 256 << 20;

/// Copies the engine's folder to a new one: every row as of one moment after the
/// call, and its keys. `confab` is the program's version, `begun_at` the time.
///
/// Blocks for as long as all of it takes to be read, written and read again; it
/// holds back nobody who uses the engine. On any error, and when it is given
/// up, nothing is left.
///
/// # Errors
/// [`BackupError`] says which; among them that the disk has no room for it.
pub fn backup(
    engine: &Engine,
    to: &Path,
    confab: &str,
    begun_at: i64,
    tell: &mut Tell<'_>,
) -> Result<Manifest, BackupError> {
    let aside = files::aside(to);
    for path in [to, &aside] {
        if path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists { path: path.to_owned() });
        }
    }
    files::demand_outside(to)?;
    demand_room(engine, files::parent(to))?;
    let unfinished = Unfinished::make(aside.clone())?;
    let folder = Folder::open(&aside)?;
    let copied = engine.copy_rows(&folder, tell)?;
    copy_others(engine.path(), &aside)?;
    folder.complete()?;
    drop(folder);
    // Opened once before it counts: what does not open is no backup. That also
    // takes in what the database has set aside for its journal.
    drop(Engine::open_existing(&aside, Options::default())?);
    let lock = aside.join(LOCK_FILE);
    fs::remove_file(&lock).map_err(io_error("remove", &lock))?;
    files::make_private(&aside)?;
    let manifest = Manifest::of(&aside, confab, begun_at, copied, tell)?;
    manifest.write(&aside)?;
    unfinished.keep_as(to)?;
    Ok(manifest)
}

fn demand_room(engine: &Engine, parent: &Path) -> Result<(), BackupError> {
    let needed = files::disk_usage(engine.path())?.saturating_add(SPARE_BYTES);
    let free = files::free_bytes(parent)?;
    if free < needed {
        return Err(BackupError::NoRoom { path: parent.to_owned(), needed, free });
    }
    Ok(())
}

/// Copies what else belongs to the folder: its owner's files, and the store's keys.
fn copy_others(from: &Path, to: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(from).map_err(io_error("list", from))? {
        let entry = entry.map_err(io_error("list", from))?;
        let name = PathBuf::from(entry.file_name());
        let is_file = entry.file_type().map_err(io_error("read", &entry.path()))?.is_file();
        if is_file && belongs(&name) {
            files::copy(&entry.path(), &to.join(&name))?;
        }
    }
    let keys = from.join("keys");
    if keys.is_dir() {
        files::make_folder(&to.join("keys"))?;
        for file in files::list(&keys)?.0 {
            files::copy(&keys.join(&file), &to.join("keys").join(&file))?;
        }
    }
    Ok(())
}

/// Not what the new folder has of its own, what is true of the running process
/// only, and what is just being written.
fn belongs(name: &Path) -> bool {
    let own = [LOCK_FILE, FORMAT_FILE, UNFINISHED, BACKUP_FILE, crate::embedded::ADDRESSES_FILE];
    let text = name.to_string_lossy();
    !own.contains(&&*text) && !text.starts_with('.') && !text.ends_with(".tmp")
}
