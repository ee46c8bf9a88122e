//! What every handle on an open folder shares: the database, the folder with its
//! lock, and whether the engine has stopped. It never starts again once stopped.

use std::sync::{Arc, OnceLock};

use metrics::gauge;

use super::{Options, folder::Folder, journal};
use crate::{OpenError, StoreError};

pub(super) struct Shared {
    // Dropped in this order: the database first, the folder's lock last.
    pub(super) database: fjall::Database,
    pub(super) folder: Folder,
    read_only: bool,
    failure: OnceLock<Arc<str>>,
}

impl Shared {
    /// Opens the database, creating it if it is missing, and completes the folder.
    pub(super) fn open(folder: Folder, options: &Options) -> Result<Self, OpenError> {
        let shared = Self::over(folder, options, false)?;
        shared.folder.complete()?;
        gauge!("confab_store_failed").set(0.0);
        Ok(shared)
    }

    /// Opens a database that is there, to read from it.
    pub(super) fn open_existing(folder: Folder, options: &Options) -> Result<Self, OpenError> {
        Self::over(folder, options, true)
    }

    fn over(folder: Folder, options: &Options, read_only: bool) -> Result<Self, OpenError> {
        let database = Self::database(&folder, options)?;
        Ok(Self { database, folder, read_only, failure: OnceLock::new() })
    }

    /// Opens the database of a folder, creating it if it is missing.
    pub(super) fn database(
        folder: &Folder,
        options: &Options,
    ) -> Result<fjall::Database, OpenError> {
        journal::prepare(folder.path(), &folder.database())?;
        let refused = |error: fjall::Error| match error {
            fjall::Error::Locked => {
                OpenError::InUse { path: folder.path().to_owned(), holder: "(unknown)".to_owned() }
            }
            other => OpenError::Database {
                path: folder.path().to_owned(),
                reason: StoreError::reason_of(&other),
            },
        };
        fjall::Database::builder(folder.database())
            .cache_size(options.cache_bytes)
            .manual_journal_persist(true)
            .open()
            .map_err(refused)
    }

    /// A keyspace's rows, created if they are missing; `None` where there are
    /// none and nothing may be created.
    pub(super) fn tree(&self, name: &str) -> Result<Option<fjall::Keyspace>, StoreError> {
        self.health()?;
        if self.read_only && !self.database.keyspace_exists(name) {
            return Ok(None);
        }
        let options = || fjall::KeyspaceCreateOptions::default().manual_journal_persist(true);
        let tree = self.database.keyspace(name, options);
        tree.map(Some).map_err(|error| StoreError::from_read(&error))
    }

    /// Refuses where only reading is allowed.
    pub(super) fn writes(&self) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::unavailable("the data folder was opened to read from it only"));
        }
        Ok(())
    }

    pub(super) fn health(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(StoreError::Failed { reason: reason.clone() }),
        }
    }

    /// Stops the engine for good. The first reason stays.
    pub(super) fn fail(&self, reason: &str) {
        if self.failure.set(reason.into()).is_ok() {
            gauge!("confab_store_failed").set(1.0);
            tracing::error!(reason, "store stopped, restart the process to go on");
        }
    }
}
