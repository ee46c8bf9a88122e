//! Whose a folder is: told by its files before anything in it is touched. Only
//! a folder that is missing or empty is ever made Confab's; what a stranger
//! keeps in one is neither changed nor removed.
//!
//! A new folder is marked as ours before anything else is put into it, and
//! stays marked until it is complete. So the pieces that a crash leaves of an
//! unfinished one can be told from a stranger's files of the same names.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::folder::io_error;
use crate::OpenError;

/// The format that this version reads and writes.
const FORMAT: u32 = 1;
/// The file that a complete folder has.
pub(crate) const FORMAT_FILE: &str = "FORMAT";
/// The file that a folder has until then.
pub(crate) const UNFINISHED: &str = "CONFAB-UNFINISHED";
/// Held by the process that has the folder open.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// What says of a folder that it is a backup, and must stay as it is.
pub(crate) const BACKUP_FILE: &str = "BACKUP.json";
/// Every new ext file system has it.
const LOST_AND_FOUND: &str = "lost+found";

/// What `FORMAT` holds.
pub(super) fn format() -> String {
    format!("confab {FORMAT}\n")
}

/// Whether the folder is complete; an error when its format is not ours.
pub(super) fn has_format(folder: &Path) -> Result<bool, OpenError> {
    let path = folder.join(FORMAT_FILE);
    let mut found = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(64).read_to_end(&mut found).map_err(io_error("read", &path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(io_error("read", &path)(source)),
    };
    if found == format().as_bytes() {
        return Ok(true);
    }
    Err(OpenError::UnknownFormat {
        path: folder.to_owned(),
        found: String::from_utf8_lossy(&found).trim_end().to_owned(),
        supported: FORMAT,
    })
}

/// A backup is copied, never opened: that would change its files.
pub(super) fn refuse_backup(folder: &Path) -> Result<(), OpenError> {
    let path = folder.join(BACKUP_FILE);
    match path.try_exists() {
        Ok(true) => Err(OpenError::Backup { path: folder.to_owned() }),
        Ok(false) => Ok(()),
        Err(source) => Err(io_error("read", &path)(source)),
    }
}

/// Makes an empty folder ours; does nothing to one that is ours already.
pub(super) fn claim(folder: &Path) -> Result<(), OpenError> {
    let found = first_entry(folder).map_err(io_error("list", folder))?;
    let Some(found) = found else {
        return mark(folder);
    };
    // Asked after the listing, the mark before FORMAT: another process may be
    // claiming the folder right now, and leaves one of the two at any time.
    if is_marked(folder)? || has_format(folder)? {
        return Ok(());
    }
    Err(OpenError::Foreign { path: folder.to_owned(), found })
}

/// Refuses a folder that no process has ever completed.
pub(super) fn demand_format(folder: &Path) -> Result<(), OpenError> {
    if has_format(folder)? {
        return Ok(());
    }
    Err(OpenError::NotADataFolder { path: folder.to_owned() })
}

/// Takes the mark off a folder that is complete.
pub(super) fn unmark(folder: &Path) -> Result<(), OpenError> {
    let path = folder.join(UNFINISHED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

fn first_entry(folder: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != LOST_AND_FOUND {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

fn mark(folder: &Path) -> Result<(), OpenError> {
    let path = folder.join(UNFINISHED);
    // Not with `create_new`: another process may be marking it, too.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("create", &path))?;
    let synced = file.sync_all().and_then(|()| File::open(folder)?.sync_all());
    synced.map_err(io_error("sync", &path))
}

fn is_marked(folder: &Path) -> Result<bool, OpenError> {
    let path = folder.join(UNFINISHED);
    path.try_exists().map_err(io_error("read", &path))
}
