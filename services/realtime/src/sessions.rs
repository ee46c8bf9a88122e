//! What is done to sessions from outside of their streams: list, acknowledge, end,
//! revoke. Each write is durable before anybody hears of it; then this node's
//! streams are told over the bus, as other nodes' will be.

use std::{collections::BTreeMap, sync::Arc};

use confab_kit::{
    bus::Signal,
    clock,
    identity::{Caller, CallerKind, Revocation, RevokedTokens},
};
use confab_log::{ConversationId, TenantId, UserId, mutant};
use tokio::sync::oneshot;

use crate::{
    Shared,
    error::Error,
    mailbox::AckLetter,
    replay::Reads,
    store::{Acknowledged, SessionId, SessionKey, SessionRecord},
};

/// How often an acknowledgement looks for the stream that it is for, when streams
/// of the session follow each other.
const TRIES: usize = 3;

/// A session as it is listed.
pub(crate) struct Listed {
    pub(crate) id: SessionId,
    pub(crate) record: SessionRecord,
    pub(crate) connected: bool,
}

/// What is to end.
pub(crate) enum End {
    /// One session, and with `revoke` its login session.
    Session { id: SessionId, revoke: bool },
    /// The login session of the caller's own token.
    OwnLogin,
}

impl Shared {
    /// Whose sessions a request is about: the caller's, or those of whom a team's
    /// own backend or an administrator names.
    pub(crate) fn subject(caller: &Caller, named: Option<UserId>) -> Result<UserId, Error> {
        match (caller.kind, named) {
            (CallerKind::Application | CallerKind::TenantAdmin, Some(user)) => Ok(user),
            (CallerKind::Application | CallerKind::TenantAdmin, None) => {
                Err(confab_kit::Error::violation("user_id", "must be set").into())
            }
            (_, Some(user)) if user != caller.user => Err(Error::ForeignUser),
            _ => Ok(caller.user.clone()),
        }
    }

    /// At most `limit` sessions of a user above `after`.
    pub(crate) async fn list_sessions(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let sessions = self.sessions.list(tenant, user, after, limit, clock::now_micros()).await?;
        let listed = sessions.into_iter().map(|(id, record)| {
            let key = key_of(tenant, user, &id);
            Listed { connected: self.claims.live(&key).is_some(), id, record }
        });
        Ok(listed.collect())
    }

    /// Ends what the caller names, and returns when that is durable.
    pub(crate) async fn end_session(
        &self,
        caller: &Caller,
        user: &UserId,
        end: End,
    ) -> Result<(), Error> {
        let tenant = &caller.tenant;
        let (id, revoke) = match end {
            End::OwnLogin => return self.revoke_login(tenant, user, &caller.session_id).await,
            End::Session { id, revoke } => (id, revoke),
        };
        let key = key_of(tenant, user, &id);
        if revoke {
            let found = self.sessions.load(&key, clock::now_micros()).await?;
            // One of an older version, which did not keep the login, resumes first.
            let record = found.filter(|record| !record.login.is_empty());
            let record = record.ok_or(Error::SessionNotFound)?;
            return self.revoke_login(tenant, user, &record.login).await;
        }
        if !self.sessions.remove(&key, clock::now_micros()).await? {
            return Err(Error::SessionNotFound);
        }
        metrics::counter!("confab_sessions_ended_total", "how" => "ended").increment(1);
        self.bus.publish(Signal::SessionEnded {
            tenant: tenant.clone(),
            user: user.clone(),
            session_id: id.as_str().into(),
        });
        Ok(())
    }

    async fn revoke_login(
        &self,
        tenant: &TenantId,
        user: &UserId,
        login: &str,
    ) -> Result<(), Error> {
        self.revoke(tenant, user, RevokedTokens::OfSession(login.into())).await?;
        self.sessions.remove_all(tenant, user, Some(login)).await?;
        Ok(())
    }

    /// Revokes all tokens of a user that were issued up to now, and says up to which
    /// second.
    pub(crate) async fn revoke_user(&self, tenant: &TenantId, user: &UserId) -> Result<i64, Error> {
        let second = clock::now_seconds();
        self.revoke(tenant, user, RevokedTokens::IssuedThrough(second)).await?;
        self.sessions.remove_all(tenant, user, None).await?;
        Ok(second)
    }

    async fn revoke(
        &self,
        tenant: &TenantId,
        user: &UserId,
        tokens: RevokedTokens,
    ) -> Result<(), Error> {
        let until = self.revocations.keep_until(clock::now_seconds());
        let revocation = Revocation { tenant: tenant.clone(), user: user.clone(), tokens, until };
        if !mutant::is("revocation-not-kept") {
            self.revoked.keep(&revocation).await?;
        }
        self.revocations.note(&revocation);
        metrics::counter!("confab_sessions_ended_total", "how" => "revoked").increment(1);
        if !mutant::is("revocation-spares-streams") {
            self.bus.publish(Signal::Revoked(Arc::new(revocation)));
        }
        Ok(())
    }

    /// Takes what a client without a way up has stored: by the session's stream, or
    /// where it has none by the stored session, under the same rules.
    pub(crate) async fn acknowledge(
        self: &Arc<Self>,
        caller: &Caller,
        id: SessionId,
        acknowledged: Acknowledged,
    ) -> Result<(), Error> {
        let key = key_of(&caller.tenant, &caller.user, &id);
        for _ in 0..TRIES {
            let Some(live) = self.claims.live(&key) else {
                return self.acknowledge_stored(caller, &key, acknowledged).await;
            };
            if live.device_id != caller.device_id {
                return Err(Error::SessionNotFound);
            }
            let (reply, answer) = oneshot::channel();
            let letter = AckLetter { acknowledged: acknowledged.clone(), reply };
            live.mailbox.acknowledge(letter)?;
            if let Ok(outcome) = answer.await {
                outcome?;
                // The stream writes it later, and that must stay: a write of its own may be
                // under way that knows less. Who resumes at another process finds it now.
                return self.keep_acknowledged(&key, &acknowledged).await;
            }
            // It ended first; what comes next must find what it has written.
            live.ended().await;
        }
        Err(Error::Overloaded("streams of the session follow each other too fast"))
    }

    async fn acknowledge_stored(
        self: &Arc<Self>,
        caller: &Caller,
        key: &SessionKey,
        acknowledged: Acknowledged,
    ) -> Result<(), Error> {
        let found = self.sessions.load(key, clock::now_micros()).await?;
        let record = found.filter(|record| *record.device_id == *caller.device_id);
        let record = record.ok_or(Error::SessionNotFound)?;
        let unknown = acknowledged.cursors.keys().find(|id| !record.watch.contains_key(*id));
        if let Some(id) = unknown {
            return Err(Error::NotWatched(id.to_string()));
        }
        let raised = raised(&record.watch, &acknowledged.cursors);
        Reads::new(self, caller).exist(raised, acknowledged.inbox_seq).await?;
        self.keep_acknowledged(key, &acknowledged).await
    }

    async fn keep_acknowledged(
        &self,
        key: &SessionKey,
        acknowledged: &Acknowledged,
    ) -> Result<(), Error> {
        if mutant::is("acks-not-kept") {
            return Ok(());
        }
        Ok(self.sessions.acknowledge(key, acknowledged, clock::now_micros()).await?)
    }

    /// Reads what was revoked. Before anything is served.
    pub(crate) async fn load_revocations(&self) -> Result<(), Error> {
        for revocation in self.revoked.all().await? {
            self.revocations.note(&revocation);
        }
        Ok(())
    }
}

/// Those that are above what is known: only they need a look.
fn raised(
    known: &BTreeMap<ConversationId, u64>,
    cursors: &BTreeMap<ConversationId, u64>,
) -> Vec<(ConversationId, u64)> {
    let above = cursors.iter().filter(|(id, seq)| known.get(*id).is_none_or(|at| *seq > at));
    above.map(|(id, seq)| (id.clone(), *seq)).collect()
}

fn key_of(tenant: &TenantId, user: &UserId, session: &SessionId) -> SessionKey {
    SessionKey { tenant: tenant.clone(), user: user.clone(), session: session.clone() }
}
