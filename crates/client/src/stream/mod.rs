//! The supervised stream: what happens, as it happens, without a hole.
//!
//! `tracker` is the pure heart (cursors, gaps, density), `connection` serves one
//! connection, `supervisor` goes from one connection to the next, `handle` is what
//! the application holds. The only state that survives a connection is cursors.

mod connection;
mod gaps;
mod handle;
mod incoming;
mod options;
mod renewal;
mod shared;
mod supervisor;
mod tracker;
mod update;
mod verdict;

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{client::Client, runtime};
use shared::Shared;
use supervisor::Supervisor;

pub use handle::{EventStream, StreamHandle};
pub use options::{MAX_WATCHES, Resume, StreamOptions};
pub use update::{Cursors, Update};

/// Orders that wait for the connection.
const ORDERS: usize = 64;

impl Client {
    /// Opens a stream, which connects in the background and for ever again. Must
    /// be called inside a tokio runtime.
    pub fn stream(&self, options: StreamOptions) -> EventStream {
        let (updates, receiver) = mpsc::channel(options.queue.max(1));
        let (orders, taken) = mpsc::channel(ORDERS);
        let shared = Arc::new(Shared::default());
        let handle =
            StreamHandle::new(self.clone(), orders, Arc::clone(&shared), options.send_over_stream);
        let auto_ack = options.auto_ack;
        let supervisor = Supervisor::new(self.clone(), options, shared, updates, taken);
        EventStream::new(handle, receiver, runtime::spawn(supervisor.run()), auto_ack)
    }
}
