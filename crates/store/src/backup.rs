//! Backups of a data folder: made while it is served, checked against their
//! list of files, and made a data folder again.
//!
//! A backup is a folder that is complete as a data folder is, keys included,
//! and closed. Beside its files it has `BACKUP.json`, which lists them with
//! their sizes and hashes, and says of the folder that nobody must open it.
//! It is written aside and renamed: one that is there is whole.

mod files;
mod manifest;
mod restore;
mod write;

use std::{ops::ControlFlow, path::PathBuf};

pub use self::{
    manifest::{Manifest, check, is_backup},
    restore::restore,
    write::backup,
};
use crate::{OpenError, StoreError};

/// How far a copy is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows copied.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Told of progress, many times; may give up.
pub type Tell<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Why a backup was not made, or not restored. What was begun is removed, except
/// after a crash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It would lie in a data folder or in a backup, and be taken for a part of it.
    #[error("{} lies in {}, which is a data folder or a backup", path.display(), folder.display())]
    Inside {
        /// What was to be made.
        path: PathBuf,
        /// What it lies in.
        folder: PathBuf,
    },
    /// There is something where the folder is to be put.
    #[error("{} exists; name a folder that does not", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },

    /// The disk has not enough room: nothing was written, so that the node
    /// whose disk it may be can go on writing.
    #[error("{} has {free} bytes free, and {needed} are needed", path.display())]
    NoRoom {
        /// The folder that the backup was to be put into.
        path: PathBuf,
        /// Estimated, with something to spare.
        needed: u64,
        /// What there is.
        free: u64,
    },

    /// The folder is no backup.
    #[error("{} is no backup: it has no BACKUP.json", path.display())]
    NotABackup {
        /// Where it was looked for.
        path: PathBuf,
    },

    /// The backup is not what was once written.
    #[error("the backup is damaged: {} {problem}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// What is to be copied cannot be read.
    #[error("the data cannot be read: {0}")]
    Read(#[from] StoreError),

    /// The copy's database cannot be written.
    #[error("the copy cannot be written: {reason}")]
    Write {
        /// What it said.
        reason: String,
    },

    /// A folder cannot be opened, or the operating system refused a file operation.
    #[error(transparent)]
    Folder(#[from] OpenError),

    /// Whoever was told of the progress wanted no more.
    #[error("given up")]
    GivenUp,
}
