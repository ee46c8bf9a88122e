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
    let guarded = guarded(name, future).in_current_span();
    match trace::current() {
        Some(trace) => tokio::spawn(trace.scope(guarded)),
        None => tokio::spawn(guarded),
    }
}

/// Ends without a panic. No `async` block: it would hold the future once more
/// for each step that it is moved through, in every connection and stream.
fn guarded(name: &'static str, future: impl Future<Output = ()>) -> impl Future<Output = ()> {
    AssertUnwindSafe(future).catch_unwind().map(move |outcome| {
        if let Err(panic) = outcome {
            report(name, &*panic);
        }
    })
}

/// Runs what blocks on a thread for such things, and waits for it; `None` if it
/// panicked, which is logged and counted.
pub async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let span = tracing::Span::current();
    let guarded = move || span.in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(work)));
    match tokio::task::spawn_blocking(guarded).await {
        Ok(Ok(done)) => Some(done),
        Ok(Err(panic)) => {
            report(name, &*panic);
            None
        }
        // The runtime is ending.
        Err(_) => None,
    }
}

fn report(name: &'static str, panic: &(dyn Any + Send)) {
    metrics::counter!("confab_task_panics_total", "task" => name).increment(1);
    tracing::error!(task = name, panic = panic_message(panic), "task panicked");
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

    #[test]
    fn a_task_holds_its_future_once() {
        let future = async {
            let large = [1_u8; 4096];
            tokio::task::yield_now().await;
            std::hint::black_box(large);
        };
        let alone = size_of_val(&future);
        let wrapped = TraceId::generate().scope(guarded("test", future).in_current_span());
        assert!(size_of_val(&wrapped) < alone + 256, "{} of {alone}", size_of_val(&wrapped));
    }

    #[tokio::test]
    async fn what_blocks_has_a_thread_and_its_panic_does_not_escape() {
        assert_eq!(blocking("test", || 7).await, Some(7));
        assert_eq!(blocking("test", || panic!("on purpose")).await, None::<()>);
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
