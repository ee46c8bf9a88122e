//! What can happen in a conversation. One command is one event; an event once
//! appended keeps its place, its author and its request id for ever.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::{Digest, Micros, RequestId, Seq, UserId, row::MessageRow};

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Event {
    /// Its position.
    #[n(0)]
    pub seq: Seq,
    /// How many messages the log holds up to and including this event.
    #[n(1)]
    pub ordinal: u64,
    /// The newest message at or below this event; 0 for none.
    #[n(2)]
    pub last_message: Seq,
    /// When it was decided; never below its predecessor's.
    #[n(3)]
    pub time: Micros,
    /// Whose command it was.
    #[n(4)]
    pub actor: UserId,
    /// The command's request id, kept when the content is blanked.
    #[n(5)]
    pub request_id: RequestId,
    /// The command's digest, kept when the content is blanked.
    #[n(6)]
    pub digest: Digest,
    /// What happened.
    #[n(7)]
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum EventBody {
    /// Event 1, and only event 1.
    #[n(0)]
    ConversationCreated(#[n(0)] Creation),
    /// Descriptive fields changed.
    #[n(1)]
    ConversationUpdated(#[n(0)] Description),
    /// It became read-only.
    #[n(2)]
    ConversationArchived,
    /// It became writable again.
    #[n(3)]
    ConversationUnarchived,
    /// It was deleted, softly.
    #[n(4)]
    ConversationDeleted,
    /// The deletion was undone.
    #[n(5)]
    ConversationRestored,
    /// Somebody wrote. This row *is* the message: later events change it in place.
    #[n(10)]
    MessageCreated(#[n(0)] MessageRow),
    /// The message at `target` has new content.
    #[n(11)]
    MessageEdited {
        /// Which message.
        #[n(0)]
        target: Seq,
        /// The content after this edit; `None` once blanked.
        #[n(1)]
        content: Option<Content>,
    },
    /// The message at `target` is gone.
    #[n(12)]
    MessageDeleted {
        /// Which message.
        #[n(0)]
        target: Seq,
    },
    /// The actor reacted.
    #[n(13)]
    ReactionAdded {
        /// To which message.
        #[n(0)]
        target: Seq,
        /// With what.
        #[n(1)]
        emoji: String,
    },
    /// The actor took a reaction back.
    #[n(14)]
    ReactionRemoved {
        /// From which message.
        #[n(0)]
        target: Seq,
        /// Which.
        #[n(1)]
        emoji: String,
    },
    /// Users became participants.
    #[n(20)]
    ParticipantsJoined(#[n(0)] Vec<Assignment>),
    /// A user is no longer a participant.
    #[n(21)]
    ParticipantLeft {
        /// Who.
        #[n(0)]
        user: UserId,
        /// Why.
        #[n(1)]
        cause: LeaveCause,
        /// What the moderator wrote.
        #[n(2)]
        reason: String,
    },
    /// Roles changed.
    #[n(22)]
    RolesChanged(#[n(0)] Vec<Assignment>),
    /// A participant may no longer write.
    #[n(23)]
    ParticipantMuted(#[n(0)] Sentence),
    /// A participant may write again.
    #[n(24)]
    ParticipantUnmuted {
        /// Who.
        #[n(0)]
        user: UserId,
    },
    /// A user is kept out, and is no longer a participant if they were one.
    #[n(25)]
    ParticipantBanned(#[n(0)] Sentence),
    /// A user may be added again.
    #[n(26)]
    ParticipantUnbanned {
        /// Who.
        #[n(0)]
        user: UserId,
    },
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Content {
    /// Plain text.
    #[n(0)]
    pub text: String,
    /// The team's own data.
    #[n(1)]
    pub attributes: BTreeMap<String, String>,
}

/// How a conversation begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Creation {
    /// Direct or group.
    #[n(0)]
    pub kind: Kind,
    /// The first participants, the creator among them.
    #[n(1)]
    pub participants: Vec<Assignment>,
    /// The descriptive fields.
    #[n(2)]
    pub description: Description,
}

/// The kind of a conversation. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Kind {
    /// Exactly two people, once per pair.
    #[n(1)]
    Direct,
    /// Participants with roles.
    #[n(2)]
    Group,
}

impl Kind {
    /// Whether both people own the conversation together.
    pub fn is_direct(self) -> bool {
        self == Self::Direct
    }
}

/// Descriptive fields; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Description {
    /// What people read in a list.
    #[n(0)]
    pub title: Option<String>,
    /// A longer text.
    #[n(1)]
    pub description: Option<String>,
    /// Where a picture is.
    #[n(2)]
    pub avatar_url: Option<String>,
    /// The team's own data, replaced as a whole.
    #[n(3)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A user and the role they get.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Assignment {
    /// Who.
    #[n(0)]
    pub user: UserId,
    /// With what rights.
    #[n(1)]
    pub role: Role,
}

/// What a participant may do, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Role {
    /// Reads and writes.
    #[n(1)]
    Member,
    /// Also adds, removes and moderates members.
    #[n(2)]
    Admin,
    /// Also ranks, transfers and deletes. One in a group, both in a direct one.
    #[n(3)]
    Owner,
}

/// Why a participant is one no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum LeaveCause {
    /// By their own wish.
    #[n(1)]
    Left,
    /// An admin removed them.
    #[n(2)]
    Removed,
    /// A moderator kicked them.
    #[n(3)]
    Kicked,
}

/// A mute or a ban as a moderator speaks it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Sentence {
    /// Who.
    #[n(0)]
    pub user: UserId,
    /// Holds for events before this time; `None`: until it is lifted.
    #[n(1)]
    pub until: Option<Micros>,
    /// What the moderator wrote.
    #[n(2)]
    pub reason: String,
}
