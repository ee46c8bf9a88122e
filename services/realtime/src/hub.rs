//! The node's registry: which streams want what of the bus. It hands on what
//! the bus brings and never waits, reads or decides; a stream that vanishes
//! takes its entries with it.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use confab_kit::bus::Signal;
use confab_log::{ConversationId, TenantId, UserId};
use confab_proto::{
    messages::v1::{Event, Receipt},
    realtime::v1::{ReceiptMoved, connect_response::Frame},
};

use crate::{
    frame::{SharedEvent, SharedInbox, frame},
    mailbox::{Delivery, Mailbox, SharedReceipt},
};

/// What a stream wants of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Each event.
    Events,
    /// That it moved.
    Head,
}

type StreamId = u64;
type Devices = HashMap<StreamId, Arc<Mailbox>>;
type Audience = HashMap<StreamId, (Interest, Arc<Mailbox>)>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    conversations: RwLock<HashMap<(TenantId, ConversationId), Audience>>,
    users: RwLock<HashMap<(TenantId, UserId), Devices>>,
    next_stream: AtomicU64,
}

/// One stream's entries; dropping it removes them all.
#[derive(Debug)]
pub(crate) struct Registration {
    hub: Arc<Hub>,
    stream: StreamId,
    tenant: TenantId,
    user: UserId,
    interests: HashMap<ConversationId, Interest>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Hub {
    /// Registers a stream for its user's inbox.
    pub(crate) fn register(self: &Arc<Self>, tenant: &TenantId, user: &UserId) -> Registration {
        let stream = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::default());
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let devices = users.entry((tenant.clone(), user.clone())).or_default();
        devices.insert(stream, Arc::clone(&mailbox));
        drop(users);
        Registration {
            hub: Arc::clone(self),
            stream,
            tenant: tenant.clone(),
            user: user.clone(),
            interests: HashMap::new(),
            mailbox,
        }
    }

    /// Hands a signal to whoever wants it. Never waits.
    pub(crate) fn dispatch(&self, signal: &Signal) {
        match signal {
            Signal::Event { tenant, conversation, event } => {
                self.dispatch_event(tenant, conversation, event);
            }
            Signal::Receipt { tenant, conversation, receipt } => {
                self.dispatch_receipt(tenant, conversation, receipt);
            }
            Signal::Inbox { tenant, user, event } => {
                let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
                let Some(devices) = users.get(&(tenant.clone(), user.clone())) else {
                    return;
                };
                let shared = Arc::new(SharedInbox::new(Arc::clone(event)));
                for mailbox in devices.values() {
                    mailbox.deliver(Delivery::Inbox(Arc::clone(&shared)));
                }
            }
        }
    }

    fn dispatch_event(&self, tenant: &TenantId, conversation: &ConversationId, event: &Arc<Event>) {
        let conversations = self.conversations.read().unwrap_or_else(PoisonError::into_inner);
        let Some(audience) = conversations.get(&(tenant.clone(), conversation.clone())) else {
            return;
        };
        let shared = Arc::new(SharedEvent::new(conversation.clone(), Arc::clone(event)));
        for (interest, mailbox) in audience.values() {
            match interest {
                Interest::Events => mailbox.deliver(Delivery::Event(Arc::clone(&shared))),
                Interest::Head => mailbox.mark_moved(conversation),
            }
        }
    }

    fn dispatch_receipt(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        receipt: &Receipt,
    ) {
        let conversations = self.conversations.read().unwrap_or_else(PoisonError::into_inner);
        let Some(audience) = conversations.get(&(tenant.clone(), conversation.clone())) else {
            return;
        };
        let shared = SharedReceipt {
            conversation: conversation.clone(),
            reach: receipt.read_seq.max(receipt.delivered_seq),
            frame: frame(Frame::Receipt(ReceiptMoved {
                conversation_id: conversation.as_str().to_owned(),
                receipt: Some(receipt.clone()),
            })),
        };
        for (interest, mailbox) in audience.values() {
            if *interest == Interest::Events {
                mailbox.deliver(Delivery::Receipt(shared.clone()));
            }
        }
    }
}

impl Registration {
    /// Sets what the stream wants of a conversation.
    pub(crate) fn set(&mut self, conversation: &ConversationId, interest: Interest) {
        self.set_all([conversation], interest);
    }

    /// Sets what the stream wants of many.
    pub(crate) fn set_all<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a ConversationId>,
        interest: Interest,
    ) {
        let mut conversations =
            self.hub.conversations.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if self.interests.insert(id.clone(), interest) == Some(interest) {
                continue;
            }
            let audience = conversations.entry((self.tenant.clone(), id.clone())).or_default();
            audience.insert(self.stream, (interest, Arc::clone(&self.mailbox)));
        }
    }

    /// The stream wants nothing more of a conversation.
    pub(crate) fn remove(&mut self, conversation: &ConversationId) {
        if self.interests.remove(conversation).is_some() {
            self.remove_from_hub(std::slice::from_ref(conversation));
        }
    }

    fn remove_from_hub(&self, ids: &[ConversationId]) {
        let mut conversations =
            self.hub.conversations.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            let key = (self.tenant.clone(), id.clone());
            let Some(audience) = conversations.get_mut(&key) else {
                continue;
            };
            audience.remove(&self.stream);
            if audience.is_empty() {
                conversations.remove(&key);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let ids: Vec<ConversationId> = self.interests.keys().cloned().collect();
        self.remove_from_hub(&ids);
        let mut users = self.hub.users.write().unwrap_or_else(PoisonError::into_inner);
        let key = (self.tenant.clone(), self.user.clone());
        if let Some(devices) = users.get_mut(&key) {
            devices.remove(&self.stream);
            if devices.is_empty() {
                users.remove(&key);
            }
        }
    }
}
