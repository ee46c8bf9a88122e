//! The end of a socket. Closing one while bytes of its client are unread makes
//! the kernel throw away what the client has not read yet, too: the last
//! answers would be lost. So what still comes is taken first, for a moment.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_util::task::TaskTracker;

use super::SpawnNamed as _;

/// How long a client has to close its side.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says that a connection has ended well, and is worth lingering for.
#[derive(Clone, Debug, Default)]
pub(super) struct EndedWell(Arc<AtomicBool>);

impl EndedWell {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A socket that lingers when it is dropped after its connection has ended well.
#[derive(Debug)]
pub(super) struct Lingering {
    /// `None` only once dropped.
    socket: Option<TcpStream>,
    ended_well: EndedWell,
    tasks: TaskTracker,
}

impl Lingering {
    /// The tasks are waited for when the server ends.
    pub(super) fn new(socket: TcpStream, tasks: TaskTracker) -> (Self, EndedWell) {
        let ended_well = EndedWell::default();
        (Self { socket: Some(socket), ended_well: ended_well.clone(), tasks }, ended_well)
    }

    fn socket(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(socket))
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if !self.ended_well.0.load(Ordering::Relaxed) {
            return;
        }
        if let Some(socket) = self.socket.take() {
            self.tasks.spawn_named("last bytes", async move {
                // It closes either way.
                let _too_late = tokio::time::timeout(PATIENCE, take_the_rest(socket)).await;
            });
        }
    }
}

async fn take_the_rest(mut socket: TcpStream) {
    let mut rest = [0; 1024];
    if socket.shutdown().await.is_ok() {
        while matches!(socket.read(&mut rest).await, Ok(1..)) {}
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().socket()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().socket()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a client reads to the end that has sent something which nobody reads.
    async fn last_words(ends_well: bool) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (socket, _) = listener.accept().await?;
        client.write_all(b"unread").await?;
        socket.readable().await?;
        let tasks = TaskTracker::new();
        let (mut socket, ended_well) = Lingering::new(socket, tasks.clone());
        socket.write_all(b"last words").await?;
        if ends_well {
            ended_well.set();
        }
        drop(socket);
        tasks.close();
        let mut read = Vec::new();
        let outcome = client.read_to_end(&mut read).await;
        drop(client);
        tasks.wait().await;
        outcome.map(|_| read)
    }

    #[tokio::test]
    async fn last_words_are_heard_though_not_all_was_read() {
        assert_eq!(last_words(true).await.expect("no reset"), b"last words");
        // Else the kernel throws them away, or tells of a reset after them.
        assert!(last_words(false).await.is_err());
    }
}
