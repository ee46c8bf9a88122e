//! The participant cache: who is in a conversation, remembered in this process and, with
//! a Redis, for all of them. It owns nothing: whatever it holds can be lost.
//!
//! **What it answers is never older than the look at the log that admitted the call.** A
//! list is labelled with the event that had changed the rows last *before* they were
//! read, and with the look at the log, *through* which that was found to be the last one.
//! It is good for a look at or below that; for a later one, when the store still says the
//! same event. So nothing depends on being told of changes: the bus frees memory early,
//! and the time after which a list is forgotten bounds what is kept of conversations
//! that nobody asks for.
//!
//! **It authorises nothing.** Only pages of participants and bans come from here, for
//! callers whom the log has admitted. What the log loads, blocks, and the memberships by
//! which other services know what a user may see, come from the store.

mod memory;
mod roster;

use std::{sync::Arc, time::Duration};

use confab_kit::{
    admission::View,
    bus::{Bus, Interest, Signal, Topic},
    shared_cache::SharedCache,
};
use confab_log::{ConversationId, Seq, TenantId, UserId, mutant, row::MemberRow};
use confab_store::StoreError;
use metrics::counter;

use crate::{domain::Filter, store::Store};

use memory::{Key, Memory};
use roster::{MAX_ROWS, Roster};

/// In front of all names in Redis; behind it are the tenant and the conversation.
const NAMES: &str = "roster/";

/// How much is remembered, and for how long.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Whether anything is, at the start.
    pub enabled: bool,
    /// Bytes in this process, at most.
    pub memory_bytes: usize,
    /// Conversations in this process, at most.
    pub conversations: usize,
    /// How long a list is kept, here and in Redis.
    pub time: Duration,
    /// For all processes.
    pub shared: Option<SharedCache>,
}

impl CacheOptions {
    /// Nothing is remembered, and nothing could be.
    pub fn off() -> Self {
        let (memory_bytes, conversations) = (0, 0);
        Self { enabled: false, memory_bytes, conversations, time: Duration::ZERO, shared: None }
    }
}

/// A part of a list, for a caller whom the log has admitted.
pub(crate) struct Page<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) conversation: &'a ConversationId,
    /// The look that admitted the call.
    pub(crate) view: &'a View,
    /// Only users above this one.
    pub(crate) after: Option<&'a UserId>,
    pub(crate) filter: Filter,
    /// At most so many.
    pub(crate) limit: usize,
}

/// What is to be forgotten.
#[derive(Debug)]
pub(crate) enum Forget {
    Conversation(TenantId, ConversationId),
    /// All conversations that the user is or was in.
    User(TenantId, UserId),
    Everything,
}

/// What was forgotten.
pub(crate) struct Forgotten {
    pub(crate) conversations: usize,
    /// Whether Redis has, too; so it has where there is none.
    pub(crate) shared: bool,
}

/// See the module.
pub(crate) struct Rosters<S> {
    store: Arc<S>,
    memory: Arc<Memory>,
    shared: Option<SharedCache>,
    time: Duration,
    bus: Bus,
    /// Changes that other processes have made are heard of while this lives.
    _told: Interest,
}

impl<S: Store> Rosters<S> {
    pub(crate) fn new(store: Arc<S>, options: CacheOptions, bus: &Bus) -> Self {
        let CacheOptions { enabled, memory_bytes, conversations, time, shared } = options;
        let memory = Arc::new(Memory::new(memory_bytes, conversations, time, enabled));
        let forgetting = Arc::clone(&memory);
        bus.attach(Arc::new(move |signal| hear(&forgetting, signal)));
        let told = bus.interest(|| Topic::Rosters);
        Self { store, memory, shared, time, bus: bus.clone(), _told: told }
    }

    /// A part of a list, as [`crate::MemberStore::roster`] would give it.
    pub(crate) async fn page(
        &self,
        page: &Page<'_>,
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        let Page { tenant, conversation, after, filter, limit, .. } = *page;
        match self.whole(page).await? {
            Some(roster) => Ok(roster.page(after, filter, limit)),
            None => self.store.roster(tenant, conversation, after, filter, limit).await,
        }
    }

    /// The whole list, unless it is too large to be remembered, or nothing is.
    async fn whole(&self, page: &Page<'_>) -> Result<Option<Arc<Roster>>, StoreError> {
        let through = page.view.as_of;
        let is_large = usize::try_from(page.view.participants).is_ok_and(|many| many > MAX_ROWS);
        if !self.memory.is_enabled() || is_large {
            return Ok(None);
        }
        let key = (page.tenant.clone(), page.conversation.clone());
        let known = match self.memory.get(&key) {
            Some(known) => match known.roster {
                Some(roster) if known.through >= through || is_trusted() => {
                    count("memory");
                    return Ok(Some(roster));
                }
                Some(roster) => Some(roster),
                None => return Ok(None),
            },
            None => None,
        };
        let Some(seq) = self.store.roster_seq(&key.0, &key.1).await? else {
            count("miss");
            return Ok(None);
        };
        if let Some(roster) = known.filter(|known| known.seq == seq) {
            self.memory.confirm(&key, &roster, through);
            count("memory");
            return Ok(Some(roster));
        }
        if let Some(roster) = self.shared_one(&key, seq).await {
            self.memory.put(key, Some(Arc::clone(&roster)), through);
            count("redis");
            return Ok(Some(roster));
        }
        count("miss");
        self.read(key, seq, through).await
    }

    /// The list that all processes share, if it is of this event.
    async fn shared_one(&self, key: &Key, seq: Seq) -> Option<Arc<Roster>> {
        let bytes = self.shared.as_ref()?.get(&name(key)).await?;
        let roster = Roster::decode(&bytes, key)?;
        (roster.seq == seq || is_trusted()).then(|| Arc::new(roster))
    }

    /// Reads the list, and remembers it as one of the event that was the last before.
    async fn read(
        &self,
        key: Key,
        seq: Seq,
        through: Seq,
    ) -> Result<Option<Arc<Roster>>, StoreError> {
        let most = MAX_ROWS + 1;
        let rows = self.store.roster(&key.0, &key.1, None, Filter::Listed, most).await?;
        if rows.len() == most {
            self.memory.put(key, None, through);
            return Ok(None);
        }
        let roster =
            Arc::new(Roster { tenant: key.0.clone(), conversation: key.1.clone(), seq, rows });
        if let Some(shared) = &self.shared {
            shared.put(name(&key), roster.encode(), self.time);
        }
        self.memory.put(key, Some(Arc::clone(&roster)), through);
        Ok(Some(roster))
    }

    /// Switches it on or off; whether it was on. Off, it holds nothing in this process.
    pub(crate) fn enable(&self, enabled: bool) -> bool {
        self.memory.enable(enabled)
    }

    /// Forgets, here and in Redis, and tells the other processes to.
    pub(crate) async fn forget(&self, what: Forget) -> Result<Forgotten, StoreError> {
        let keys: Vec<Key> = match what {
            Forget::Conversation(tenant, conversation) => vec![(tenant, conversation)],
            Forget::User(tenant, user) => {
                let memberships = self.store.memberships(&tenant, &user).await?;
                memberships.entries.into_iter().map(|(id, _)| (tenant.clone(), id)).collect()
            }
            Forget::Everything => {
                let shared = match &self.shared {
                    Some(shared) => shared.remove_all(NAMES).await,
                    None => true,
                };
                // Not before: a process that has forgotten takes what Redis has.
                self.bus.publish(Signal::RostersForgotten);
                return Ok(Forgotten { conversations: 0, shared });
            }
        };
        let shared = match &self.shared {
            Some(shared) => shared.remove(keys.iter().map(name).collect()).await,
            None => true,
        };
        let conversations = keys.len();
        for (tenant, conversation) in keys {
            self.bus.publish(Signal::RosterChanged { tenant, conversation });
        }
        Ok(Forgotten { conversations, shared })
    }
}

/// What is told of changes, here and at other processes, frees memory.
fn hear(memory: &Memory, signal: &Signal) {
    if mutant::is("cache-hears-nothing") {
        return;
    }
    match signal {
        Signal::RosterChanged { tenant, conversation } => {
            memory.forget(&(tenant.clone(), conversation.clone()));
        }
        Signal::RostersForgotten => memory.clear(),
        _ => {}
    }
}

/// No id holds a slash, so no two lists share a name.
fn name((tenant, conversation): &Key) -> String {
    format!("{NAMES}{tenant}/{conversation}")
}

fn count(outcome: &'static str) {
    counter!("confab_participant_cache_total", "outcome" => outcome).increment(1);
}

/// Whether a list is believed whatever its label says. Only in a mutant.
fn is_trusted() -> bool {
    mutant::is("cache-without-version")
}
