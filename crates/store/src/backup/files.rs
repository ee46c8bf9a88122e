//! Files of folders: listed, hashed, copied and synced. Knows no database.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use super::{BackupError, is_backup};
use crate::{
    OpenError,
    embedded::{folder::io_error, ownership::FORMAT_FILE},
};

/// Read at a time.
const CHUNK: usize = 256 * 1024;

/// A file's size and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) hash: String,
}

/// All files below a folder, relative to it, in order; and its folders, itself
/// included, the innermost first.
pub(super) fn list(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), OpenError> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let failed = || io_error("list", &next);
        for entry in fs::read_dir(&next).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let path = entry.path();
            if entry.file_type().map_err(failed())?.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                files.push(relative.to_owned());
            }
        }
        folders.push(next);
    }
    files.sort();
    folders.reverse();
    Ok((files, folders))
}

/// What a file holds; it is on the disk when this returns.
pub(super) fn sync_and_hash(path: &Path) -> Result<Content, OpenError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    file.sync_all().map_err(io_error("sync", path))?;
    pass(file, None).map_err(io_error("read", path))
}

/// What a file holds.
pub(super) fn hash(path: &Path) -> Result<Content, OpenError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    pass(file, None).map_err(io_error("read", path))
}

/// Copies a file to where none is (mode 0600) and syncs it; what was read.
pub(super) fn copy(from: &Path, to: &Path) -> Result<Content, OpenError> {
    let source = File::open(from).map_err(io_error("open", from))?;
    let mut options = OpenOptions::new();
    let mut target = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(io_error("create", to))?;
    let content = pass(source, Some(&mut target)).map_err(io_error("copy to", to))?;
    target.sync_all().map_err(io_error("sync", to))?;
    Ok(content)
}

fn pass(mut source: File, mut target: Option<&mut File>) -> io::Result<Content> {
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = source.read(&mut chunk)?;
        if count == 0 {
            return Ok(Content { bytes, hash: hasher.finalize().to_hex().to_string() });
        }
        hasher.update(&chunk[..count]);
        bytes += count as u64;
        if let Some(target) = &mut target {
            target.write_all(&chunk[..count])?;
        }
    }
}

/// Takes the rights of all others away from a folder and what is in it.
pub(super) fn make_private(folder: &Path) -> Result<(), OpenError> {
    let set = |path: &Path, mode: u32| {
        let set = fs::set_permissions(path, Permissions::from_mode(mode));
        set.map_err(io_error("set the mode of", path))
    };
    let (files, folders) = list(folder)?;
    for file in files {
        set(&folder.join(file), 0o600)?;
    }
    folders.iter().try_for_each(|folder| set(folder, 0o700))
}

/// Makes a folder (mode 0700) and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(io_error("create the folder", path))
}

/// Makes what is in a folder, or is renamed into it, survive a crash.
pub(super) fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(io_error("sync", path))
}

/// What a folder takes on the disk, in bytes.
pub(super) fn disk_usage(folder: &Path) -> Result<u64, OpenError> {
    let (files, _) = list(folder)?;
    let usage = |file: &PathBuf| {
        // One that is gone since it was listed takes nothing.
        fs::metadata(folder.join(file)).map_or(0, |found| found.blocks().saturating_mul(512))
    };
    Ok(files.iter().map(usage).sum())
}

/// What may still be written to the disk of a folder, in bytes.
pub(super) fn free_bytes(folder: &Path) -> Result<u64, OpenError> {
    let found = rustix::fs::statvfs(folder).map_err(io::Error::from);
    let found = found.map_err(io_error("ask for the room on the disk of", folder))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The folder above; the current one for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A folder inside of a data folder or a backup would be taken for a part of it.
pub(super) fn demand_outside(path: &Path) -> Result<(), BackupError> {
    let above = parent(path);
    // What does not exist yet has no links in it.
    let above = above.canonicalize().or_else(|_| std::path::absolute(above));
    let above = above.map_err(io_error("find", path))?;
    let is_ours = |folder: &&Path| is_backup(folder) || folder.join(FORMAT_FILE).exists();
    match above.ancestors().find(is_ours) {
        Some(folder) => {
            Err(BackupError::Inside { path: path.to_owned(), folder: folder.to_owned() })
        }
        None => Ok(()),
    }
}

/// Where a folder is written before it is renamed to its name.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

/// A folder that is removed unless it is kept.
pub(super) struct Unfinished {
    path: Option<PathBuf>,
}

impl Unfinished {
    /// Of a folder that this call makes.
    pub(super) fn make(path: PathBuf) -> Result<Self, OpenError> {
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(io_error("create the folder", &path))?;
        Ok(Self { path: Some(path) })
    }

    /// Gives it its name.
    pub(super) fn keep_as(mut self, name: &Path) -> Result<(), OpenError> {
        if let Some(path) = self.path.take() {
            let renamed = fs::rename(&path, name);
            if renamed.is_err() {
                self.path = Some(path);
            }
            renamed.map_err(io_error("rename the finished folder to", name))?;
        }
        sync_folder(parent(name))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_dir_all(path)
        {
            tracing::warn!(path = %path.display(), %error, "an unfinished folder is left");
        }
    }
}
