//! The bus: what has happened, told to whoever listens in this process, and to the
//! carriers that take it to others. Lossy by contract and never waits: a listener
//! that misses a signal finds the hole by its sequence number and reads the log.
//!
//! Two carriers are here. Other processes listen to this one over the mesh
//! ([`BusServer`]). With a [`Broker`], each process hears over it what is told of the
//! [`Topic`]s that its streams need ([`Bus::interest`]), and over the mesh only what
//! is revoked.

mod broker;
mod carrier;
mod interest;
mod service;
mod topic;
pub(crate) mod wire;

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use confab_log::ids::{ConversationId, TenantId, UserId};
use confab_proto::{messages, participants, realtime};

use crate::{identity::Revocation, lifecycle::Lifecycle, task};

pub use broker::{Broker, BrokerError, Heard, Line};
pub use carrier::BrokerHealth;
pub use interest::Interest;
pub use service::BusServer;
pub use topic::Topic;

use carrier::Carrier;
use interest::Interests;

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
    /// A newer stream has taken a session over: durably.
    SessionTaken {
        /// Whose.
        tenant: TenantId,
        /// Which user.
        user: UserId,
        /// Which session.
        session_id: Arc<str>,
        /// The newer stream's: those of lower ones are over.
        epoch: u64,
    },
    /// Some signals of other processes may have been lost: whoever needs them reads
    /// what they would have told. Of this process only.
    Missed,
    /// Who is in a conversation, or with what rights, has changed: what is remembered of
    /// it is of no use.
    RosterChanged {
        /// Whose.
        tenant: TenantId,
        /// Which conversation.
        conversation: ConversationId,
    },
    /// Whatever is remembered of who is in conversations is to be forgotten.
    RostersForgotten,
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
    sinks: Sinks,
    carriers: Sinks,
    /// What this process needs of the broker, if there is one.
    interests: Arc<OnceLock<Arc<Interests>>>,
}

type Sinks = Arc<RwLock<Vec<Sink>>>;

impl Bus {
    /// Tells every listener, in the order of the calls, and those of other processes.
    pub fn publish(&self, signal: Signal) {
        tell(&self.sinks, &signal);
        tell(&self.carriers, &signal);
        drop(signal);
    }

    /// Tells the listeners of this process what another one has published.
    pub fn deliver(&self, signal: &Signal) {
        tell(&self.sinks, signal);
    }

    /// Adds a listener, for as long as the bus lives.
    pub fn attach(&self, sink: Sink) {
        self.sinks.write().unwrap_or_else(PoisonError::into_inner).push(sink);
    }

    /// Adds a way to other processes: it is told what is published here, and nothing
    /// that is delivered.
    pub fn attach_carrier(&self, carrier: Sink) {
        self.carriers.write().unwrap_or_else(PoisonError::into_inner).push(carrier);
    }

    /// Carries signals over a broker until the process ends. Once, and before anybody
    /// listens.
    pub fn attach_broker(&self, broker: Arc<dyn Broker>, lifecycle: Lifecycle) -> BrokerHealth {
        let interests = Arc::clone(self.interests.get_or_init(Arc::default));
        let carrier = Carrier::new(self, interests, broker);
        let health = carrier.health();
        task::spawn("broker", async move {
            tokio::select! {
                () = carrier.run() => {}
                () = lifecycle.stopped() => {}
            }
        });
        health
    }

    /// Whoever holds this needs what other processes tell of the topic.
    pub fn interest(&self, topic: impl FnOnce() -> Topic) -> Interest {
        self.interests.get().map_or_else(Interest::default, |interests| interests.need(topic()))
    }

    /// Resolves when what is told from now on of all topics that are needed by now
    /// arrives here, or, where the broker is away, at once: then [`Signal::Missed`]
    /// comes when it is back. Whoever reads after that misses nothing.
    pub fn settled(&self) -> impl Future<Output = ()> + Send + use<> {
        let settled = self.interests.get().map(|interests| interests.settled());
        async move {
            if let Some(settled) = settled {
                settled.await;
            }
        }
    }
}

fn tell(sinks: &Sinks, signal: &Signal) {
    let sinks = sinks.read().unwrap_or_else(PoisonError::into_inner);
    for sink in sinks.iter() {
        sink(signal);
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
