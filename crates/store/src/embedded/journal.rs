//! Makes recovery read the journal that the disk has, not the one that the
//! kernel remembers. It never parses or changes a journal.
//!
//! When an fsync fails, Linux marks the pages clean and keeps them in the page
//! cache. A process restarted after that would replay, show and build upon rows
//! that the disk never got, and the next power cut would tear a hole below
//! acknowledged rows. See Rebello et al., "Can Applications Recover from fsync
//! Failures?", USENIX ATC 2020.

use std::{fs, io, path::Path};

use super::folder::io_error;
use crate::OpenError;

/// Writes back what is dirty in the journals and drops the rest from the cache.
pub(super) fn forget_cached(database: &Path) -> Result<(), OpenError> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_error("list", database)(source)),
    };
    for entry in entries {
        let path = entry.map_err(io_error("list", database))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            forget(&path).map_err(io_error("sync and re-read", &path))?;
        }
    }
    Ok(())
}

fn forget(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    // After a crash the journal's end may still be on its way to the disk.
    file.sync_all()?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}
