//! Why this service says no, and how that reads on the wire.

use std::time::Duration;

use confab_kit::{
    error::{Coded, Error as KitError, Reason},
    telemetry::TelemetryError,
};
use confab_store::{StoreError, backup::BackupError};

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not well-formed.
    #[error(transparent)]
    Kit(#[from] KitError),
    /// The filter is none.
    #[error(transparent)]
    Filter(#[from] TelemetryError),
    /// A backup is being made already.
    #[error("a backup is being made already")]
    Busy,
    /// The process is to end.
    #[error("the server is draining")]
    Draining,
    /// What is durable is elsewhere.
    #[error("no backup was made: the store is no data folder; back up the CQL server instead")]
    NoFolder,
    /// The backup was not made.
    #[error("no backup was made: {0}")]
    Backup(#[from] BackupError),
}

impl Coded for Error {
    fn to_error(&self) -> KitError {
        let text = self.to_string();
        match self {
            Self::Kit(error) => error.clone(),
            Self::Filter(_) => KitError::violation("filter", text),
            Self::Busy => {
                KitError::new(Reason::Overloaded, text).retry_after(Duration::from_mins(1))
            }
            Self::Draining => {
                KitError::new(Reason::Draining, text).retry_after(Duration::from_secs(5))
            }
            Self::Backup(BackupError::Read(StoreError::Failed { .. })) => {
                KitError::new(Reason::StoreUnavailable, text).retry_after(Duration::from_mins(1))
            }
            // Whoever has the mesh credential may know what is wrong with the disk.
            Self::NoFolder | Self::Backup(_) => KitError::new(Reason::BackupFailed, text),
        }
    }
}
