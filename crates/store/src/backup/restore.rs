//! Makes a data folder of a backup.

use std::{fs, io::ErrorKind, path::Path};

use super::{
    BackupError, Manifest,
    files::{self, Unfinished},
};
use crate::embedded::folder::io_error;

/// Copies a backup to a new data folder, comparing every byte with the backup's
/// list. The backup is only read; it can be restored again, and elsewhere.
/// On any error nothing is left.
///
/// # Errors
/// [`BackupError::Exists`] when there is anything at `to` but an empty folder,
/// [`BackupError::Inside`] when it would lie in a data folder or a backup,
/// [`BackupError::Damaged`] names the file that is not what was written.
pub fn restore(from: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(from)?;
    let aside = files::aside(to);
    if !is_free(to)? || aside.symlink_metadata().is_ok() {
        let path = if is_free(to)? { aside } else { to.to_owned() };
        return Err(BackupError::Exists { path });
    }
    files::demand_outside(to)?;
    let parent = files::parent(to);
    files::make_folder(parent)?;
    let (needed, free) = (manifest.bytes(), files::free_bytes(parent)?);
    if free < needed {
        return Err(BackupError::NoRoom { path: parent.to_owned(), needed, free });
    }
    let unfinished = Unfinished::make(aside.clone())?;
    for file in &manifest.files {
        let (source, target) = (from.join(&file.path), aside.join(&file.path));
        if !source.exists() {
            let problem = "is missing".to_owned();
            return Err(BackupError::Damaged { path: file.path.clone(), problem });
        }
        files::make_folder(files::parent(&target))?;
        file.compare(&files::copy(&source, &target)?)?;
    }
    for folder in files::list(&aside)?.1 {
        files::sync_folder(&folder)?;
    }
    unfinished.keep_as(to)?;
    Ok(manifest)
}

/// Whether nothing is lost when a folder is put there.
fn is_free(path: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(io_error("list", path)(error).into()),
    }
}
