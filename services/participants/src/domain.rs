//! What this service is asked, in validated types, and what an inbox holds.
//! What a command may do is the log's to decide; nothing here decides it.

mod moderation;
mod users;

use confab_log::{
    ConversationId, Micros, RequestId, Seq, UserId,
    event::{LeaveCause, Role, Sentence},
    inbox::{Entry, InboxEffect, Settings},
    mutant,
    row::MemberRow,
};
use minicbor::{Decode, Encode};

pub use moderation::{Action, ActionPlace, Category, Report, ReportId, Resolution};
pub(crate) use moderation::{ListReports, ReportMessage, ResolveReport};
pub(crate) use users::{ListBlocks, ListUsers, UpdateUser};
pub use users::{Profile, ProfileChanges};

/// A command for the log.
#[derive(Debug)]
pub(crate) struct Command {
    /// Which conversation.
    pub(crate) conversation: ConversationId,
    /// The sender's name for the command.
    pub(crate) request_id: RequestId,
    /// The head that the sender knew at the first try; 0 for unknown.
    pub(crate) after_seq: Seq,
    /// What is to change.
    pub(crate) change: Change,
}

/// What is to change.
#[derive(Debug)]
pub(crate) enum Change {
    /// Makes users members.
    Add(Vec<UserId>),
    /// Removes or kicks another one.
    Remove {
        /// Who.
        user: UserId,
        /// Removed or kicked.
        cause: LeaveCause,
        /// What the moderator wrote.
        reason: String,
    },
    /// Lets the caller into a public channel.
    Join,
    /// Removes the caller.
    Leave,
    /// Member to admin, or back.
    UpdateRole {
        /// Who.
        user: UserId,
        /// With what rights.
        role: Role,
    },
    /// Makes another one the owner.
    Transfer {
        /// Who.
        user: UserId,
    },
    /// Takes the right to write.
    Mute(Sentence),
    /// Gives it back.
    Unmute {
        /// Who.
        user: UserId,
    },
    /// Keeps out.
    Ban(Sentence),
    /// Lets in again.
    Unban {
        /// Who.
        user: UserId,
    },
}

impl Change {
    /// Whether it removes this user under the name of a removal. To leave is
    /// another command with another policy, so this one never stands for it.
    pub(crate) fn removes(&self, caller: &UserId) -> bool {
        matches!(self, Self::Remove { user, .. } if user == caller)
    }
}

/// A page of a conversation's members or bans.
#[derive(Debug)]
pub(crate) struct Roster {
    /// Which conversation.
    pub(crate) conversation: ConversationId,
    /// Rows of a page.
    pub(crate) limit: usize,
    /// Where the page starts; empty for the first.
    pub(crate) page_token: String,
}

/// How the caller arranges a conversation.
#[derive(Debug)]
pub(crate) struct Arrange {
    /// Which conversation.
    pub(crate) conversation: ConversationId,
    /// What is to change.
    pub(crate) changes: SettingsChanges,
}

/// Changes of settings; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettingsChanges {
    /// Not to be notified of it.
    pub muted: Option<bool>,
    /// When the mute ends by itself.
    pub mute_until: Option<Option<Micros>>,
    /// Put away.
    pub archived: Option<bool>,
    /// Marked as favourite.
    pub favourite: Option<bool>,
}

impl SettingsChanges {
    /// The settings with the changes in them, whoever stores them. Without a mute
    /// there is no end of one.
    pub fn applied_to(self, settings: Settings) -> Settings {
        let muted = self.muted.unwrap_or(settings.muted);
        Settings {
            muted,
            mute_until: self.mute_until.unwrap_or(settings.mute_until).filter(|_| muted),
            archived: self.archived.unwrap_or(settings.archived),
            favourite: self.favourite.unwrap_or(settings.favourite),
        }
    }
}

/// A page of the caller's inbox.
#[derive(Debug)]
pub(crate) struct ListInbox {
    /// Only events above this.
    pub(crate) after: u64,
    /// Rows of a page.
    pub(crate) limit: usize,
}

/// Which rows of a conversation a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The participants of now.
    Active,
    /// Those whom any of the others may show.
    Listed,
    /// Those whom a ban keeps out of an event of this time.
    BannedAt(Micros),
}

impl Filter {
    /// Whether it shows the row.
    pub fn shows(self, row: &MemberRow) -> bool {
        match self {
            Self::Active => row.is_active(),
            Self::Listed => row.is_active() || row.ban.is_some(),
            Self::BannedAt(time) => row.banned_at(time).is_some(),
        }
    }
}

/// The effects of one event on members and inboxes.
#[derive(Clone, Debug)]
pub struct Effects {
    /// The event.
    pub seq: Seq,
    /// Its time.
    pub time: Micros,
    /// The rows it made, whole.
    pub rows: Vec<(UserId, MemberRow)>,
    /// Who joined or left by it.
    pub inbox: Vec<InboxEffect>,
    /// For the record of moderation.
    pub moderation: Vec<Action>,
    /// The reports that it makes.
    pub reports: Vec<Report>,
}

impl Effects {
    /// Of an event that changes no row and no inbox.
    pub fn of(seq: Seq, time: Micros) -> Self {
        let (rows, inbox, moderation, reports) = Default::default();
        Self { seq, time, rows, inbox, moderation, reports }
    }
}

/// One event of a user's inbox, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct InboxEvent {
    /// 1, 2, 3 … without a hole, per user.
    #[n(0)]
    pub inbox_seq: u64,
    /// Which conversation; `None` for what is about none.
    #[n(1)]
    pub conversation: Option<ConversationId>,
    /// When the inbox took it.
    #[n(2)]
    pub time: Micros,
    /// What happened.
    #[n(3)]
    pub body: InboxBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum InboxBody {
    /// The user became a participant.
    #[n(0)]
    Joined {
        /// The event in the conversation's log.
        #[n(0)]
        seq: Seq,
        /// With what rights.
        #[n(1)]
        role: Role,
    },
    /// The user is no longer a participant.
    #[n(1)]
    Left {
        /// The event in the conversation's log.
        #[n(0)]
        seq: Seq,
    },
    /// The user read on.
    #[n(2)]
    Read {
        /// How far.
        #[n(0)]
        seq: Seq,
    },
    /// The user has arranged the conversation anew.
    #[n(3)]
    Arranged(#[n(0)] Settings),
    /// The user has blocked somebody.
    #[n(4)]
    Blocked {
        /// Whom.
        #[n(0)]
        user: UserId,
    },
    /// The user has lifted a block.
    #[n(5)]
    Unblocked {
        /// Whose.
        #[n(0)]
        user: UserId,
    },
}

/// What a user's inbox keeps of the conversations they are or were in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// The newest event; everything up to it is in the entries.
    pub head: u64,
    /// One per conversation, in the order of their ids.
    pub entries: Vec<(ConversationId, Entry)>,
}

/// Who of some users shares a conversation with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Those who do, of the first `checked`.
    pub users: Vec<UserId>,
    /// How many were looked at.
    pub checked: usize,
}

/// A part of a user's inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxPage {
    /// The newest event; none of `events` is above it.
    pub head: u64,
    /// Oldest first.
    pub events: Vec<InboxEvent>,
}

/// Whether a row is to be written over the stored one: the guard of every
/// engine. An effect that lands twice, or late, changes nothing.
pub fn newer(stored: Option<&MemberRow>, row: &MemberRow) -> bool {
    let unguarded = mutant::is("apply-ignores-applied-seq");
    unguarded || stored.is_none_or(|stored| stored.applied_seq < row.applied_seq)
}
