//! What was revoked although its tokens verify: login sessions, and all tokens of
//! a user that were issued up to some second. Asked on every call, so it is in
//! memory; whoever revokes makes it durable first and notes it here. It decides
//! nothing about who may revoke what.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use confab_log::{
    ids::{TenantId, UserId},
    mutant,
};

use super::Caller;
use crate::error::{Error, Reason};

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose user.
    pub tenant: TenantId,
    /// Whose tokens.
    pub user: UserId,
    /// Which of them.
    pub tokens: RevokedTokens,
    /// When none of them can be good any more, in seconds since
    /// 1970-01-01T00:00:00Z: the revocation may be forgotten then.
    pub until: i64,
}

/// Which tokens of a user are revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RevokedTokens {
    /// Those whose claim `session_id` is this.
    OfSession(Arc<str>),
    /// Those issued at or before this second since 1970-01-01T00:00:00Z.
    IssuedThrough(i64),
}

/// Everything that is revoked, as far as this node knows; cheap to clone.
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
}

struct Shared {
    max_token_seconds: i64,
    leeway_seconds: i64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    users: HashMap<TenantId, HashMap<UserId, OfUser>>,
    /// How many are in `users`.
    count: usize,
}

/// Of one user; each with the time when it may be forgotten.
#[derive(Default)]
struct OfUser {
    sessions: HashMap<Arc<str>, i64>,
    issued_through: Option<(i64, i64)>,
}

impl Revocations {
    /// Nothing is revoked yet. Tokens live for `max_token_seconds` at most: a
    /// longer one could outlive its revocation, so it is refused.
    pub fn new(max_token_seconds: u64, leeway_seconds: u64) -> Self {
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let shared = Shared {
            max_token_seconds: seconds(max_token_seconds),
            leeway_seconds: seconds(leeway_seconds),
            known: RwLock::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// When every token that is good now has ended, in seconds since
    /// 1970-01-01T00:00:00Z: how long what is revoked now must be kept.
    pub fn keep_until(&self, now: i64) -> i64 {
        // Issued up to a leeway from now, and good for a leeway after its end.
        let leeways = self.shared.leeway_seconds.saturating_mul(2);
        now.saturating_add(self.shared.max_token_seconds).saturating_add(leeways)
    }

    /// From now on these tokens are refused on this node. Noting one twice, or a
    /// weaker one, changes nothing.
    pub fn note(&self, revocation: &Revocation) {
        let mut known = self.shared.known.write().unwrap_or_else(PoisonError::into_inner);
        let tenant = known.users.entry(revocation.tenant.clone()).or_default();
        let of_user = tenant.entry(revocation.user.clone()).or_default();
        let before = of_user.count();
        match &revocation.tokens {
            RevokedTokens::OfSession(session) => {
                let until = of_user.sessions.entry(Arc::clone(session)).or_default();
                *until = revocation.until.max(*until);
            }
            RevokedTokens::IssuedThrough(second) => {
                let new = (*second, revocation.until);
                of_user.issued_through = of_user.issued_through.max(Some(new));
            }
        }
        known.count += of_user.count() - before;
        known.show();
    }

    /// Whether the token may pass.
    ///
    /// # Errors
    /// `SESSION_REVOKED`; `INVALID_TOKEN` when the token lives longer than any may.
    pub fn check(&self, caller: &Caller) -> Result<(), Error> {
        if caller.expires_at.saturating_sub(caller.issued_at) > self.shared.max_token_seconds {
            return Err(Error::new(Reason::InvalidToken, "the token lives longer than it may")
                .with("max_token_seconds", self.shared.max_token_seconds));
        }
        if self.holds(caller) && !mutant::is("revocation-not-checked") {
            let message = "the login that this token belongs to was ended";
            return Err(Error::new(Reason::SessionRevoked, message));
        }
        Ok(())
    }

    fn holds(&self, caller: &Caller) -> bool {
        let known = self.shared.known.read().unwrap_or_else(PoisonError::into_inner);
        let tenant = known.users.get(&caller.tenant);
        let Some(of_user) = tenant.and_then(|users| users.get(&caller.user)) else {
            return false;
        };
        let early = |(second, _): (i64, i64)| caller.issued_at <= second;
        of_user.issued_through.is_some_and(early)
            || of_user.sessions.contains_key(&caller.session_id)
    }

    /// Forgets what concerns only tokens that have ended by this second.
    pub fn forget_ended(&self, now: i64) {
        let mut known = self.shared.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        known.users.retain(|_, tenant| {
            tenant.retain(|_, of_user| {
                of_user.sessions.retain(|_, until| *until > now);
                of_user.issued_through = of_user.issued_through.filter(|(_, until)| *until > now);
                count += of_user.count();
                of_user.count() > 0
            });
            !tenant.is_empty()
        });
        known.count = count;
        known.show();
    }
}

impl OfUser {
    fn count(&self) -> usize {
        self.sessions.len() + usize::from(self.issued_through.is_some())
    }
}

impl Known {
    #[expect(clippy::cast_precision_loss, reason = "a metric; exact to 2^52")]
    fn show(&self) {
        metrics::gauge!("confab_revocations").set(self.count as f64);
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("max_token_seconds", &self.shared.max_token_seconds)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
