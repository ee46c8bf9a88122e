//! What becomes of each signal of the bus: into whose mailbox it goes.

use std::sync::{Arc, PoisonError};

use confab_kit::bus::Signal;
use confab_log::{ConversationId, TenantId, UserId, mutant};
use confab_proto::{
    messages::v1::{Event, Receipt},
    realtime::v1::{ReceiptMoved, Typing, connect_response::Frame},
};
use tokio::time::Instant;

use super::{Audience, Hub, Interest};
use crate::{
    convert,
    frame::{SharedEvent, SharedInbox, frame},
    mailbox::{Delivery, Mailbox, SharedReceipt, SharedTyping},
};

impl Hub {
    /// Hands a signal to whoever wants it. Never waits.
    pub(crate) fn dispatch(&self, signal: &Signal) {
        match signal {
            Signal::Event { tenant, conversation, event, participants } => {
                let large = self.is_large(*participants);
                self.dispatch_event(tenant, conversation, event, large);
            }
            Signal::Receipt { tenant, conversation, receipt, participants } => {
                if !self.is_large(*participants) {
                    self.dispatch_receipt(tenant, conversation, receipt);
                }
            }
            Signal::Inbox { tenant, user, event } => {
                let shared = Arc::new(SharedInbox::new(Arc::clone(event)));
                self.each_stream_of(tenant, user, |mailbox| {
                    mailbox.deliver(Delivery::Inbox(Arc::clone(&shared)));
                });
            }
            Signal::Typing { tenant, conversation, user, started, as_of } => {
                self.dispatch_typing(tenant, conversation, user, *started, *as_of);
            }
            Signal::Presence { tenant, presence } => {
                let Ok(user) = UserId::parse(&presence.user_id) else { return };
                let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner);
                let entry = watchers.get(&(tenant.clone(), user.clone()));
                for mailbox in entry.into_iter().flat_map(|entry| entry.streams.values()) {
                    mailbox.deliver(Delivery::Presence(user.clone(), Arc::clone(presence)));
                }
            }
            Signal::Revoked(revocation) => {
                self.each_stream_of(&revocation.tenant, &revocation.user, Mailbox::revoke);
            }
            Signal::Missed => {
                let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
                for mailbox in users.values().flat_map(|entry| entry.streams.values()) {
                    mailbox.miss();
                }
            }
            // Sessions are the claims' business, and nothing is remembered here.
            Signal::SessionEnded { .. }
            | Signal::SessionTaken { .. }
            | Signal::RosterChanged { .. }
            | Signal::RostersForgotten => {}
        }
    }

    /// Whether a conversation is so large that it is not told of everywhere.
    fn is_large(&self, participants: Option<u32>) -> bool {
        participants.is_some_and(|count| count > self.limits.live_head_participants)
    }

    fn each_stream_of(&self, tenant: &TenantId, user: &UserId, tell: impl Fn(&Mailbox)) {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let entry = users.get(&(tenant.clone(), user.clone()));
        for mailbox in entry.into_iter().flat_map(|entry| entry.streams.values()) {
            tell(mailbox);
        }
    }

    /// Whoever is interested in a conversation.
    fn with_audience(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        tell: impl FnOnce(&Audience),
    ) {
        let conversations = self.conversations.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = conversations.get(&(tenant.clone(), conversation.clone())) {
            tell(&entry.streams);
        }
    }

    fn dispatch_event(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        event: &Arc<Event>,
        large: bool,
    ) {
        self.with_audience(tenant, conversation, |audience| {
            let shared = Arc::new(SharedEvent::new(conversation.clone(), Arc::clone(event)));
            let (now, mut passed) = (Instant::now(), 0);
            for (interest, mailbox) in audience.values() {
                match interest {
                    Interest::Events(Some(lane))
                        if !mailbox.is_urgent() && lane.pass(&shared, now) =>
                    {
                        passed += 1;
                    }
                    Interest::Events(_) => mailbox.deliver(Delivery::Event(Arc::clone(&shared))),
                    Interest::Head if large && !mutant::is("heads-of-large") => {}
                    Interest::Head => mailbox.mark_moved(conversation),
                }
            }
            self.deliveries.increment(passed);
        });
    }

    fn dispatch_receipt(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        receipt: &Receipt,
    ) {
        self.with_audience(tenant, conversation, |audience| {
            let shared = SharedReceipt {
                conversation: conversation.clone(),
                reach: receipt.read_seq.max(receipt.delivered_seq),
                frame: frame(Frame::Receipt(ReceiptMoved {
                    conversation_id: conversation.as_str().to_owned(),
                    receipt: Some(receipt.clone()),
                })),
            };
            for mailbox in watchers(audience) {
                mailbox.deliver(Delivery::Receipt(shared.clone()));
            }
        });
    }

    fn dispatch_typing(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        user: &UserId,
        started: bool,
        as_of: u64,
    ) {
        self.with_audience(tenant, conversation, |audience| {
            let limit = usize::try_from(self.limits.typing_participants).unwrap_or(usize::MAX);
            if watchers(audience).nth(limit).is_some() {
                return;
            }
            let lasts = if started { self.limits.typing_lasts } else { std::time::Duration::ZERO };
            let shared = Arc::new(SharedTyping {
                conversation: conversation.clone(),
                user: user.clone(),
                reach: as_of,
                frame: frame(Frame::Typing(Typing {
                    conversation_id: conversation.as_str().to_owned(),
                    user_id: user.as_str().to_owned(),
                    lasts: Some(convert::duration(lasts)),
                })),
            });
            for mailbox in watchers(audience) {
                mailbox.deliver(Delivery::Typing(Arc::clone(&shared)));
            }
        });
    }
}

/// Those who watch the conversation.
fn watchers(audience: &Audience) -> impl Iterator<Item = &Mailbox> {
    let watching =
        audience.values().filter(|(interest, _)| matches!(interest, Interest::Events(_)));
    watching.map(|(_, mailbox)| &**mailbox)
}
