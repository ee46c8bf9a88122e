//! Copies everything that is committed at one moment into a database of its
//! own, while the first one goes on. It holds back no writer and keeps no more
//! than some rows in memory.

use std::ops::Bound;

use fjall::{PersistMode, Readable as _};

use super::{Engine, Options, folder::Folder, shared::Shared};
use crate::{
    OpenError, StoreError,
    backup::{BackupError, Progress, Tell},
};

/// Rows that are read at a time.
const ROWS: usize = 256;

impl Engine {
    /// Copies every row, as of one moment after the call, into the database of a
    /// folder that is new and stays unfinished.
    pub(crate) fn copy_rows(
        &self,
        target: &Folder,
        tell: &mut Tell<'_>,
    ) -> Result<Progress, BackupError> {
        let options = Options { cache_bytes: 4 << 20, ..Options::default() };
        let database = Shared::database(target, &options)?;
        let done = copy(&self.shared, &database, tell)?;
        let synced = database.persist(PersistMode::SyncAll);
        synced.map_err(|error| database_error(target, &error))?;
        Ok(done)
    }
}

fn copy(
    source: &Shared,
    target: &fjall::Database,
    tell: &mut Tell<'_>,
) -> Result<Progress, BackupError> {
    let mut view = source.database.snapshot();
    let mut done = Progress::default();
    for name in source.database.list_keyspace_names() {
        if confab_log::mutant::is("backup-of-many-moments") {
            std::thread::park_timeout(std::time::Duration::from_millis(300));
            view = source.database.snapshot();
        }
        let Some(from) = source.tree(&name)? else { continue };
        let options = || fjall::KeyspaceCreateOptions::default().manual_journal_persist(true);
        let to = target.keyspace(&name, options).map_err(|error| write_error(&error))?;
        copy_keyspace(source, &view, &from, &to, &mut done, tell)?;
    }
    Ok(done)
}

fn copy_keyspace(
    source: &Shared,
    view: &fjall::Snapshot,
    from: &fjall::Keyspace,
    to: &fjall::Keyspace,
    done: &mut Progress,
    tell: &mut Tell<'_>,
) -> Result<(), BackupError> {
    let mut ingestion = to.start_ingestion().map_err(|error| write_error(&error))?;
    let mut after: Bound<Vec<u8>> = Bound::Unbounded;
    loop {
        // What an engine shows that has stopped is not what the disk holds.
        source.health()?;
        let range = (after.as_ref().map(Vec::as_slice), Bound::Unbounded);
        let mut last = None;
        let mut count = 0;
        for row in view.range::<&[u8], _>(from, range).take(ROWS) {
            let (key, value) = row.into_inner().map_err(|error| StoreError::from_read(&error))?;
            done.rows += 1;
            done.bytes += (key.len() + value.len()) as u64;
            count += 1;
            last = Some(key.to_vec());
            ingestion.write(key, value).map_err(|error| write_error(&error))?;
        }
        if tell(*done).is_break() {
            return Err(BackupError::GivenUp);
        }
        match last {
            Some(last) if count == ROWS => after = Bound::Excluded(last),
            _ => break,
        }
    }
    ingestion.finish().map_err(|error| write_error(&error))
}

fn write_error(error: &fjall::Error) -> BackupError {
    BackupError::Write { reason: StoreError::reason_of(error) }
}

fn database_error(folder: &Folder, error: &fjall::Error) -> OpenError {
    OpenError::Database { path: folder.path().to_owned(), reason: StoreError::reason_of(error) }
}
