//! What the messages service does: commands go to the log, reads look at its
//! head first and show nothing that the reader may not see. No Protobuf here.

mod ahead;
mod flights;
mod heads;
mod listing;
mod lists;
mod pages;
mod reads;
mod sight;

use confab_kit::{
    admission::Admitted,
    bus::Bus,
    clock,
    identity::{Caller, CallerKind},
    page_token::Sealer,
};
use confab_log::{
    Command, ConversationId, Event, Refusal, Request, RequestId, Row, RowKey, Seq, TenantId,
    UserId,
    command::Authority,
    decide::may_write,
    event::Role,
    row::{ConversationRow, MemberRow},
};
use tokio::time::Instant;

pub(crate) use ahead::Ahead;
pub(crate) use heads::{Head, HeadQuery};
pub(crate) use listing::Listing;
pub(crate) use pages::Pages;
pub(crate) use reads::Messages;
pub(crate) use sight::{Sight, Span};

use crate::{
    convert::rules::Replace,
    error::Error,
    logs::{Committed, Logs},
    rules::RulesCache,
    stage::{self, Stage},
    store::{LogKey, LogStore, Replaced, RuleStore, StoredRules},
    transform::transform,
};

/// A command of the mesh, validated.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) key: LogKey,
    pub(crate) actor: UserId,
    pub(crate) request_id: RequestId,
    pub(crate) after_seq: Option<Seq>,
    pub(crate) authority: Authority,
    pub(crate) veto: Option<Refusal>,
    pub(crate) command: Command,
}

/// A user's command on a conversation, validated.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) conversation: ConversationId,
    pub(crate) request_id: RequestId,
    pub(crate) after_seq: Option<Seq>,
    pub(crate) command: Command,
}

/// A cursor to move, validated.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) conversation: ConversationId,
    pub(crate) seq: Seq,
}

/// A page to read, validated except for its token.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) conversation: ConversationId,
    pub(crate) size: usize,
    pub(crate) token: String,
}

/// The domain of the messages service.
pub(crate) struct Domain<S> {
    pub(crate) logs: Logs<S>,
    pub(crate) pages: Pages,
    pub(crate) digest_key: [u8; 32],
    pub(crate) sealer: Sealer,
    pub(crate) bus: Bus,
    pub(crate) projections: crate::logs::Projections,
    pub(crate) rules: RulesCache,
}

impl<S: LogStore> Domain<S> {
    /// Carries out another service's command and says where its event stands.
    pub(crate) async fn append(&self, append: Append) -> Result<Committed, Error> {
        let digest = append.command.digest(&self.digest_key);
        let Append { key, actor, request_id, after_seq, authority, veto, command } = append;
        let request = Request { actor, request_id, digest, after_seq, authority, veto, command };
        self.decide(&key, request).await
    }

    async fn decide(&self, key: &LogKey, request: Request) -> Result<Committed, Error> {
        let _append = Stage::begin(&self.logs.stages().append);
        let committed = self.logs.append(key, request).await?;
        if committed.event.is_none() {
            metrics::counter!("confab_duplicate_requests_total").increment(1);
        }
        Ok(committed)
    }

    /// What a user is to a conversation, as of a look at its head.
    pub(crate) async fn standing(&self, key: &LogKey, user: &UserId) -> Result<Standing, Error> {
        let keys = vec![RowKey::Conversation, RowKey::Member(user.clone())];
        let observed = self.logs.observe(key, keys).await?;
        Ok(Standing { as_of: observed.as_of, rows: observed.rows })
    }

    /// What a caller may see, as of a look at the head.
    pub(crate) async fn look(&self, key: &LogKey, caller: &Caller) -> Result<Sight, Error> {
        if caller.is_user() {
            return Ok(self.standing(key, &caller.user).await?.sight());
        }
        Ok(Sight::whole(self.logs.observe(key, Vec::new()).await?.as_of))
    }
}

impl<S: LogStore + RuleStore> Domain<S> {
    /// Carries out a user's command; what the user may do is decided by the log.
    pub(crate) async fn command(&self, send: Admitted<Send>) -> Result<(LogKey, Committed), Error> {
        let (caller, send, _) = send.into_parts();
        let Send { conversation, request_id, after_seq, command } = send;
        let key = LogKey { tenant: caller.tenant.clone(), conversation };
        // Of what the client sent: a retry is the same, whatever the rules are by then.
        let digest = command.digest(&self.digest_key);
        let (command, veto) = self.transformed(&key.tenant, command).await?;
        let authority = authority_of(&caller);
        let actor = caller.user;
        let request = Request { actor, request_id, digest, after_seq, authority, veto, command };
        let committed = self.decide(&key, request).await?;
        Ok((key, committed))
    }

    /// The stage "transform": content rules, HTML, parts of the text.
    async fn transformed(
        &self,
        tenant: &TenantId,
        command: Command,
    ) -> Result<(Command, Option<Refusal>), Error> {
        if !matches!(command, Command::Send { .. } | Command::Edit { .. }) {
            return Ok((command, None));
        }
        let _transform = Stage::begin(&self.logs.stages().transform);
        let rules = self.rules.get(self.logs.store(), tenant);
        let rules = tokio::time::timeout(stage::PATIENCE, rules).await;
        let rules = rules.map_err(|_| Error::Unavailable)??;
        Ok(transform(command, &rules))
    }

    /// Sends a message and returns its row: as it is now, when an older try had
    /// sent it, without what changed after a sender's leave.
    pub(crate) async fn send(&self, send: Admitted<Send>) -> Result<(LogKey, Event), Error> {
        let caller = send.caller().clone();
        let (key, committed) = self.command(send).await?;
        if let Some(event) = committed.event {
            return Ok((key, *event));
        }
        let event = self.message_of(&key, &caller, committed.seq).await?;
        Ok((key, event))
    }

    /// The tenant's content rules.
    pub(crate) async fn content_rules(
        &self,
        admitted: Admitted<()>,
    ) -> Result<Option<StoredRules>, Error> {
        let (caller, (), _) = admitted.into_parts();
        Ok(self.logs.store().rules(&caller.tenant).await?)
    }

    /// Replaces the tenant's content rules.
    pub(crate) async fn replace_rules(
        &self,
        admitted: Admitted<Replace>,
    ) -> Result<StoredRules, Error> {
        let (caller, Replace { version, rules }, _) = admitted.into_parts();
        let store = self.logs.store();
        let now = clock::now_micros();
        match store.replace_rules(&caller.tenant, version, rules, now).await? {
            Replaced::Stored(stored) => {
                self.rules.remember(&caller.tenant, Some(&stored), Instant::now());
                Ok(stored)
            }
            Replaced::Stale(version) => Err(Refusal::EtagMismatch { version }.into()),
        }
    }
}

/// In whose right a caller's commands are decided.
fn authority_of(caller: &Caller) -> Authority {
    match caller.kind {
        CallerKind::Application => Authority::Application,
        _ => Authority::Participant,
    }
}

/// What a user is to a conversation, as of a look at its head.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) as_of: Seq,
    /// The conversation's and the user's.
    rows: Vec<(RowKey, Option<Row>)>,
}

impl Standing {
    /// The user's part, now or once.
    pub(crate) fn member(&self) -> Option<&MemberRow> {
        self.rows.iter().find_map(|(_, row)| match row {
            Some(Row::Member(row)) if self.as_of > 0 => Some(row),
            _ => None,
        })
    }

    /// The conversation.
    pub(crate) fn conversation(&self) -> Option<&ConversationRow> {
        self.rows.iter().find_map(|(_, row)| match row {
            Some(Row::Conversation(row)) => Some(row),
            _ => None,
        })
    }

    /// Whether the user may write a message now.
    pub(crate) fn can_write(&self, user: &UserId) -> bool {
        may_write(user, &self.rows, clock::now_micros())
    }

    /// What the user may see.
    pub(crate) fn sight(&self) -> Sight {
        let history = self.conversation().map(|row| row.history).unwrap_or_default();
        Sight::of_member(self.as_of, self.member(), history)
    }

    /// With what rights the user is a participant; `None` for who is none.
    pub(crate) fn role(&self) -> Option<Role> {
        self.member().filter(|row| row.is_active()).map(|row| row.role)
    }
}
