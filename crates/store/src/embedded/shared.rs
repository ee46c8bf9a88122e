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
    failure: OnceLock<Arc<str>>,
}

impl Shared {
    pub(super) fn open(folder: Folder, options: &Options) -> Result<Self, OpenError> {
        journal::forget_cached(&folder.database())?;
        let refused = |error: fjall::Error| match error {
            fjall::Error::Locked => {
                OpenError::InUse { path: folder.path().to_owned(), holder: "(unknown)".to_owned() }
            }
            other => {
                OpenError::Database { path: folder.path().to_owned(), reason: other.to_string() }
            }
        };
        let database = fjall::Database::builder(folder.database())
            .cache_size(options.cache_bytes)
            .manual_journal_persist(true)
            .open()
            .map_err(refused)?;
        folder.complete()?;
        gauge!("confab_store_failed").set(0.0);
        Ok(Self { database, folder, failure: OnceLock::new() })
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
