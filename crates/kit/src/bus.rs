//! The bus: what has happened, told to whoever listens in this process. Lossy
//! by contract and never waits: a listener that misses a signal finds the hole
//! by its sequence number and reads the log.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use confab_log::ids::{ConversationId, TenantId, UserId};
use confab_proto::{messages, participants, realtime};

use crate::identity::Revocation;

/// One thing that has happened.
#[derive(Clone, Debug)]
pub enum Signal {
    /// An event stands in a conversation's log, its effects are applied.
    Event {
        /// Whose.
        tenant: TenantId,
        /// Which conversation.
        conversation: ConversationId,
        /// The event.
        event: Arc<messages::v1::Event>,
        /// How many participants there are; absent where that is not known.
        participants: Option<u32>,
    },
    /// A user's cursors in a conversation moved.
    Receipt {
        /// Whose.
        tenant: TenantId,
        /// Which conversation.
        conversation: ConversationId,
        /// The new cursors.
        receipt: messages::v1::Receipt,
        /// How many participants there are; absent where that is not known.
        participants: Option<u32>,
    },
    /// A user types in a conversation, or has stopped.
    Typing {
        /// Whose.
        tenant: TenantId,
        /// Which conversation.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether the user types now.
        started: bool,
        /// The user was a participant at this event of the log.
        as_of: u64,
    },
    /// How present a user is has changed.
    Presence {
        /// Whose.
        tenant: TenantId,
        /// How present who is, as those see it who may.
        presence: Arc<realtime::v1::Presence>,
    },
    /// Tokens of a user were revoked: durably, and known on this node.
    Revoked(Arc<Revocation>),
    /// A session was ended: durably.
    SessionEnded {
        /// Whose.
        tenant: TenantId,
        /// Which user.
        user: UserId,
        /// Which session.
        session_id: Arc<str>,
    },
    /// An event stands in a user's inbox.
    Inbox {
        /// Whose.
        tenant: TenantId,
        /// Which user.
        user: UserId,
        /// The event.
        event: Arc<participants::v1::InboxEvent>,
    },
}

/// A listener. It must return at once.
pub type Sink = Arc<dyn Fn(&Signal) + Send + Sync>;

/// Carries signals from who makes them to who listens.
#[derive(Clone, Default)]
pub struct Bus {
    sinks: Arc<RwLock<Vec<Sink>>>,
}

impl Bus {
    /// Tells every listener, in the order of the calls.
    pub fn publish(&self, signal: Signal) {
        let sinks = self.sinks.read().unwrap_or_else(PoisonError::into_inner);
        for sink in sinks.iter() {
            sink(&signal);
        }
        drop(sinks);
        drop(signal);
    }

    /// Adds a listener, for as long as the bus lives.
    pub fn attach(&self, sink: Sink) {
        self.sinks.write().unwrap_or_else(PoisonError::into_inner).push(sink);
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_listener_hears_in_order() {
        let bus = Bus::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        for listener in 0..2 {
            let heard = Arc::clone(&heard);
            bus.attach(Arc::new(move |signal| {
                if let Signal::Inbox { user, .. } = signal {
                    heard.lock().expect("lock").push((listener, user.to_string()));
                }
            }));
        }
        for name in ["alice", "bob"] {
            bus.publish(Signal::Inbox {
                tenant: TenantId::parse("t").expect("valid"),
                user: UserId::parse(name).expect("valid"),
                event: Arc::default(),
            });
        }
        let heard = heard.lock().expect("lock").clone();
        let expected = [(0, "alice"), (1, "alice"), (0, "bob"), (1, "bob")];
        assert_eq!(heard, expected.map(|(listener, name)| (listener, name.to_owned())));
    }
}
