//! The data folder: its lock, its secrets, and when it is complete. Whose it
//! is says `ownership`.
//!
//! ```text
//! <data>/LOCK               held by the process that has the folder open; its pid
//! <data>/CONFAB-UNFINISHED  there until the folder is complete
//! <data>/FORMAT             "confab 1", written when the folder is complete
//! <data>/keys/*.key         secrets of this folder, mode 0600
//! <data>/db/                the database; its files are its own
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::ownership;
use crate::{OpenError, StoreError};

/// The database's own mark, in its folder, that it was created.
const CREATED: &str = "version";

pub(crate) struct Folder {
    path: PathBuf,
    secrets: Mutex<()>,
    _lock: Lock,
}

/// The lock of a folder. Dropped, it is let go of by name: a program that is just being
/// started from this process has the file open, too, until it runs, and closing alone
/// would leave the folder locked for so long.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing follows.
        let _unlocked = self.0.unlock();
    }
}

impl Folder {
    /// Creates the folder if it is missing, makes it ours if it is empty, and
    /// locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        ownership::refuse_backup(path)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io_error("create the data folder", path))?;
        ownership::claim(path)?;
        let folder = Self::locked(path)?;
        if ownership::has_format(path)? {
            folder.demand_database()?;
        } else {
            folder.remove_unfinished_database()?;
        }
        Ok(folder)
    }

    /// Locks a folder that is complete, and changes nothing else in it.
    pub(crate) fn open_existing(path: &Path) -> Result<Self, OpenError> {
        ownership::refuse_backup(path)?;
        ownership::demand_format(path)?;
        let folder = Self::locked(path)?;
        folder.demand_database()?;
        Ok(folder)
    }

    fn locked(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), secrets: Mutex::new(()), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// Says that the folder is complete, after the database in it was created.
    pub(crate) fn complete(&self) -> Result<(), OpenError> {
        if !ownership::has_format(&self.path)? {
            write_atomically(&self.path, ownership::FORMAT_FILE, ownership::format().as_bytes())
                .map_err(io_error("write FORMAT in", &self.path))?;
        }
        ownership::unmark(&self.path)
    }

    /// A folder that was complete once has its database, or has lost it: a new
    /// one in its place would be empty.
    fn demand_database(&self) -> Result<(), OpenError> {
        let created = self.database().join(CREATED);
        if created.try_exists().map_err(io_error("read", &created))? {
            return Ok(());
        }
        let reason = format!("{} is missing", created.display());
        Err(OpenError::Database { path: self.path.clone(), reason })
    }

    /// A process that dies while it creates the database leaves pieces that the
    /// database refuses to open. Without FORMAT nobody was ever told that
    /// anything is stored here, and the mark says that we have put it here.
    fn remove_unfinished_database(&self) -> Result<(), OpenError> {
        let database = self.database();
        match fs::remove_dir_all(&database) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io_error("remove the unfinished database", &database)(source)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the store sits below the kit")]
    pub(super) fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(StoreError::unavailable(format!("{name:?} does not name a secret")));
        }
        let _one_at_a_time = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let unavailable = |error: io::Error| {
            StoreError::unavailable(format!("cannot read or create the secret {name:?}: {error}"))
        };
        let keys = self.path.join("keys");
        match fs::read(keys.join(format!("{name}.key"))) {
            Ok(bytes) => bytes.try_into().map_err(|found: Vec<u8>| {
                StoreError::corrupt(format!("the secret {name:?} has {} bytes", found.len()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut secret = [0; 32];
                getrandom::fill(&mut secret).map_err(|error| unavailable(error.into()))?;
                self.create_secret(&keys, name, &secret).map_err(unavailable)?;
                Ok(secret)
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    fn create_secret(&self, keys: &Path, name: &str, secret: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(keys)?;
        File::open(&self.path)?.sync_all()?;
        write_atomically(keys, &format!("{name}.key"), secret)
    }
}

/// Takes the folder's lock and leaves our pid in it. The operating system
/// releases it when the process ends, however it ends.
fn lock(path: &Path) -> Result<Lock, OpenError> {
    let lock_path = path.join(ownership::LOCK_FILE);
    let failed = |action| io_error(action, &lock_path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse { path: path.to_owned(), holder: pid_in(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
    }
    let mut lock = Lock(file);
    lock.0.set_len(0).map_err(failed("write"))?;
    writeln!(lock.0, "{}", std::process::id()).map_err(failed("write"))?;
    Ok(lock)
}

/// The id of the process that has the folder open; `None` when none has. Asked
/// while one is about to open it, it may keep that one from doing so.
///
/// # Errors
/// When there is no such folder, or it cannot be read.
pub fn holder(path: &Path) -> Result<Option<String>, OpenError> {
    let lock_path = path.join(ownership::LOCK_FILE);
    let mut file = File::open(&lock_path).map_err(io_error("open", &lock_path))?;
    match file.try_lock_shared() {
        Ok(()) => {
            drop(Lock(file));
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => Ok(Some(pid_in(&mut file))),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &lock_path)(source)),
    }
}

/// The pid in a lock file that another process holds. It may just be writing it.
fn pid_in(file: &mut File) -> String {
    let mut content = String::new();
    let pid = match file.rewind().and_then(|()| file.read_to_string(&mut content)) {
        Ok(_) => content.trim().parse::<u32>().ok(),
        Err(_) => None,
    };
    pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
}

/// Writes a file (mode 0600) so that after a crash it is there whole or not at all.
pub(crate) fn write_atomically(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.tmp"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

pub(crate) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path, source }
}
