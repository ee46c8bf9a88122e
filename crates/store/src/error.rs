//! What can go wrong with a store, cut by what the caller may conclude.
//!
//! The cut is the one that matters to a log: is it *known* that the write did
//! not happen? (The idea of determinate and indeterminate errors is taken from
//! Materialize's `persist`.) It never says how an error looks on the wire; each
//! service maps it.

use std::{path::PathBuf, sync::Arc};

/// Why a read or a write did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Definite: nothing was written, and nothing will be. It may be tried again.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// For the operator's log; never holds content.
        reason: Arc<str>,
    },

    /// The write may have happened, may not have happened, or may still happen
    /// later. Only a look at the store, or a conditional write that settles it,
    /// can tell.
    #[error("the outcome of the write is unknown: {reason}")]
    OutcomeUnknown {
        /// For the operator's log; never holds content.
        reason: Arc<str>,
    },

    /// Definite: the engine stopped after an earlier failed write or fsync and
    /// refuses everything, reads too, until the program is restarted: its memory
    /// may show what the disk never got.
    #[error("the store has stopped and needs a restart: {reason}")]
    Failed {
        /// What stopped it.
        reason: Arc<str>,
    },

    /// Definite: stored bytes are not what was once written.
    #[error("stored data is corrupt: {reason}")]
    Corrupt {
        /// What was found; never holds content.
        reason: Arc<str>,
    },

    /// Definite: the transaction's closure panicked and its writes were
    /// discarded. A defect of the program, not of the store.
    #[error("the transaction panicked and was discarded")]
    Panicked,
}

impl StoreError {
    /// An [`Unavailable`](Self::Unavailable) error.
    pub fn unavailable(reason: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// An [`OutcomeUnknown`](Self::OutcomeUnknown) error.
    pub fn outcome_unknown(reason: impl Into<Arc<str>>) -> Self {
        Self::OutcomeUnknown { reason: reason.into() }
    }

    /// A [`Corrupt`](Self::Corrupt) error, also for values that do not decode.
    pub fn corrupt(reason: impl Into<Arc<str>>) -> Self {
        Self::Corrupt { reason: reason.into() }
    }

    /// Whether it is known that the operation had no effect and never will have one.
    pub fn is_determinate(&self) -> bool {
        !matches!(self, Self::OutcomeUnknown { .. })
    }

    /// What a failed *read* of the embedded engine means.
    pub(crate) fn from_read(error: &fjall::Error) -> Self {
        let reason = Self::reason_of(error);
        match error {
            fjall::Error::Poisoned => Self::Failed { reason: reason.into() },
            fjall::Error::Io(_) | fjall::Error::Storage(fjall::LsmError::Io(_)) => {
                Self::unavailable(reason)
            }
            _ => Self::corrupt(reason),
        }
    }

    /// What the engine said, for people; its own text for what an operator meets
    /// most often is a dump of the error's fields.
    pub(crate) fn reason_of(error: &fjall::Error) -> String {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
                error.to_string()
            }
            fjall::Error::Poisoned => "an earlier write of the database failed".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another engine in this one, has the folder open.
    #[error(
        "the data folder {} is in use by process {holder}; stop that process, or choose another folder",
        path.display()
    )]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// The holder's process id, or `(unknown)`.
        holder: String,
    },

    /// The folder was written by a version of Confab that this one does not understand.
    #[error(
        "the data folder {} has the format {found:?}; this version of confab reads format {supported}",
        path.display()
    )]
    UnknownFormat {
        /// The data folder.
        path: PathBuf,
        /// What its `FORMAT` file says (at most its first 64 bytes).
        found: String,
        /// What this version understands.
        supported: u32,
    },

    /// The folder holds what is not Confab's. Nothing in it was touched.
    #[error(
        "{} is not empty and is not a data folder of confab: it holds {found:?} and no FORMAT; \
         name a folder that is new or empty",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the names in it.
        found: String,
    },

    /// There is no data folder at this path, and none was to be made.
    #[error("{} is not a data folder of confab: it has no FORMAT", path.display())]
    NotADataFolder {
        /// Where it was looked for.
        path: PathBuf,
    },

    /// The folder is a backup.
    #[error(
        "{} is a backup, which stays as it is: `confab restore --from {} --data-dir NEW` makes a \
         data folder of it",
        path.display(),
        path.display()
    )]
    Backup {
        /// The folder.
        path: PathBuf,
    },

    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// The disk has lost what was acknowledged. Nothing in the folder was changed.
    #[error(
        "the journal {} of the data folder {} is damaged at byte {at}: {problem}; keep a copy of \
         the folder, and see \"When a folder does not open\" in docs/operations.md",
        journal.display(),
        path.display()
    )]
    Damaged {
        /// The data folder.
        path: PathBuf,
        /// Which of its journals.
        journal: PathBuf,
        /// Where in it.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },

    /// The database inside the folder does not open.
    #[error("the database in {} does not open: {reason}", path.display())]
    Database {
        /// The data folder.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
}
