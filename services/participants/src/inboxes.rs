//! Writes to inboxes, and the way from them to the bus: what is durable is also
//! published, in the inbox's order, even if the caller goes away.

use std::sync::Arc;

use confab_kit::{
    bus::{Bus, Signal},
    clock, task,
};
use confab_log::{ConversationId, TenantId, UserId, inbox::Settings};
use metrics::counter;
use tokio::sync::oneshot;

use crate::{
    convert::rows::{self, ApplyMembers, RecordRead},
    domain::{InboxBody, InboxEvent, SettingsChanges},
    error::Error,
    order::InboxOrder,
    store::Store,
};

/// See the module. Clones share it.
pub(crate) struct Inboxes<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    store: Arc<S>,
    bus: Bus,
    order: InboxOrder,
}

impl<S> Clone for Inboxes<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Store> Inboxes<S> {
    pub(crate) fn new(store: Arc<S>, bus: Bus) -> Self {
        Self { shared: Arc::new(Shared { store, bus, order: InboxOrder::new() }) }
    }

    /// Applies an event's effects.
    pub(crate) async fn apply(&self, apply: ApplyMembers) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        finish("apply members", async move {
            let ApplyMembers { tenant, conversation, effects } = apply;
            let users = effects.inbox.iter().map(|effect| &effect.user);
            let _turn = shared.order.turn(&tenant, users).await;
            // Of a conversation that has just begun nobody remembers anything.
            let roster_changed = effects.seq > 1 && !effects.rows.is_empty();
            let taken = shared.store.apply(&tenant, &conversation, effects).await?;
            if roster_changed {
                let tenant = tenant.clone();
                shared.bus.publish(Signal::RosterChanged { tenant, conversation });
            }
            for (user, event) in &taken {
                shared.publish(&tenant, user, event);
            }
            Ok(())
        })
        .await
    }

    /// Notes that a user has read on.
    pub(crate) async fn record_read(&self, read: RecordRead) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        finish("record read", async move {
            let RecordRead { tenant, user, conversation, read_seq } = read;
            let _turn = shared.order.turn(&tenant, std::iter::once(&user)).await;
            let now = clock::now_micros();
            let store = &shared.store;
            let taken = store.record_read(&tenant, &user, &conversation, read_seq, now).await?;
            shared.publish_some(&tenant, &user, taken.as_ref());
            Ok(())
        })
        .await
    }

    /// Changes how a user has arranged a conversation.
    pub(crate) async fn arrange(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
        changes: SettingsChanges,
    ) -> Result<Option<Settings>, Error> {
        let shared = Arc::clone(&self.shared);
        finish("arrange", async move {
            let _turn = shared.order.turn(&tenant, std::iter::once(&user)).await;
            let now = clock::now_micros();
            let store = &shared.store;
            let arranged = store.arrange(&tenant, &user, &conversation, changes, now).await?;
            let Some((settings, taken)) = arranged else { return Ok(None) };
            shared.publish_some(&tenant, &user, taken.as_ref());
            Ok(Some(settings))
        })
        .await
    }

    /// Sets or lifts a block.
    pub(crate) async fn set_block(
        &self,
        tenant: TenantId,
        user: UserId,
        other: UserId,
        blocked: bool,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        finish("set block", async move {
            let _turn = shared.order.turn(&tenant, std::iter::once(&user)).await;
            let now = clock::now_micros();
            let taken = shared.store.set_block(&tenant, &user, &other, blocked, now).await?;
            shared.publish_some(&tenant, &user, taken.as_ref());
            Ok(())
        })
        .await
    }
}

impl<S> Shared<S> {
    fn publish_some(&self, tenant: &TenantId, user: &UserId, event: Option<&InboxEvent>) {
        if let Some(event) = event {
            self.publish(tenant, user, event);
        }
    }

    fn publish(&self, tenant: &TenantId, user: &UserId, event: &InboxEvent) {
        // Counted where the guard has passed: once per join, whatever is retried.
        match event.body {
            InboxBody::Joined { .. } => counter!("confab_participants_added_total").increment(1),
            InboxBody::Left { .. } => counter!("confab_participants_removed_total").increment(1),
            _ => {}
        }
        self.bus.publish(Signal::Inbox {
            tenant: tenant.clone(),
            user: user.clone(),
            event: Arc::new(rows::inbox_event_to_pb(event)),
        });
    }
}

/// Runs a write to its end even if the caller goes away.
async fn finish<R, F>(name: &'static str, write: F) -> Result<R, Error>
where
    R: Send + 'static,
    F: Future<Output = Result<R, Error>> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    task::spawn(name, async move {
        // A caller that went away does not want the answer.
        let _unwanted = sender.send(write.await);
    });
    receiver.await.unwrap_or(Err(Error::Contract("a write ended without an answer")))
}
