//! The short way of an event: from the hub straight into a stream's outbox, while
//! the stream's task sleeps on. Nearly every event of a busy conversation is
//! simply the next one; waking a task to find that out costs more than telling it.
//!
//! # Why order and "exactly once" hold
//!
//! A watched conversation has one cursor, in its [`Watch`], behind the lock of this
//! file. Both ways ask the same `Watch`, and whoever moves the cursor puts the
//! frame into the outbox before it lets go of the lock. So frames stand in the
//! outbox in the order in which the cursor moved, and no event is there twice (P2).
//!
//! The lane is open only for a watch that is live: while the task reads, replays,
//! waits or ends it, [`Watch::takes`] says no, and the event goes by the mailbox, as
//! does all that is not `cursor + 1` (P4). It never does more than move the cursor:
//! - an event that changes who may see what is never taken (P13). It waits in the
//!   mailbox, and until the task has dealt with it no later one is `cursor + 1`. So
//!   the user's own removal shuts the lane by its number alone.
//! - what says something of a message that may be hidden is the task's (P5, P13);
//! - a reader without room is the task's, which knows the bound (P6);
//! - after a revocation or the loss of the session nothing is taken until the task
//!   has looked: see [`Mailbox::is_urgent`](crate::mailbox::Mailbox::is_urgent).
//!
//! Acknowledgements and receipts are compared with the same cursor, so they know
//! what has gone this way. When the stream ends its registration goes first, and
//! with it the lane: nothing follows the goodbye.
//!
//! While a watch is locked nothing else may be, but the outbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use confab_log::mutant;
use tokio::time::Instant;

use crate::{frame::SharedEvent, outbox::Outbox, watch::Watch};

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    watch: Mutex<Watch>,
    outbox: Outbox,
}

impl Lane {
    pub(crate) fn new(watch: Watch, outbox: Outbox) -> Arc<Self> {
        Arc::new(Self { watch: Mutex::new(watch), outbox })
    }

    /// The watch, for as long as the guard lives.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the event if it is simply the next one. `false` leaves everything as
    /// it was, and the event to the stream's task. Never waits.
    pub(crate) fn pass(&self, event: &SharedEvent, now: Instant) -> bool {
        let mut watch = self.lock();
        if !watch.takes(event) {
            return false;
        }
        self.outbox.offer(now, || {
            if mutant::is("lane-keeps-cursor") { Some(event.frame()) } else { watch.hear(event) }
        })
    }
}
