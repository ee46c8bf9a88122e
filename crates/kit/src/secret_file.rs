//! Secrets that Confab makes for itself and keeps in a file that only its
//! owner reads. Knows nothing about what is in them.

use std::{fs, io, io::Write as _, path::Path};

use crate::random;

/// Reads the file, or makes it with mode 0600.
pub(crate) fn load_or_create(path: &Path, make: impl FnOnce() -> String) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Written aside and linked: a crash leaves no half secret, and of two
    // processes that start at once both take the first one's.
    let aside = folder.join(format!(".new-{}", random::uuid()));
    let linked = write_private(&aside, &make()).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&aside);
    linked?;
    removed?;
    // Whoever uses the secret may store at once what rests on it.
    fs::File::open(folder)?.sync_all()?;
    fs::read_to_string(path)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
