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
};

use confab_log::mutant;
use hyper::rt::Executor;
use tokio::sync::Notify;

use crate::task;

tokio::task_local! {
    /// Of the stream whose task runs.
    static CURRENT: StreamReset;
}

/// Ends the HTTP/2 stream that a request came on, whatever its client does.
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

    /// That of the stream whose request is being answered.
    pub(super) fn of_this_stream() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }
}

/// Runs the tasks of a connection's streams for hyper.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let asked = StreamReset::default();
        let reset = if mutant::is("reset-wrong-stream") { wrong(&asked) } else { asked.clone() };
        task::spawn("stream", async move {
            tokio::select! {
                biased;
                () = asked.0.notified() => tracing::debug!("stream reset"),
                () = CURRENT.scope(reset, stream) => {}
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
