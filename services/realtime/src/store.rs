//! The ports to what this service keeps: sessions (what a device watched and
//! acknowledged, from one stream to the next), what was revoked, and when users were
//! last here. They hold cursors and names, never content. All of it is durable; who is
//! here now is not, and has a port of its own ([`Rooms`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use confab_kit::identity::Revocation;
use confab_log::{ConversationId, Micros, TenantId, UserId};
use futures_util::future::BoxFuture;

pub mod conformance;
#[cfg(feature = "cql")]
pub mod cql;
pub mod embedded;
#[cfg(feature = "redis")]
pub mod redis;
mod rooms;
mod value;

pub use confab_store::StoreError;
pub use embedded::{EmbeddedLastSeen, EmbeddedRevocations, EmbeddedSessions};
pub use rooms::{LIVES, Rooms, Said, Word};

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
    /// The login session of the token that was used last: its claim `session_id`.
    pub login: String,
    /// When it was made.
    pub created: Micros,
    /// What is watched, and how far each is acknowledged.
    pub watch: BTreeMap<ConversationId, u64>,
    /// How far the inbox is acknowledged.
    pub inbox_seq: u64,
    /// One more with each stream; only the newest may write.
    pub epoch: u64,
    /// The last write.
    pub last_seen: Micros,
}

impl SessionRecord {
    /// Raises the cursors of what is watched, and the inbox's. Whether any was lower.
    pub fn raise(&mut self, acknowledged: &Acknowledged) -> bool {
        let mut raised = false;
        let mut raise = |known: &mut u64, seq: u64| {
            raised |= seq > *known;
            *known = seq.max(*known);
        };
        for (conversation, seq) in &acknowledged.cursors {
            if let Some(known) = self.watch.get_mut(conversation) {
                raise(known, *seq);
            }
        }
        raise(&mut self.inbox_seq, acknowledged.inbox_seq.unwrap_or(0));
        raised
    }

    /// Becomes the newer one, and keeps what was acknowledged to others meanwhile: only
    /// the cursors that the client has set anew may be lower than they were.
    pub fn replace(&mut self, newer: &Self, set: &BTreeSet<ConversationId>) {
        let stored = std::mem::replace(self, newer.clone());
        self.inbox_seq = self.inbox_seq.max(stored.inbox_seq);
        for (conversation, seq) in stored.watch {
            if let Some(known) = self.watch.get_mut(&conversation)
                && !set.contains(&conversation)
            {
                *known = (*known).max(seq);
            }
        }
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is durable.
    Stored,
    /// A newer stream owns the session, or it is gone: nothing was written.
    Fenced,
}

/// What a client says it has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Of watched conversations.
    pub cursors: BTreeMap<ConversationId, u64>,
    /// Of the inbox.
    pub inbox_seq: Option<u64>,
}

/// Keeps sessions. All writes are durable when they return. A session that did
/// not live within [`SESSION_TTL`] of `now` is none.
pub trait SessionStore: Send + Sync + 'static {
    /// Writes a new session, whose id nobody has used.
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Raises the epoch and returns the record with it; `None`, and nothing
    /// changes, when there is no such session, or none of this device.
    fn take_over<'a>(
        &'a self,
        key: &'a SessionKey,
        device_id: &'a str,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>>;

    /// The session, if there is one.
    fn load<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Micros,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, StoreError>>;

    /// At most `limit` sessions of the user, in the order of their ids, above `after`.
    fn list<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        after: Option<&'a SessionId>,
        limit: usize,
        now: Micros,
    ) -> BoxFuture<'a, Result<Vec<(SessionId, SessionRecord)>, StoreError>>;

    /// Replaces the record if the stored epoch is the record's own. A
    /// stream saves one record at a time, so the last one saved is the newest.
    /// Cursors that stand higher stay, because any process may acknowledge; but for
    /// those that the client has `set` since the last save.
    fn save<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
        set: &'a BTreeSet<ConversationId>,
    ) -> BoxFuture<'a, Result<Saved, StoreError>>;

    /// Raises the cursors of what the session watches, and its inbox's; none is
    /// lowered and none is added. Without a session nothing changes.
    fn acknowledge<'a>(
        &'a self,
        key: &'a SessionKey,
        acknowledged: &'a Acknowledged,
        now: Micros,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes a session; says whether there was one.
    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Micros,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Removes the user's sessions, of one login or all of them; returns how many.
    fn remove_all<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        login: Option<&'a str>,
    ) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// Removes the sessions that are none any more; returns how many.
    fn sweep(&self, now: Micros) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// Keeps what was revoked. All writes are durable when they return.
pub trait RevocationStore: Send + Sync + 'static {
    /// Keeps one. Of two on the same tokens the longer one is kept; of two on a
    /// user's tokens by their time, the later one.
    fn keep<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreError>>;

    /// All of them.
    fn all(&self) -> BoxFuture<'_, Result<Vec<Revocation>, StoreError>>;

    /// Removes those whose `until` is at or before this second since
    /// 1970-01-01T00:00:00Z; returns how many.
    fn sweep(&self, now: i64) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// How present somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Has a stream.
    Online,
    /// Has a stream, and says to be away.
    Away,
    /// Has none.
    #[default]
    Offline,
}

/// What is known of how present a user is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// How.
    pub status: Status,
    /// What the user wrote beside it; empty of somebody offline.
    pub text: String,
    /// Of somebody offline the end of the last stream. 0: unknown.
    pub since: Micros,
}

/// Keeps when users were last here. May lag behind by minutes.
pub trait LastSeenStore: Send + Sync + 'static {
    /// The user was here then. Nothing is written where a time is known that is later,
    /// or at most `slack` microseconds before.
    fn note<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        time: Micros,
        slack: Micros,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The last time of each, in the order asked; 0 of who was never here.
    fn times<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Micros>, StoreError>>;
}

/// Whether a session that wrote last then is gone by now.
pub(crate) fn expired(last_seen: Micros, now: Micros) -> bool {
    let ttl = i64::try_from(SESSION_TTL.as_micros()).unwrap_or(i64::MAX);
    now.saturating_sub(last_seen) > ttl
}
