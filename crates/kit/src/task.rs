//! The only place that spawns tasks: each has a name, keeps its spawner's
//! trace, and a panic in it is logged and counted instead of vanishing.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::trace;

/// Runs the future in the background.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns tasks")]
pub fn spawn(
    name: &'static str,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let trace = trace::current();
    let guarded = async move {
        let caught = AssertUnwindSafe(future).catch_unwind();
        let outcome = match trace {
            Some(trace) => trace.scope(caught).await,
            None => caught.await,
        };
        if let Err(panic) = outcome {
            metrics::counter!("confab_task_panics_total", "task" => name).increment(1);
            tracing::error!(task = name, panic = panic_message(&*panic), "task panicked");
        }
    };
    tokio::spawn(guarded.in_current_span())
}

/// What a caught panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TraceId;

    #[tokio::test]
    async fn a_panic_does_not_escape() {
        let task = spawn("test", async { panic!("on purpose") });
        assert!(task.await.is_ok());
    }

    #[tokio::test]
    async fn the_trace_follows() {
        let id = TraceId::generate();
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = id.sync_scope(|| {
            spawn("test", async move {
                let _ = tell.send(trace::current());
            })
        });
        assert_eq!(told.await.expect("sent"), Some(id));
        assert!(task.await.is_ok());
    }
}
