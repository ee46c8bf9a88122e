//! What the node has for one stream: a bounded queue that the bus fills and
//! the stream's task empties. Filling never waits; what does not fit becomes
//! a mark that the conversation must be read from its log.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use confab_log::{ConversationId, UserId, mutant};
use confab_proto::realtime::v1::Presence;
use tokio::sync::{Notify, oneshot};

use crate::{
    error::Error,
    frame::{SharedEvent, SharedInbox},
    store::Acknowledged,
};

/// Deliveries that may wait for a stream's task.
const CAPACITY: usize = 1024;
/// Acknowledgements from outside that may wait for it.
const MAX_ACKS: usize = 64;

/// One thing from the bus.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// An event of a watched conversation.
    Event(Arc<SharedEvent>),
    /// Somebody's cursors moved in a watched conversation.
    Receipt(SharedReceipt),
    /// An event of the user's inbox.
    Inbox(Arc<SharedInbox>),
    /// Somebody types in a watched conversation.
    Typing(Arc<SharedTyping>),
    /// How present a watched user is has changed.
    Presence(UserId, Arc<Presence>),
}

/// A receipt, framed.
#[derive(Clone, Debug)]
pub(crate) struct SharedReceipt {
    pub(crate) conversation: ConversationId,
    /// The highest seq that it names.
    pub(crate) reach: u64,
    pub(crate) frame: Bytes,
}

/// Typing, framed.
#[derive(Debug)]
pub(crate) struct SharedTyping {
    pub(crate) conversation: ConversationId,
    pub(crate) user: UserId,
    /// The event of the log at which the user was a participant.
    pub(crate) reach: u64,
    pub(crate) frame: Bytes,
}

/// What a client without a way up has stored, and who waits for the answer.
#[derive(Debug)]
pub(crate) struct AckLetter {
    pub(crate) acknowledged: Acknowledged,
    pub(crate) reply: oneshot::Sender<Result<(), Error>>,
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
    /// Something on watched users did not fit.
    pub(crate) presence_lossy: bool,
    pub(crate) acks: Vec<AckLetter>,
    /// Tokens of the user were revoked.
    pub(crate) revoked: bool,
    /// The session is not the stream's any more.
    pub(crate) session: Option<Lost>,
}

/// Why a session is not its stream's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// A newer stream took it over.
    Fenced,
    /// Somebody has ended it.
    Ended,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// `None` once the stream is over: what comes then is dropped, and so is
    /// whoever waits for an answer to it told.
    letters: Mutex<Option<Letters>>,
    arrived: Notify,
    /// Changed under the lock of the letters only.
    urgent: AtomicBool,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            letters: Mutex::new(Some(Letters::default())),
            arrived: Notify::new(),
            urgent: AtomicBool::new(false),
        }
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Option<Letters>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in, and wakes the stream.
    fn put(&self, put: impl FnOnce(&mut Letters)) {
        if let Some(letters) = &mut *self.lock() {
            put(letters);
        }
        self.arrived.notify_one();
    }

    /// Queues a delivery, or marks its conversation.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.put(|letters| letters.add(delivery));
    }

    /// A conversation that is not watched has moved.
    pub(crate) fn mark_moved(&self, conversation: &ConversationId) {
        self.put(|letters| {
            if !letters.moved.contains(conversation) {
                letters.moved.insert(conversation.clone());
            }
        });
    }

    /// Tells the stream that the session is not its own any more; the first
    /// reason counts.
    pub(crate) fn lose_session(&self, why: Lost) {
        self.put(|letters| {
            letters.session.get_or_insert(why);
            self.urgent.store(true, Ordering::Release);
        });
    }

    /// Tells the stream that tokens of its user were revoked; its own may be one.
    pub(crate) fn revoke(&self) {
        self.put(|letters| {
            letters.revoked = true;
            self.urgent.store(true, Ordering::Release);
        });
    }

    /// Whether something came that may end the stream: no later event may reach
    /// the client before the stream's task has looked at it.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire) && !mutant::is("lane-past-revocation")
    }

    /// The stream's task has looked, and the stream goes on.
    pub(crate) fn calm(&self) {
        let letters = self.lock();
        let more = letters.as_ref().is_some_and(|l| l.revoked || l.session.is_some());
        self.urgent.store(more, Ordering::Release);
        drop(letters);
    }

    /// Hands in what the client has stored. A letter whose stream ends first is
    /// dropped without an answer.
    pub(crate) fn acknowledge(&self, letter: AckLetter) -> Result<(), Error> {
        let mut fits = true;
        self.put(|letters| {
            fits = letters.acks.len() < MAX_ACKS;
            if fits {
                letters.acks.push(letter);
            }
        });
        let full = Error::Overloaded("too many acknowledgements wait for this session");
        if fits { Ok(()) } else { Err(full) }
    }

    /// Returns when something may have come.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything out.
    pub(crate) fn take(&self) -> Letters {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The stream is over.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }
}

impl Letters {
    fn add(&mut self, delivery: Delivery) {
        if self.deliveries.len() < CAPACITY {
            self.deliveries.push_back(delivery);
            return;
        }
        match delivery {
            Delivery::Event(event) => {
                self.lossy.insert(event.conversation.clone());
            }
            Delivery::Inbox(_) => self.inbox_lossy = true,
            Delivery::Presence(..) => self.presence_lossy = true,
            // These may be lost.
            Delivery::Receipt(_) | Delivery::Typing(_) => {}
        }
    }
}
