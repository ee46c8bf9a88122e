//! Runs Confab as a process of its own, kills it, stands between it and its
//! clients, and says what broke. It knows no promise.

pub mod backends;
mod log;
mod mesh;
mod node;
mod patience;
mod port;
mod process;
mod proxy;
mod scrape;
mod seed;
mod tokens;
mod violation;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub use log::Log;
pub use mesh::Mesh;
pub use node::{Node, NodeOptions};
pub use patience::{eventually, within};
pub use port::lasting_port;
pub use proxy::{Fault, Proxy};
pub use scrape::Scrape;
pub use seed::{Seed, effort};
pub use tokens::Tokens;
pub use violation::{Checked, Violation, must_be_caught};

/// Whether this machine has a program, going by `PROGRAM --version`.
pub fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// All files below a folder, relative to it.
///
/// # Errors
/// [`Violation::Unable`] when it cannot be listed.
pub fn files_below(folder: &Path) -> Checked<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(folder.join(&next)).map_err(Violation::unable)? {
            let entry = entry.map_err(Violation::unable)?;
            let path = next.join(entry.file_name());
            let kind = entry.file_type().map_err(Violation::unable)?;
            if kind.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Says that a test did not run, and why. CI compares these lines with its list
/// of allowed skips.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    // Not captured by the test harness: a skip must be seen when the test passes.
    let _unseen = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
