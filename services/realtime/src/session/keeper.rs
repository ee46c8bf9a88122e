//! Keeps the session's record: what is acknowledged is written at most once
//! in a while, what is watched at once, and what is left at the stream's end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use confab_kit::{clock, random};
use confab_log::ConversationId;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};

use crate::{
    Limits,
    claims::Claim,
    error::{Error, tell},
    store::{Acknowledged, Saved, SessionKey, SessionRecord, SessionStore, StoreError},
};

/// How long the last write of a stream may take.
const LAST_SAVE: Duration = Duration::from_secs(3);
/// A sign of life is written this often, so that no live session expires.
const TOUCH_INTERVAL: Duration = Duration::from_hours(1);
/// About when a doubt is settled; not that of all streams at once.
const DOUBT: Duration = Duration::from_secs(20);
/// At a stream's end it is written when the last one is older than this.
const LAST_TOUCH: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) key: SessionKey,
    pub(super) record: SessionRecord,
    /// Held until nothing more will be written.
    pub(super) claim: Option<Claim>,
    interval: Duration,
    /// When to write what has changed, or a sign of life.
    due: Instant,
    changed: bool,
    /// Watched since the last save, at cursors that may be lower than stored ones.
    set: BTreeSet<ConversationId>,
    /// The same, of the save under way.
    saving_set: BTreeSet<ConversationId>,
    saving: bool,
    saved_at: Instant,
}

impl Keeper {
    pub(super) fn new(key: SessionKey, record: SessionRecord, limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            key,
            record,
            claim: None,
            interval: limits.save_interval,
            due: now + TOUCH_INTERVAL,
            changed: false,
            set: BTreeSet::new(),
            saving_set: BTreeSet::new(),
            saving: false,
            saved_at: now,
        }
    }

    /// What the session watches has changed.
    pub(super) fn watch(&mut self, conversation: &ConversationId, seq: u64) {
        self.record.watch.insert(conversation.clone(), seq);
        self.set.insert(conversation.clone());
        self.change(Instant::now());
    }

    /// The session watches this no longer.
    pub(super) fn unwatch(&mut self, conversation: &ConversationId) {
        if self.record.watch.remove(conversation).is_some() {
            self.change(Instant::now());
        }
    }

    /// The client has stored this much.
    pub(super) fn acknowledge(&mut self, acknowledged: &Acknowledged) {
        if self.record.raise(acknowledged) {
            self.change(self.saved_at + self.interval);
        }
    }

    /// A newer stream may have taken the session over unheard. The next write tells.
    pub(super) fn doubt(&mut self) {
        self.change(Instant::now() + random::jitter(DOUBT));
    }

    /// The stream goes on under a token of this login session.
    pub(super) fn log_in(&mut self, login: &str) {
        if self.record.login != login {
            login.clone_into(&mut self.record.login);
            self.change(Instant::now());
        }
    }

    fn change(&mut self, due: Instant) {
        self.due = if self.changed { self.due.min(due) } else { due };
        self.changed = true;
    }

    /// When the next write is due; `None` while one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.saving).then_some(self.due)
    }

    /// The write that is due.
    pub(super) fn save(
        &mut self,
        store: Arc<dyn SessionStore>,
    ) -> BoxFuture<'static, Result<Saved, StoreError>> {
        let now = Instant::now();
        self.saving = true;
        self.changed = false;
        self.saved_at = now;
        self.due = now + TOUCH_INTERVAL;
        self.record.last_seen = clock::now_micros();
        self.saving_set = std::mem::take(&mut self.set);
        let (key, record, set) = (self.key.clone(), self.record.clone(), self.saving_set.clone());
        Box::pin(async move { store.save(&key, &record, &set).await })
    }

    /// The write has ended.
    pub(super) fn saved(&mut self, outcome: Result<Saved, StoreError>) -> Result<(), Error> {
        self.saving = false;
        match outcome {
            Ok(Saved::Stored) => Ok(()),
            Ok(Saved::Fenced) => Err(Error::SessionFenced),
            Err(error) => {
                // The cursors are the client's to lose: it gets some events twice.
                tell(&error, "session not saved");
                self.set.append(&mut self.saving_set);
                self.change(Instant::now() + self.interval);
                Ok(())
            }
        }
    }

    /// Writes what is not written yet, at the stream's end.
    pub(super) async fn finish(mut self, store: &dyn SessionStore) {
        if !self.changed && !self.saving && self.saved_at.elapsed() < LAST_TOUCH {
            return;
        }
        self.record.last_seen = clock::now_micros();
        if self.saving {
            self.set.append(&mut self.saving_set);
        }
        match timeout(LAST_SAVE, store.save(&self.key, &self.record, &self.set)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tell(&error, "session not saved"),
            Err(_) => tracing::warn!("session not saved in time"),
        }
    }
}
