//! The node's registry: which streams want what of the bus. It hands on what
//! the bus brings and never waits, reads or decides; a stream that vanishes
//! takes its entries with it.

mod dispatch;

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use confab_kit::bus::{self, Bus, Topic};
use confab_log::{ConversationId, TenantId, UserId};

use crate::{Limits, lane::Lane, mailbox::Mailbox};

/// What a stream wants of a conversation.
#[derive(Clone, Debug)]
pub(crate) enum Interest {
    /// Each event: by the lane once there is one, where it is open.
    Events(Option<Arc<Lane>>),
    /// That it moved.
    Head,
}

type StreamId = u64;
type Audience = HashMap<StreamId, (Interest, Arc<Mailbox>)>;
type Registry<K, V> = RwLock<HashMap<(TenantId, K), Entry<V>>>;

/// The streams that want something, and what that is worth to the bus: what other
/// processes tell of it.
#[derive(Debug)]
struct Entry<V> {
    streams: HashMap<StreamId, V>,
    /// Held as long as there are any.
    _interest: bus::Interest,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    conversations: Registry<ConversationId, (Interest, Arc<Mailbox>)>,
    /// Each user's streams.
    users: Registry<UserId, Arc<Mailbox>>,
    /// Who watches a user's presence.
    watchers: Registry<UserId, Arc<Mailbox>>,
    bus: Bus,
    next_stream: AtomicU64,
    limits: Limits,
    /// Events put on streams as they happen.
    deliveries: metrics::Counter,
}

/// One stream's entries; dropping it removes them all.
#[derive(Debug)]
pub(crate) struct Registration {
    hub: Arc<Hub>,
    stream: StreamId,
    tenant: TenantId,
    user: UserId,
    conversations: HashSet<ConversationId>,
    presences: HashSet<UserId>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Hub {
    pub(crate) fn new(limits: &Limits, bus: Bus, deliveries: metrics::Counter) -> Self {
        Self {
            conversations: RwLock::default(),
            users: RwLock::default(),
            watchers: RwLock::default(),
            bus,
            next_stream: AtomicU64::default(),
            limits: limits.clone(),
            deliveries,
        }
    }

    /// Registers a stream for its user's inbox.
    pub(crate) fn register(self: &Arc<Self>, tenant: &TenantId, user: &UserId) -> Registration {
        let stream = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::default());
        self.enter_user(&self.users, tenant, user, stream, &mailbox);
        Registration {
            hub: Arc::clone(self),
            stream,
            tenant: tenant.clone(),
            user: user.clone(),
            conversations: HashSet::new(),
            presences: HashSet::new(),
            mailbox,
        }
    }

    /// Puts a stream among those that want something of a user.
    fn enter_user(
        &self,
        registry: &Registry<UserId, Arc<Mailbox>>,
        tenant: &TenantId,
        user: &UserId,
        stream: StreamId,
        mailbox: &Arc<Mailbox>,
    ) {
        let mut entries = registry.write().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), user.clone());
        let topic = || Topic::User(tenant.clone(), user.clone());
        let entry = entries.entry(key).or_insert_with(|| Entry::new(self.bus.interest(topic)));
        entry.streams.insert(stream, Arc::clone(mailbox));
    }
}

impl<V> Entry<V> {
    fn new(interest: bus::Interest) -> Self {
        Self { streams: HashMap::new(), _interest: interest }
    }
}

impl Registration {
    /// Sets what the stream wants of a conversation.
    pub(crate) fn set(&mut self, conversation: &ConversationId, interest: &Interest) {
        self.set_all([conversation], interest);
    }

    /// Sets what the stream wants of many.
    pub(crate) fn set_all<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a ConversationId>,
        interest: &Interest,
    ) {
        let mut conversations =
            self.hub.conversations.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            self.conversations.insert(id.clone());
            let topic = || Topic::Conversation(self.tenant.clone(), id.clone());
            let entry = conversations.entry((self.tenant.clone(), id.clone()));
            let entry = entry.or_insert_with(|| Entry::new(self.hub.bus.interest(topic)));
            entry.streams.insert(self.stream, (interest.clone(), Arc::clone(&self.mailbox)));
        }
    }

    /// The stream wants nothing more of a conversation.
    pub(crate) fn remove(&mut self, conversation: &ConversationId) {
        if self.conversations.remove(conversation) {
            self.leave(&self.hub.conversations, [conversation]);
        }
    }

    /// The stream wants to hear how present a user is.
    pub(crate) fn watch_presence(&mut self, user: &UserId) {
        if !self.presences.insert(user.clone()) {
            return;
        }
        let hub = &self.hub;
        hub.enter_user(&hub.watchers, &self.tenant, user, self.stream, &self.mailbox);
    }

    /// The stream wants to hear no more of that.
    pub(crate) fn unwatch_presence(&mut self, user: &UserId) {
        if self.presences.remove(user) {
            self.leave(&self.hub.watchers, [user]);
        }
    }

    /// Takes the stream out of these entries, and out go those that it leaves empty.
    fn leave<'a, K: Hash + Eq + Clone + 'a, V>(
        &self,
        registry: &Registry<K, V>,
        keys: impl IntoIterator<Item = &'a K>,
    ) {
        let mut entries = registry.write().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let key = (self.tenant.clone(), key.clone());
            let Some(entry) = entries.get_mut(&key) else {
                continue;
            };
            entry.streams.remove(&self.stream);
            if entry.streams.is_empty() {
                entries.remove(&key);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.mailbox.close();
        self.leave(&self.hub.conversations, &self.conversations);
        self.leave(&self.hub.watchers, &self.presences);
        self.leave(&self.hub.users, [&self.user]);
    }
}
