//! Makes recovery read the journal that the disk has, not the one that the
//! kernel remembers, and finds out first whether it holds all that was
//! acknowledged.
//!
//! When an fsync fails, Linux marks the pages clean and keeps them in the page
//! cache. A process restarted after that would replay, show and build upon rows
//! that the disk never got, and the next power cut would tear a hole below
//! acknowledged rows. See Rebello et al., "Can Applications Recover from fsync
//! Failures?", USENIX ATC 2020.

mod batch;
mod scan;

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use self::scan::{Verdict, judge};
use super::folder::io_error;
use crate::OpenError;

/// Writes back what is dirty in the journals, drops the rest from the cache, and
/// takes off the end that a crash has torn. `folder` is the data folder.
///
/// # Errors
/// [`OpenError::Damaged`] when acknowledged rows are lost; nothing is changed then.
pub(super) fn prepare(folder: &Path, database: &Path) -> Result<(), OpenError> {
    let journals = list(database)?;
    for path in &journals {
        forget(path).map_err(io_error("sync and re-read", path))?;
    }
    let newest = journals.last();
    for path in &journals {
        if confab_log::mutant::is("journal-not-judged") {
            break;
        }
        let bytes = read(path).map_err(io_error("read", path))?;
        match judge(&bytes) {
            Verdict::Whole => {}
            Verdict::Torn { whole } if Some(path) == newest => {
                tracing::info!(
                    journal = %path.display(),
                    bytes = bytes.len() - whole,
                    "a write that a crash had cut off, and nobody was told of, is dropped"
                );
                cut(path, whole as u64).map_err(io_error("cut", path))?;
            }
            Verdict::Torn { whole: at } | Verdict::Damaged { at, more: true } => {
                return Err(damaged(folder, path, at, "acknowledged rows are lost from there on"));
            }
            Verdict::Damaged { at, more: false } => {
                let problem =
                    "the last group of writes is broken, and not as a crash would break it";
                return Err(damaged(folder, path, at, problem));
            }
        }
    }
    Ok(())
}

fn damaged(folder: &Path, journal: &Path, at: usize, problem: &'static str) -> OpenError {
    OpenError::Damaged { path: folder.to_owned(), journal: journal.to_owned(), at, problem }
}

/// The journals, the newest last.
fn list(database: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io_error("list", database)(source)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("list", database))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

fn forget(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    // After a crash the journal's end may still be on its way to the disk.
    file.sync_all()?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// A journal's bytes, up to where the file has any: it is made with 64 MiB of nothing.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = end_of_data(&file)?;
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(target_os = "linux")]
fn end_of_data(file: &File) -> io::Result<u64> {
    use rustix::{
        fs::{SeekFrom, seek},
        io::Errno,
    };
    let mut end = 0;
    loop {
        match seek(file, SeekFrom::Data(end)) {
            Ok(data) => end = seek(file, SeekFrom::Hole(data))?,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => return Ok(end),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn end_of_data(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}
