//! One task for each HTTP/2 stream, and a way to end a stream that needs
//! nothing of its client. Knows no RPC.
//!
//! hyper asks a response body for more only while the client's window has
//! room, so the body of a stream whose client does not read cannot end it.
//! What does is dropping the stream's task: h2 then throws away what it has
//! buffered for the stream, and sends `RST_STREAM`. Others on the connection are
//! not touched.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use confab_log::mutant;
use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{SpawnNamed as _, stall::Stall};

tokio::task_local! {
    /// The stream whose task runs.
    static CURRENT: Stream;
}

/// A stream, as what answers on it knows it.
#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) reset: StreamReset,
    /// Whether its client takes what is written.
    pub(super) stall: Stall,
}

impl Stream {
    /// The one whose request is being answered. Outside of a stream's task there
    /// is none, and one is made up that nobody ends.
    pub(super) fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }
}

/// Ends the HTTP/2 stream that a request came on, whatever its client does; over
/// HTTP/1.1, its connection.
/// The server puts it into each request's extensions; a request that came
/// over no wire has none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StreamReset(Arc<Notify>);

impl StreamReset {
    /// Drops the response body and what is buffered of it. `RST_STREAM` follows
    /// when the request's body is dropped, too. A stream that has ended stays as it is.
    pub fn reset(&self) {
        self.0.notify_one();
    }

    /// Resolves when somebody asked for it.
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Runs the tasks of a connection's streams for hyper.
#[derive(Clone, Debug)]
pub(super) struct StreamExecutor {
    open: TaskTracker,
    patience: Duration,
}

impl StreamExecutor {
    /// A stream whose client takes nothing for so long is reset.
    pub(super) fn new(patience: Duration) -> Self {
        Self { open: TaskTracker::new(), patience }
    }

    /// Counts a call that has no task of its own, until the token is dropped.
    pub(super) fn count(&self) -> TaskTrackerToken {
        self.open.token()
    }

    /// Resolves when no stream is open.
    pub(super) async fn idle(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, serving: F) {
        let mut stream = Stream::default();
        let (asked, stall) = (stream.reset.clone(), stream.stall.clone());
        if mutant::is("reset-wrong-stream") {
            stream.reset = wrong(&asked);
        }
        let patience = self.patience;
        self.open.spawn_named("stream", async move {
            tokio::select! {
                biased;
                () = asked.asked() => tracing::debug!("stream reset"),
                () = CURRENT.scope(stream, serving) => {}
                () = stall.longer_than(patience) => {
                    metrics::counter!("confab_answers_not_taken_total").increment(1);
                    tracing::debug!("stream reset: its client takes nothing");
                }
            }
        });
    }
}

/// A mutant's: that of the stream before.
fn wrong(reset: &StreamReset) -> StreamReset {
    static BEFORE: Mutex<Option<StreamReset>> = Mutex::new(None);
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    before.replace(reset.clone()).unwrap_or_default()
}
