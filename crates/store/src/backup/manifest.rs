//! The list of a backup's files: what must be there, byte for byte.

use std::{
    fs,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    BackupError, Progress, Tell,
    files::{self, Content},
};
use crate::embedded::{
    folder::{io_error, write_atomically},
    ownership::{BACKUP_FILE, LOCK_FILE},
};

/// The form of the list that this version reads and writes.
const FORMAT: u32 = 1;

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The version of the program that made it.
    pub confab: String,
    /// When it was begun, in seconds since 1970: everything acknowledged before is in it.
    pub begun_at: i64,
    /// Rows of the database.
    pub rows: u64,
    /// Its files.
    pub(super) files: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Relative to the folder.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

impl Manifest {
    /// How many files it lists.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Syncs and lists all that is in a closed folder.
    pub(super) fn of(
        folder: &Path,
        confab: &str,
        begun_at: i64,
        copied: Progress,
        tell: &mut Tell<'_>,
    ) -> Result<Self, BackupError> {
        let (found, folders) = files::list(folder)?;
        let mut listed = Vec::new();
        for path in found {
            let Content { bytes, hash } = files::sync_and_hash(&folder.join(&path))?;
            listed.push(Listed { path, bytes, blake3: hash });
            if tell(copied).is_break() {
                return Err(BackupError::GivenUp);
            }
        }
        for folder in folders {
            files::sync_folder(&folder)?;
        }
        let confab = confab.to_owned();
        Ok(Self { format: FORMAT, confab, begun_at, rows: copied.rows, files: listed })
    }

    /// Puts it into the folder; from then on it is a backup.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        let written = write_atomically(folder, BACKUP_FILE, &text);
        Ok(written.map_err(io_error("write BACKUP.json in", folder))?)
    }

    /// Reads that of a backup; the files are not looked at.
    pub(super) fn read(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(BACKUP_FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(BackupError::NotABackup { path: folder.to_owned() });
            }
            read => read.map_err(io_error("read", &path))?,
        };
        let damaged = |problem: String| BackupError::Damaged { path: path.clone(), problem };
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("is unreadable: {error}")))?;
        if manifest.format != FORMAT {
            return Err(damaged(format!(
                "has the format {}; this version of confab reads format {FORMAT}",
                manifest.format
            )));
        }
        // It may come from anywhere: nothing in it leads out of the folder.
        let inside =
            |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        match manifest.files.iter().find(|file| !inside(&file.path)) {
            Some(file) => Err(damaged(format!("names {}", file.path.display()))),
            None => Ok(manifest),
        }
    }
}

impl Listed {
    /// What was found is what was once written.
    pub(super) fn compare(&self, found: &Content) -> Result<(), BackupError> {
        if confab_log::mutant::is("backup-unchecked")
            || (found.bytes == self.bytes && found.hash == self.blake3)
        {
            return Ok(());
        }
        let problem = if found.bytes == self.bytes {
            "holds other bytes than were written".to_owned()
        } else {
            format!("has {} bytes instead of {}", found.bytes, self.bytes)
        };
        Err(BackupError::Damaged { path: self.path.clone(), problem })
    }
}

/// Whether a folder says that it is a backup.
pub fn is_backup(folder: &Path) -> bool {
    folder.join(BACKUP_FILE).exists()
}

/// Reads all of a backup and compares it with its list. Changes nothing.
///
/// # Errors
/// [`BackupError::Damaged`] names the first file that is missing, other than it
/// was, or not listed.
pub fn check(folder: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(folder)?;
    for file in &manifest.files {
        let path = folder.join(&file.path);
        if !path.exists() {
            let problem = "is missing".to_owned();
            return Err(BackupError::Damaged { path: file.path.clone(), problem });
        }
        file.compare(&files::hash(&path)?)?;
    }
    let (found, _) = files::list(folder)?;
    let known = |path: &PathBuf| {
        *path == Path::new(BACKUP_FILE)
            || *path == Path::new(LOCK_FILE)
            || manifest.files.iter().any(|file| file.path == *path)
    };
    match found.into_iter().find(|path| !known(path)) {
        Some(path) => Err(BackupError::Damaged { path, problem: "is not listed".to_owned() }),
        None => Ok(manifest),
    }
}
