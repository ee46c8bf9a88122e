//! What the node has for one stream: a bounded queue that the bus fills and
//! the stream's task empties. Filling never waits; what does not fit becomes
//! a mark that the conversation must be read from its log.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use confab_log::ConversationId;
use tokio::sync::Notify;

use crate::frame::{SharedEvent, SharedInbox};

/// Deliveries that may wait for a stream's task.
const CAPACITY: usize = 1024;

/// One thing from the bus.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// An event of a watched conversation.
    Event(Arc<SharedEvent>),
    /// Somebody's cursors moved in a watched conversation.
    Receipt(SharedReceipt),
    /// An event of the user's inbox.
    Inbox(Arc<SharedInbox>),
}

/// A receipt, framed.
#[derive(Clone, Debug)]
pub(crate) struct SharedReceipt {
    pub(crate) conversation: ConversationId,
    /// The highest seq that it names.
    pub(crate) reach: u64,
    pub(crate) frame: Bytes,
}

/// Everything that came since the last look.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    pub(crate) deliveries: VecDeque<Delivery>,
    /// Watched conversations of which something did not fit.
    pub(crate) lossy: HashSet<ConversationId>,
    /// Conversations that are not watched, and moved.
    pub(crate) moved: HashSet<ConversationId>,
    /// Something of the inbox did not fit.
    pub(crate) inbox_lossy: bool,
    /// A newer stream took the session over.
    pub(crate) fenced: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    arrived: Notify,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a delivery, or marks its conversation.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        let mut letters = self.lock();
        if letters.deliveries.len() < CAPACITY {
            letters.deliveries.push_back(delivery);
        } else {
            match delivery {
                Delivery::Event(event) => {
                    letters.lossy.insert(event.conversation.clone());
                }
                Delivery::Inbox(_) => letters.inbox_lossy = true,
                // Receipts may be lost.
                Delivery::Receipt(_) => {}
            }
        }
        drop(letters);
        self.arrived.notify_one();
    }

    /// A conversation that is not watched has moved.
    pub(crate) fn mark_moved(&self, conversation: &ConversationId) {
        let mut letters = self.lock();
        if !letters.moved.contains(conversation) {
            letters.moved.insert(conversation.clone());
        }
        drop(letters);
        self.arrived.notify_one();
    }

    /// Tells the stream that it is no longer its session's.
    pub(crate) fn fence(&self) {
        self.lock().fenced = true;
        self.arrived.notify_one();
    }

    /// Returns when something may have come.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything out.
    pub(crate) fn take(&self) -> Letters {
        std::mem::take(&mut *self.lock())
    }
}
