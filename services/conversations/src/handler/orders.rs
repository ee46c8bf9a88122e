//! When the conversations of users moved, kept for a second: pages of one list,
//! and lists that many devices ask for at once, cost one look at all heads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use confab_kit::identity::Caller;
use confab_log::{ConversationId, Micros, TenantId, UserId};
use tokio::time::Instant;

/// How old an order may be.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Users whose orders are kept; when there are more, old ones are forgotten.
const MAX_USERS: usize = 1024;

type Shared = Arc<tokio::sync::Mutex<Order>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<HashMap<(TenantId, UserId), Shared>>);

/// When one user's conversations moved, as far as anybody has asked.
#[derive(Debug)]
pub(crate) struct Order {
    begun: Instant,
    activity: HashMap<ConversationId, Micros>,
}

impl Orders {
    /// The caller's order. Whoever holds its lock may look at heads for it.
    pub(crate) fn of(&self, caller: &Caller) -> Shared {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.len() >= MAX_USERS {
            // One that is locked is in use.
            orders.retain(|_, order| order.try_lock().map_or(true, |order| order.is_young()));
        }
        let key = (caller.tenant.clone(), caller.user.clone());
        Arc::clone(orders.entry(key).or_default())
    }
}

impl Default for Order {
    fn default() -> Self {
        Self { begun: Instant::now(), activity: HashMap::new() }
    }
}

impl Order {
    fn is_young(&self) -> bool {
        self.begun.elapsed() < MAX_AGE
    }

    /// What is known and young enough; the caller adds what it finds out.
    pub(crate) fn young(&mut self) -> &mut HashMap<ConversationId, Micros> {
        if !self.is_young() {
            *self = Self::default();
        }
        &mut self.activity
    }
}
