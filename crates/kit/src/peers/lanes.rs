//! Connections to one peer for streams alone. A stream may be read slowly or be
//! open for days, so it shares a connection with few others, and with no call.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::connection::{Connection, Target};

/// Streams of one connection. Below what `connection` can take in at once for
/// streams that nobody reads, and below what a server allows.
const STREAMS: usize = 100;

/// The lanes of one peer.
#[derive(Default)]
pub(super) struct Lanes {
    open: Mutex<Vec<Lane>>,
    /// One is opened at a time: a thousand streams that come at once need ten
    /// connections and not a thousand.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Lane {
    connection: Connection,
    open: Arc<AtomicUsize>,
}

/// A place on a lane; free again when dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Lanes {
    /// A connection with room for one more stream.
    pub(super) async fn take(&self, target: &Target) -> std::io::Result<(Connection, Place)> {
        if let Some(taken) = self.free() {
            return Ok(taken);
        }
        let _turn = self.opening.lock().await;
        if let Some(taken) = self.free() {
            return Ok(taken);
        }
        let (connection, _ended) = Connection::open(target).await?;
        let lane = Lane { connection, open: Arc::default() };
        let taken = lane.enter();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        Ok(taken)
    }

    fn free(&self) -> Option<(Connection, Place)> {
        let mut lanes = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // The last ones are emptied and closed when there is room in earlier ones.
        let mut room = false;
        lanes.retain(|lane| {
            let open = lane.open.load(Ordering::Relaxed);
            let keep = !lane.connection.is_closed() && (open > 0 || !room);
            room |= keep && open < STREAMS;
            keep
        });
        let lane = lanes.iter().find(|lane| lane.open.load(Ordering::Relaxed) < STREAMS)?;
        Some(lane.enter())
    }
}

impl Lane {
    fn enter(&self) -> (Connection, Place) {
        self.open.fetch_add(1, Ordering::Relaxed);
        (self.connection.clone(), Place(Arc::clone(&self.open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
