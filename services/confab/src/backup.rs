//! `confab backup` and `confab restore`. Whoever holds the data folder makes the
//! backup: the node that serves it, or, where nobody does, this process.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use confab_kit::error::Error;
use confab_operations::backup;
use confab_proto::operations::v1::{BackupRequest, BackupResponse};
use confab_store::{
    OpenError,
    backup::Progress,
    embedded::{Engine, Options},
};
use tokio::sync::watch;

use crate::{
    Failure,
    cli::{BackupArguments, RestoreArguments},
    neighbour, output,
};

pub(crate) async fn run(arguments: BackupArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let to = absolute(&arguments.to)?;
    let done = match Engine::open_existing(&config.data_dir, Options::default()) {
        Ok(engine) => by_this_process(engine, to.clone()).await?,
        Err(OpenError::InUse { .. }) => {
            let mut node = neighbour::operations(&config)?;
            let path = to.to_str().ok_or("--to is not UTF-8")?.to_owned();
            let answers = node.backup(BackupRequest { path }).await;
            by_the_node(answers.map_err(told)?.into_inner()).await?
        }
        Err(error) => return Err(error.into()),
    };
    output::print(&format!("{}: {done}\n", to.display()))
}

/// The node's current folder is another one.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path);
    Ok(absolute.map_err(|error| format!("--to {}: {error}", path.display()))?)
}

async fn by_this_process(engine: Engine, to: PathBuf) -> Result<String, Failure> {
    let (progress, _copied) = watch::channel(Progress::default());
    let made = backup::run(engine, to, progress).await?;
    Ok(summary(made.rows, made.files() as u64, made.bytes()))
}

async fn by_the_node(mut answers: tonic::Streaming<BackupResponse>) -> Result<String, Failure> {
    while let Some(BackupResponse { rows, bytes, done }) = answers.message().await.map_err(told)? {
        if let Some(done) = done {
            return Ok(summary(rows, done.files, done.bytes));
        }
        show(rows, bytes);
    }
    Err("the node ended before the backup was made".into())
}

fn summary(rows: u64, files: u64, bytes: u64) -> String {
    format!("{rows} rows, {files} files, {bytes} bytes")
}

/// For somebody who watches; a file or a pipe gets the result only.
fn show(rows: u64, bytes: u64) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _unseen = write!(terminal, "\r{rows} rows, {bytes} bytes \r");
    }
}

/// What the node said, without gRPC's words around it.
#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
pub(crate) fn told(status: tonic::Status) -> Failure {
    Error::from_status(&status).message().to_owned().into()
}

pub(crate) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let RestoreArguments { from, data_dir } = arguments;
    let restored = confab_store::backup::restore(from, data_dir)?;
    output::print(&format!(
        "{}: {}, all as they were written\n",
        data_dir.display(),
        summary(restored.rows, restored.files() as u64, restored.bytes())
    ))
}
