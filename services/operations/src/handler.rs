//! `OperationsService`: gRPC in, work out. The mesh credential was the proof.

use std::{path::PathBuf, pin::Pin, sync::Arc};

use confab_kit::{error::Coded as _, task, telemetry};
use confab_proto::operations::v1::{self as pb, operations_service_server::OperationsService};
use confab_store::backup::{BackupError, Progress};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{Error, Shared, backup, convert};

/// The mesh's face of the service.
pub struct OperationsHandler {
    pub(crate) shared: Arc<Shared>,
}

type Answer = Result<pb::BackupResponse, Status>;

fn refuse(error: impl Into<Error>) -> Status {
    error.into().to_error().into()
}

#[tonic::async_trait]
impl OperationsService for OperationsHandler {
    type BackupStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let to = convert::target(request.into_inner()).map_err(refuse)?;
        let (told, answers) = mpsc::channel(1);
        let shared = Arc::clone(&self.shared);
        task::spawn("backup", async move {
            let answer = make(&shared, to, &told).await.map_err(refuse);
            // Whoever asked may have gone; the log tells the outcome, too.
            let _gone = told.send(answer).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn set_log_filter(
        &self,
        request: Request<pb::SetLogFilterRequest>,
    ) -> Result<Response<pb::SetLogFilterResponse>, Status> {
        let filter = request.into_inner().filter;
        let previous_filter = telemetry::set_filter(&filter).map_err(refuse)?;
        tracing::info!(filter, previous_filter, "log filter changed");
        Ok(Response::new(pb::SetLogFilterResponse { previous_filter }))
    }
}

/// Makes a backup and tells how far it is. When nobody listens any more, or
/// the process is to end, it is given up: so does the copy when it looks for
/// whom to tell.
async fn make(
    shared: &Shared,
    to: PathBuf,
    told: &mpsc::Sender<Answer>,
) -> Result<pb::BackupResponse, Error> {
    let _one_at_a_time = shared.backups.try_acquire().map_err(|_| Error::Busy)?;
    let engine = shared.engine.clone().ok_or(Error::NoFolder)?;
    let (progress, mut copied) = watch::channel(Progress::default());
    let making = backup::run(engine, to, progress);
    let mut making = std::pin::pin!(making);
    loop {
        tokio::select! {
            made = making.as_mut() => {
                let made = made?;
                let done = pb::BackupDone { files: made.files() as u64, bytes: made.bytes() };
                let Progress { rows, bytes } = *copied.borrow();
                return Ok(pb::BackupResponse { rows, bytes, done: Some(done) });
            }
            () = tokio::time::sleep(backup::TOLD) => {
                let Progress { rows, bytes } = *copied.borrow_and_update();
                // One that is not taken is soon replaced by a newer one.
                let _full = told.try_send(Ok(pb::BackupResponse { rows, bytes, done: None }));
            }
            () = told.closed() => break,
            () = shared.lifecycle.draining() => break,
        }
    }
    drop(copied);
    match making.await {
        Err(BackupError::GivenUp) if shared.lifecycle.is_draining() => Err(Error::Draining),
        outcome => outcome.map(|_| pb::BackupResponse::default()).map_err(Error::from),
    }
}
