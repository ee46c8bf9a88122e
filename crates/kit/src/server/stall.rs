//! Notices a client that has stopped reading: what is to be written waits, of
//! one stream or of the whole connection. Ends nothing itself.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::{sync::Notify, time::Instant};

/// Since when something waits to be written. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stall(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    since: Mutex<Option<Instant>>,
    begun: Notify,
}

impl Stall {
    /// Resolves when the client has taken nothing for so long, though there was
    /// something to write all the time. Costs nothing while nothing waits.
    pub(super) async fn longer_than(&self, patience: Duration) {
        loop {
            let since = *self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
            match since {
                None => self.0.begun.notified().await,
                Some(since) if since.elapsed() >= patience => return,
                Some(since) => tokio::time::sleep_until(since + patience).await,
            }
        }
    }

    pub(super) fn note(&self, is_waiting: bool) {
        let mut since = self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_waiting {
            *since = None;
        } else if since.is_none() {
            *since = Some(Instant::now());
            self.0.begun.notify_one();
        }
    }
}

pin_project_lite::pin_project! {
    /// A connection's bytes, watched.
    pub(super) struct Watched<T> {
        #[pin]
        inner: T,
        stall: Stall,
    }
}

impl<T> Watched<T> {
    pub(super) fn new(inner: T) -> (Self, Stall) {
        let stall = Stall::default();
        (Self { inner, stall: stall.clone() }, stall)
    }
}

impl<T: Read> Read for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(cx, buffer)
    }
}

impl<T: Write> Write for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.inner.poll_write(cx, bytes);
        this.stall.note(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.inner.poll_write_vectored(cx, slices);
        this.stall.note(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_write_that_waits_all_the_time_is_a_stall() {
        const PATIENCE: Duration = Duration::from_secs(10);
        let (mut client, server) = tokio::io::duplex(4);
        let (mut server, stall) = Watched::new(TokioIo::new(server));
        let mut write = async || {
            poll_fn(|cx| Pin::new(&mut server).poll_write(cx, b"four")).await.expect("open")
        };
        assert_eq!(write().await, 4);
        // Idle, with its buffer full, for ever.
        let idle = tokio::time::timeout(PATIENCE * 10, stall.longer_than(PATIENCE)).await;
        assert!(idle.is_err());
        // A reader that takes something before the patience ends goes on.
        for _ in 0..3 {
            let reading = async {
                tokio::time::sleep(PATIENCE * 9 / 10).await;
                client.read_exact(&mut [0; 4]).await.expect("open");
            };
            let stalled = async {
                stall.longer_than(PATIENCE).await;
                panic!("a stall");
            };
            tokio::select! {
                ((), _) = async { tokio::join!(reading, write()) } => {}
                () = stalled => {}
            }
        }
        tokio::select! {
            _ = write() => panic!("nobody reads"),
            () = stall.longer_than(PATIENCE) => {}
        }
    }
}
