//! What the messages service does: commands go to the log, reads look at its
//! head first and show nothing that the reader may not see. No Protobuf here.

mod flights;
mod heads;
mod pages;
mod reads;

use std::sync::Arc;

use confab_kit::{admission::Admitted, bus::Bus, page_token::Sealer};
use confab_log::{Command, ConversationId, Event, Request, RequestId, RowKey, Seq, UserId};

pub(crate) use heads::{Head, HeadQuery};
pub(crate) use pages::Pages;
pub(crate) use reads::Messages;

use crate::{
    error::Error,
    logs::{Committed, Logs},
    store::{LogKey, LogStore},
};

/// A command of the mesh, validated.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) key: LogKey,
    pub(crate) actor: UserId,
    pub(crate) request_id: RequestId,
    pub(crate) after_seq: Option<Seq>,
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
}

impl<S: LogStore> Domain<S> {
    /// Carries out another service's command and says where its event stands.
    pub(crate) async fn append(&self, append: Append) -> Result<Committed, Error> {
        let Append { key, actor, request_id, after_seq, command } = append;
        let digest = command.digest(&self.digest_key);
        let request = Request { actor, request_id, digest, after_seq, command };
        self.logs.append(&key, request).await
    }

    /// Carries out a user's command; what the user may do is decided by the log.
    pub(crate) async fn command(&self, send: Admitted<Send>) -> Result<(LogKey, Committed), Error> {
        let (caller, send, _) = send.into_parts();
        let key = LogKey { tenant: caller.tenant, conversation: send.conversation };
        let append = Append {
            key: key.clone(),
            actor: caller.user,
            request_id: send.request_id,
            after_seq: send.after_seq,
            command: send.command,
        };
        Ok((key, self.append(append).await?))
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

    /// What a user is to a conversation, as of a look at its head.
    pub(crate) async fn standing(&self, key: &LogKey, user: &UserId) -> Result<Standing, Error> {
        let keys = vec![RowKey::Member(user.clone())];
        let observed = self.logs.observe(key, keys).await?;
        let member = observed.member().filter(|_| observed.as_of > 0).cloned();
        Ok(Standing { as_of: observed.as_of, member: member.map(Arc::new) })
    }
}

/// What a user is to a conversation, as of a look at its head.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) as_of: Seq,
    pub(crate) member: Option<Arc<confab_log::row::MemberRow>>,
}

impl Standing {
    /// The newest event that the user may see; 0 for a stranger.
    pub(crate) fn visible(&self) -> Seq {
        self.member.as_ref().and_then(|row| row.visible_through(self.as_of)).unwrap_or(0)
    }
}
