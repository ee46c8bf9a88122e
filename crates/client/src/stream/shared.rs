//! What the application's side and the connection's side of a stream both know:
//! which watches there are, what the application was given, what it stored.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use confab_proto::{conversations::v1::ConversationCursor, realtime::v1::Ack};
use tokio::sync::Notify;

use super::{
    options::MAX_WATCHES,
    update::{Cursors, INBOX, Topic},
};
use crate::error::Error;

#[derive(Debug, Default)]
pub(crate) struct Shared {
    watches: Mutex<Watches>,
    acks: Notify,
    duplicates: AtomicU64,
}

#[derive(Debug, Default)]
struct Watches {
    by_topic: BTreeMap<Topic, Watch>,
    epochs: u64,
}

/// One watch of the application; watching again is another one.
#[derive(Debug)]
struct Watch {
    epoch: u64,
    /// The last event that the application was given.
    given: u64,
    /// The last event that it stored.
    stored: u64,
    /// The last event that the server knows to be stored.
    acked: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a watch from a cursor; its epoch tells it from earlier ones.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] when there are too many.
    pub(crate) fn watch(&self, topic: &str, cursor: u64) -> Result<u64, Error> {
        let mut watches = self.lock();
        let others = watches.by_topic.keys().filter(|known| *known != INBOX && *known != topic);
        if topic != INBOX && others.count() >= MAX_WATCHES {
            let text = format!("a stream watches at most {MAX_WATCHES} conversations");
            return Err(Error::InvalidOptions(text));
        }
        watches.epochs += 1;
        let epoch = watches.epochs;
        let watch = Watch { epoch, given: cursor, stored: cursor, acked: cursor };
        watches.by_topic.insert(topic.to_owned(), watch);
        Ok(epoch)
    }

    pub(crate) fn unwatch(&self, topic: &str) {
        self.lock().by_topic.remove(topic);
    }

    /// Notes that an event is given to the application; `false` when its watch has
    /// ended or begun anew since it was received.
    pub(crate) fn give(&self, topic: &str, epoch: u64, seq: Option<u64>) -> bool {
        let mut watches = self.lock();
        let Some(watch) = watches.by_topic.get_mut(topic).filter(|watch| watch.epoch == epoch)
        else {
            return false;
        };
        watch.given = seq.unwrap_or(watch.given);
        true
    }

    /// Notes that the application stored everything up to `seq`. What it was not
    /// given it cannot have stored.
    pub(crate) fn store(&self, topic: &str, seq: u64) {
        let mut watches = self.lock();
        let Some(watch) = watches.by_topic.get_mut(topic) else { return };
        watch.stored = seq.min(watch.given).max(watch.stored);
        if watch.stored > watch.acked {
            self.acks.notify_one();
        }
    }

    /// Waits until there is something to acknowledge.
    pub(crate) async fn something_stored(&self) {
        self.acks.notified().await;
    }

    /// What to tell the server; afterwards it counts as told. `reached` is how far
    /// the server is on this connection, if it is known: a session that goes on
    /// from an old cursor is not told of what it has not sent again yet. `true`:
    /// such acknowledgements are left.
    pub(crate) fn take_ack(&self, reached: impl Fn(&str) -> Option<u64>) -> (Option<Ack>, bool) {
        let mut ack = Ack::default();
        let mut left = false;
        for (topic, watch) in &mut self.lock().by_topic {
            let reached = reached(topic);
            let tellable = watch.stored.min(reached.unwrap_or(0));
            left |= reached.is_some() && tellable < watch.stored;
            if tellable <= watch.acked {
                continue;
            }
            watch.acked = tellable;
            if topic == INBOX {
                ack.inbox_seq = Some(tellable);
            } else {
                let (conversation_id, seq) = (topic.clone(), tellable);
                ack.cursors.push(ConversationCursor { conversation_id, seq });
            }
        }
        ((ack != Ack::default()).then_some(ack), left)
    }

    /// The server knows no more than this: the cursor of a hello or a welcome.
    pub(crate) fn server_knows(&self, topic: &str, cursor: u64) {
        let mut watches = self.lock();
        let Some(watch) = watches.by_topic.get_mut(topic) else { return };
        watch.acked = cursor;
        if watch.stored > watch.acked {
            self.acks.notify_one();
        }
    }

    /// The last event that the application stored.
    pub(crate) fn stored(&self, topic: &str) -> Option<u64> {
        self.lock().by_topic.get(topic).map(|watch| watch.stored)
    }

    pub(crate) fn cursors(&self) -> Cursors {
        let mut cursors = Cursors::default();
        for (topic, watch) in &self.lock().by_topic {
            if topic == INBOX {
                cursors.inbox = Some(watch.given);
            } else {
                cursors.conversations.insert(topic.clone(), watch.given);
            }
        }
        cursors
    }

    pub(crate) fn set_duplicates(&self, duplicates: u64) {
        self.duplicates.store(duplicates, Ordering::Relaxed);
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }
}
