//! What this service is asked, in validated types, and its own rules: what a
//! creation names, what a list shows and in which order, and which of two rows
//! is the newer. What a command may do is the log's to decide.

use std::collections::{BTreeMap, BTreeSet};

use confab_kit::{admission::Admitted, error::Error as KitError, identity::Caller};
use confab_log::{
    ConversationId, Micros, RequestId, Seq, UserId,
    event::{Assignment, Creation, Description, Kind, Role},
    inbox::Settings,
    row::ConversationRow,
};

/// A conversation to be made.
#[derive(Debug)]
pub(crate) struct Create {
    /// The creator's name for the command.
    pub(crate) request_id: RequestId,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Who owns it, where an application says so.
    pub(crate) owner: Option<UserId>,
    /// The participants that the request names; the creator may be among them.
    pub(crate) named: BTreeSet<UserId>,
    /// The descriptive fields.
    pub(crate) description: Description,
}

/// A creation with its creator and its name.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Which conversation it makes, at every try.
    pub(crate) conversation: ConversationId,
    /// Event 1.
    pub(crate) creation: Creation,
}

impl Plan {
    /// The two people of a direct conversation.
    pub(crate) fn pair(&self) -> Option<(&UserId, &UserId)> {
        match &self.creation.participants[..] {
            [one, other] if self.creation.kind.is_direct() => Some((&one.user, &other.user)),
            _ => None,
        }
    }
}

/// Completes a creation by its caller. The participants are in the order of
/// their ids, so that both sides of a direct conversation ask for the same.
pub(crate) fn plan(admitted: &Admitted<Create>) -> Result<Plan, KitError> {
    let (caller, create): (&Caller, &Create) = (admitted.caller(), admitted.message());
    let owner = match &create.owner {
        Some(owner) if caller.is_user() && *owner != caller.user => {
            return Err(KitError::violation("owner_id", "must be the caller or empty"));
        }
        owner => owner.as_ref().unwrap_or(&caller.user),
    };
    // An application opens a direct conversation for two others.
    let takes_part = create.kind != Kind::Direct || caller.is_user();
    let everyone: BTreeSet<&UserId> =
        create.named.iter().chain(takes_part.then_some(owner)).collect();
    let conversation = match create.kind {
        Kind::Direct => direct(caller, &everyone)?,
        Kind::Group | Kind::Channel => {
            ConversationId::group(&caller.tenant, &caller.user, &create.request_id)
        }
    };
    let assign = |user: &UserId| {
        let owns = create.kind == Kind::Direct || user == owner;
        Assignment { user: user.clone(), role: if owns { Role::Owner } else { Role::Member } }
    };
    let participants = everyone.into_iter().map(assign).collect();
    let description = create.description.clone();
    Ok(Plan { conversation, creation: Creation { kind: create.kind, participants, description } })
}

fn direct(caller: &Caller, everyone: &BTreeSet<&UserId>) -> Result<ConversationId, KitError> {
    let mut both = everyone.iter();
    match (both.next(), both.next(), both.next()) {
        (Some(one), Some(other), None) => Ok(ConversationId::direct(&caller.tenant, one, other)),
        _ if caller.is_user() => {
            Err(KitError::violation("participant_ids", "must name exactly one other user"))
        }
        _ => Err(KitError::violation("participant_ids", "must name exactly two users")),
    }
}

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
    /// Descriptive fields.
    Update {
        /// The new values.
        changes: Description,
        /// The version that they rest on.
        version: Option<Seq>,
    },
    /// Deletes it softly.
    Delete {
        /// The version that this rests on.
        version: Option<Seq>,
    },
    /// Undoes a deletion.
    Restore,
    /// Makes it read-only.
    Archive,
    /// Makes it writable.
    Unarchive,
}

/// One conversation to be read.
#[derive(Debug)]
pub(crate) struct Get {
    /// Which.
    pub(crate) conversation: ConversationId,
}

/// A page of the caller's conversations.
#[derive(Debug)]
pub(crate) struct List {
    /// Which ones.
    pub(crate) filter: Filter,
    /// Rows of a page.
    pub(crate) limit: usize,
    /// Where the page starts; empty for the first.
    pub(crate) page_token: String,
}

/// A page of the tenant's public channels.
#[derive(Debug)]
pub(crate) struct ListPublic {
    /// Only titles that contain this, in lower case; empty for every title.
    pub(crate) title: String,
    /// Rows of a page.
    pub(crate) limit: usize,
    /// Where the page starts; empty for the first.
    pub(crate) page_token: String,
}

/// Which part of a user's conversations a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those that are not put away.
    #[default]
    Current,
    /// Those that are.
    Archive,
    /// The favourites.
    Favourites,
    /// All.
    Everything,
}

impl Part {
    /// Whether a conversation with these settings is in it.
    pub(crate) fn holds(self, settings: &Settings) -> bool {
        match self {
            Self::Current => !settings.archived,
            Self::Archive => settings.archived,
            Self::Favourites => settings.favourite,
            Self::Everything => true,
        }
    }
}

/// What a list shows.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
    /// Only titles that contain this, in lower case; empty for every title.
    pub(crate) title: String,
    /// Those too that are archived for everyone.
    pub(crate) archived: bool,
    /// By the user's own settings.
    pub(crate) part: Part,
}

impl Filter {
    /// Whether it shows the row.
    pub(crate) fn shows(&self, row: &ConversationRow) -> bool {
        row.delete_time.is_none()
            && (self.archived || row.archive_time.is_none())
            && self.kind.is_none_or(|kind| kind == row.kind)
            && (self.title.is_empty() || row.title.to_lowercase().contains(&self.title))
    }
}

/// A place in a list: the most recently active first, then by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// When the newest event was appended.
    pub(crate) activity: Micros,
    /// Which conversation.
    pub(crate) conversation: ConversationId,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let later_first = other.activity.cmp(&self.activity);
        later_first.then_with(|| self.conversation.cmp(&other.conversation))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Cursors to be compared with heads, each conversation once.
#[derive(Debug)]
pub(crate) struct Compare {
    /// The last event that the reader has applied.
    pub(crate) cursors: BTreeMap<ConversationId, Seq>,
}

/// A conversation in a user's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    /// Whether the user is in it now.
    pub(crate) active: bool,
    /// The last join.
    pub(crate) join_seq: Seq,
    /// The leave that ended it; 0 while it lasts.
    pub(crate) leave_seq: Seq,
    /// How the user has arranged it.
    pub(crate) settings: Settings,
}

impl Membership {
    /// The last event that the user may see; 0 for no limit.
    pub(crate) fn limit(self) -> Seq {
        if self.active { 0 } else { self.leave_seq }
    }
}

/// What came of writing a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing: the stored row is as new or newer.
    Stale,
    /// The conversation's first row was written.
    First,
    /// The row was written, and by it the conversation became deleted.
    Deleted,
    /// The row was written.
    Changed,
}

/// Judges a row against the stored one: the guard of every engine.
pub fn judge(stored: Option<&ConversationRow>, new: &ConversationRow) -> Applied {
    match stored {
        None => Applied::First,
        Some(stored) if new.applied_seq <= stored.applied_seq => Applied::Stale,
        Some(stored) if stored.delete_time.is_none() && new.delete_time.is_some() => {
            Applied::Deleted
        }
        Some(_) => Applied::Changed,
    }
}

/// Whether anyone of the tenant may join, and so may know of it.
pub fn is_open(row: &ConversationRow) -> bool {
    row.public && row.kind == Kind::Channel && row.delete_time.is_none()
}
