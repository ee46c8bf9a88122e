//! The port to the sessions: what a device watched and acknowledged, kept
//! from one stream to the next. It holds cursors, never content.

use std::{collections::BTreeMap, time::Duration};

use confab_log::{ConversationId, Micros, TenantId, UserId};
use futures_util::future::BoxFuture;

pub mod conformance;
pub mod embedded;

pub use confab_store::StoreError;
pub use embedded::EmbeddedSessions;

/// How long a session outlives its last sign of life. A live stream gives one
/// at least every hour, so that none is lost within 24 h of a stream's end.
pub const SESSION_TTL: Duration = Duration::from_hours(25);

/// Names a session. It belongs to one user; another cannot name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// Whose user.
    pub tenant: TenantId,
    /// Whose session.
    pub user: UserId,
    /// The id from the welcome.
    pub session: SessionId,
}

/// The id of a session, as a welcome gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// A new one.
    pub fn random() -> Self {
        Self(confab_kit::random::uuid())
    }

    /// One that a client brings; `None` when no welcome can have given it.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        valid.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The device that its first stream was opened by.
    pub device_id: String,
    /// What is watched, and how far each is acknowledged.
    pub watch: BTreeMap<ConversationId, u64>,
    /// How far the inbox is acknowledged.
    pub inbox_seq: u64,
    /// One more with each stream; only the newest may write.
    pub epoch: u64,
    /// The last write.
    pub last_seen: Micros,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is durable.
    Stored,
    /// A newer stream owns the session, or it is gone: nothing was written.
    Fenced,
}

/// Keeps sessions. All writes are durable when they return.
pub trait SessionStore: Send + Sync + 'static {
    /// Writes a new session, whose id nobody has used.
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Raises the epoch and returns the record with it; `None`, and nothing
    /// changes, when there is no such session, none that lived within
    /// [`SESSION_TTL`] of `now`, or none of this device.
    fn take_over<'a>(
        &'a self,
        key: &'a SessionKey,
        device_id: &'a str,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>>;

    /// Replaces the record if the stored epoch is the record's own. A
    /// stream saves one record at a time, so the last one saved is the newest.
    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Saved, StoreError>>;

    /// Removes the sessions that did not live within [`SESSION_TTL`] of `now`;
    /// returns how many.
    fn sweep(&self, now: Micros) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// Whether a session that wrote last then is gone by now.
pub(crate) fn expired(last_seen: Micros, now: Micros) -> bool {
    let ttl = i64::try_from(SESSION_TTL.as_micros()).unwrap_or(i64::MAX);
    now.saturating_sub(last_seen) > ttl
}
