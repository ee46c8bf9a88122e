//! Requests as the domain wants them: validated.

use std::path::{Path, PathBuf};

use confab_kit::{error::Error as KitError, validate::Violations};
use confab_proto::operations::v1 as pb;

/// Longest path, as Linux has it.
const MAX_PATH_BYTES: usize = 4096;

/// Where a backup goes.
pub(crate) fn target(request: pb::BackupRequest) -> Result<PathBuf, KitError> {
    let mut violations = Violations::default();
    let path = request.path;
    violations.check(Path::new(&path).is_absolute(), "path", "must be absolute");
    violations.check(path.len() <= MAX_PATH_BYTES, "path", "must be at most 4096 bytes");
    violations.check(!path.contains('\0'), "path", "must not hold a zero byte");
    violations.check(Path::new(&path).file_name().is_some(), "path", "must end with a name");
    violations.finish()?;
    Ok(PathBuf::from(path))
}
