//! The embedded engine: durable key-value rows in one data folder, for one process.
//!
//! Owns the folder, its lock and its format, the one committer thread, and the
//! stop after a failed write. Built on fjall 3 (an LSM tree behind a journal).
//! It never interprets a key or a value, and never retries a failed fsync.
//!
//! Reading is synchronous: a get costs about a microsecond from memory and tens
//! when a block comes from the page cache; a page of 50 rows about 40 µs. A cold
//! disk read blocks the thread for as long as the disk takes. Writing is
//! asynchronous: [`Engine::transact`] waits for the group's fsync.

mod committer;
mod copy;
pub(crate) mod folder;
mod journal;
mod keyspace;
pub(crate) mod ownership;
mod shared;
mod snapshot;
mod transaction;
mod writes;

use std::{future::Future, path::Path, sync::Arc};

use self::{committer::Committer, folder::Folder, shared::Shared};
pub use self::{
    folder::holder,
    keyspace::{Direction, Keyspace, Row},
    snapshot::Snapshot,
    transaction::Transaction,
};
use crate::{OpenError, StoreError};

/// Where in the folder a process that serves it may say where it listens; true
/// only of that process, and no part of a backup.
pub const ADDRESSES_FILE: &str = "ADDRESSES";

/// Sizes of the engine; the defaults suit one machine with a few GB of memory.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory for blocks read from disk, in bytes. Default 64 MiB.
    pub cache_bytes: u64,
    /// Transactions that may wait for the committer; more make
    /// [`Engine::transact`] wait before it enqueues. Default 16,384.
    pub queue: usize,
    /// A group stops growing when its keys and values reach this many bytes
    /// (one transaction may exceed it; it is then the group's last). Default 4 MiB.
    pub group_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, queue: 16 << 10, group_bytes: 4 << 20 }
    }
}

/// A handle on an open data folder. Clones share it.
///
/// The folder is released when the last of its [`Engine`], [`Keyspace`] and
/// [`Snapshot`] handles and pending transactions is dropped. Dropping the last
/// engine commits what is queued and waits for that.
#[derive(Clone)]
pub struct Engine {
    committer: Arc<Committer>,
    shared: Arc<Shared>,
}

impl Engine {
    /// Opens the data folder, creating it (mode 0700) if it is missing. An empty
    /// folder is made a data folder; `lost+found` may be in it.
    ///
    /// Blocks while the journal is replayed (at most some seconds): call it at
    /// start-up, not from a request.
    ///
    /// # Errors
    /// [`OpenError::InUse`] names the folder and the process that has it open;
    /// [`OpenError::UnknownFormat`] when another version of the program wrote it;
    /// [`OpenError::Foreign`] when there is anything in it that is not ours, and
    /// nothing in it is touched.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::over(Shared::open(Folder::open(path)?, &options)?, &options)
    }

    /// Opens a data folder to read from it. It makes no folder, no database and
    /// no keyspace: one that is missing reads as empty. What changes is what
    /// every opening changes: `LOCK` names this process, and the database takes
    /// its journal in, drops the torn end that a crash left, and removes files
    /// of its own that nothing refers to any more.
    ///
    /// Blocks as [`Engine::open`] does.
    ///
    /// # Errors
    /// [`OpenError::NotADataFolder`] when it is none, else as [`Engine::open`].
    pub fn open_existing(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::over(Shared::open_existing(Folder::open_existing(path)?, &options)?, &options)
    }

    fn over(shared: Shared, options: &Options) -> Result<Self, OpenError> {
        let shared = Arc::new(shared);
        let committer = Committer::start(shared.clone(), options)?;
        Ok(Self { committer: Arc::new(committer), shared })
    }

    /// The keyspace of this name, created if it is missing, unless the engine
    /// only reads.
    ///
    /// A name is at most 255 bytes, not empty, and stays for ever. Creating
    /// costs several fsyncs and opening a lock: do it once, at start-up.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the engine has stopped, else
    /// [`StoreError::Unavailable`].
    pub fn keyspace(&self, name: &'static str) -> Result<Keyspace, StoreError> {
        Keyspace::open(name, self.shared.clone())
    }

    /// Runs `work` on the committer thread and answers once its writes, and
    /// every write it may have read, are on the disk.
    ///
    /// Transactions run one at a time, in the order in which they were enqueued
    /// (when the future is first polled), each seeing the writes of those before
    /// it. All writes of one land together or not at all. Transactions that wait
    /// at the same time share one fsync. `work` must not block: everyone waits.
    ///
    /// If the future is dropped the transaction may run all the same.
    ///
    /// # Errors
    /// * [`StoreError::OutcomeUnknown`]: the group's commit failed; the engine stops.
    /// * [`StoreError::Failed`]: the engine has stopped; nothing was written.
    /// * [`StoreError::Unavailable`]: the engine only reads.
    /// * [`StoreError::Panicked`]: `work` panicked; nothing was written.
    /// * What a read inside `work` failed with, whatever `work` returned;
    ///   nothing was written.
    pub fn transact<R, F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<R, StoreError>> + Send + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> R + Send + 'static,
    {
        let committer = self.committer.clone();
        let writes = self.shared.writes();
        async move {
            writes?;
            committer.transact(work).await
        }
    }

    /// A consistent view over all keyspaces, of everything committed so far.
    ///
    /// Keep it short: rows that it can see are not cleaned up.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::open(self.shared.clone())
    }

    /// 32 random bytes that belong to this data folder, made at the first call
    /// and kept in `keys/<name>.key` (mode 0600). Blocks for an fsync the first time.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the file has another length,
    /// [`StoreError::Unavailable`] when it cannot be read or written, or when the
    /// name is not made of `a-z`, `0-9` and `-`.
    pub fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        self.shared.folder.secret(name)
    }

    /// The data folder.
    pub fn path(&self) -> &Path {
        self.shared.folder.path()
    }

    /// Whether the engine works, as far as is known; costs nothing.
    ///
    /// # Errors
    /// [`StoreError::Failed`] for good, once a write or an fsync has failed.
    pub fn health(&self) -> Result<(), StoreError> {
        self.shared.health()
    }

    /// Goes through the committer and back, to find out whether it works now:
    /// for readiness, under a time-out (a hanging disk makes it hang).
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the engine has stopped.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.transact(|_| ()).await
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("path", &self.path()).finish_non_exhaustive()
    }
}
