//! Which connections of a port are open, and which of them have proven
//! nothing: those make room when there are too many.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::layers::ConnectionProof;

/// The open connections of one port.
pub(super) struct Registry {
    port: &'static str,
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    count: usize,
    /// By age, the oldest first.
    unproven: BTreeMap<u64, (ConnectionProof, CancellationToken)>,
}

/// One open connection; leaves the registry when dropped.
pub(super) struct Entry {
    registry: super::SharedRegistry,
    number: u64,
    pub(super) proof: ConnectionProof,
    /// Cancelled when the connection has to make room.
    pub(super) evicted: CancellationToken,
}

impl Registry {
    pub(super) fn new(port: &'static str, max: usize) -> Self {
        Self { port, max, open: Mutex::default() }
    }

    /// Enters a connection. When there are too many, the oldest that has
    /// proven nothing makes room; when all have proven who they are, the new
    /// one is refused.
    pub(super) fn enter(self: &super::SharedRegistry) -> Option<Entry> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= self.max && !open.evict_oldest() {
            self.closed("too many connections");
            return None;
        }
        if open.count >= self.max {
            self.closed("made room");
        }
        let number = open.next;
        open.next += 1;
        open.count += 1;
        let proof = ConnectionProof::default();
        let evicted = CancellationToken::new();
        open.unproven.insert(number, (proof.clone(), evicted.clone()));
        drop(open);
        metrics::counter!("confab_connections_total", "port" => self.port).increment(1);
        metrics::gauge!("confab_connections", "port" => self.port).increment(1);
        Some(Entry { registry: std::sync::Arc::clone(self), number, proof, evicted })
    }

    /// Counts a connection that we closed.
    pub(super) fn closed(&self, cause: &'static str) {
        metrics::counter!(
            "confab_connections_closed_total", "port" => self.port, "cause" => cause
        )
        .increment(1);
    }
}

impl Open {
    /// Whether one made room. Those that have proven something since are
    /// forgotten on the way: they cannot be evicted any more.
    fn evict_oldest(&mut self) -> bool {
        while let Some((_, (proof, evicted))) = self.unproven.pop_first() {
            if !proof.is_proven() {
                evicted.cancel();
                return true;
            }
        }
        false
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.unproven.remove(&self.number);
        open.count -= 1;
        drop(open);
        metrics::gauge!("confab_connections", "port" => self.registry.port).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_oldest_unproven_makes_room() {
        let registry = Arc::new(Registry::new("test", 2));
        let first = registry.enter().expect("room");
        let second = registry.enter().expect("room");
        let third = registry.enter().expect("room is made");
        assert!(first.evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled() && !third.evicted.is_cancelled());
        drop(first);
        let _fourth = registry.enter().expect("room is made");
        assert!(second.evicted.is_cancelled());
    }
}
