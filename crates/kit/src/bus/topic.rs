//! What a signal is about: that is what a process follows at a broker, so that it
//! hears what its streams need and nothing else.

use std::fmt;

use confab_log::ids::{ConversationId, TenantId, UserId};

use super::Signal;

/// A conversation or a user, of a tenant; or what is of no tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Its events, cursors, and who types in it.
    Conversation(TenantId, ConversationId),
    /// Their inbox, presence and sessions.
    User(TenantId, UserId),
    /// Who is in conversations: of all tenants, for whoever remembers it.
    Rosters,
}

impl Topic {
    /// What the signal is about; `None` for what no broker carries: revocations must
    /// not be lost.
    pub(super) fn of(signal: &Signal) -> Option<Self> {
        match signal {
            Signal::Event { tenant, conversation, .. }
            | Signal::Receipt { tenant, conversation, .. }
            | Signal::Typing { tenant, conversation, .. } => {
                Some(Self::Conversation(tenant.clone(), conversation.clone()))
            }
            Signal::Presence { tenant, presence } => {
                let user = UserId::parse(&presence.user_id).ok()?;
                Some(Self::User(tenant.clone(), user))
            }
            Signal::SessionEnded { tenant, user, .. }
            | Signal::SessionTaken { tenant, user, .. }
            | Signal::Inbox { tenant, user, .. } => Some(Self::User(tenant.clone(), user.clone())),
            Signal::RosterChanged { .. } | Signal::RostersForgotten => Some(Self::Rosters),
            Signal::Revoked(_) | Signal::Missed => None,
        }
    }
}

/// As the broker knows it. No id holds a slash, so no two topics share a name.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(tenant, id) => write!(f, "conversation/{tenant}/{id}"),
            Self::User(tenant, id) => write!(f, "user/{tenant}/{id}"),
            Self::Rosters => f.write_str("rosters"),
        }
    }
}
