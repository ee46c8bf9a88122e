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
        /// The content rules that flagged it.
        #[n(2)]
        #[cbor(skip_if = "Vec::is_empty")]
        flags: Vec<String>,
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
    /// The message at `target` is pinned.
    #[n(15)]
    MessagePinned {
        /// Which message.
        #[n(0)]
        target: Seq,
    },
    /// The message at `target` is pinned no longer.
    #[n(16)]
    MessageUnpinned {
        /// Which message.
        #[n(0)]
        target: Seq,
    },
    /// The messages of these rows are gone: the conversation's retention.
    #[n(17)]
    MessagesExpired {
        /// The first row.
        #[n(0)]
        from: Seq,
        /// The last row.
        #[n(1)]
        to: Seq,
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
    /// The actor has blocked the other side of a direct conversation.
    #[n(27)]
    ParticipantBlocked {
        /// Who is blocked.
        #[n(0)]
        user: UserId,
    },
    /// The actor's block is lifted.
    #[n(28)]
    ParticipantUnblocked {
        /// Who was blocked.
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
    /// The text as HTML, sanitised.
    #[n(2)]
    pub html: Option<String>,
    /// What parts of the text are, in order, without overlaps.
    #[n(3)]
    #[cbor(skip_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
}

impl Content {
    /// Who is mentioned; a user as often as they are.
    pub fn mentions(&self) -> impl Iterator<Item = &UserId> {
        self.entities.iter().filter_map(|entity| match &entity.kind {
            EntityKind::Mention(user) => Some(user),
            _ => None,
        })
    }
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Entity {
    /// Its first byte.
    #[n(0)]
    pub start: u32,
    /// The byte after its last one.
    #[n(1)]
    pub end: u32,
    /// What it is.
    #[n(2)]
    pub kind: EntityKind,
}

/// What a part of a text is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum EntityKind {
    /// A user is spoken to.
    #[n(0)]
    Mention(#[n(0)] UserId),
    /// A link, with its address.
    #[n(1)]
    Link(#[n(0)] String),
    /// A hashtag, in lower case, without the `#`.
    #[n(2)]
    Hashtag(#[n(0)] String),
}

/// How a conversation begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Creation {
    /// Its kind.
    #[n(0)]
    pub kind: Kind,
    /// The first participants; the creator among them, unless an application.
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
    /// Admins write, members read and react; no bound on their number.
    #[n(3)]
    Channel,
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
    /// Whether anyone of the tenant may join.
    #[n(4)]
    pub public: Option<bool>,
    /// What joiners see of what was before.
    #[n(5)]
    pub history: Option<History>,
    /// How long messages are kept.
    #[n(6)]
    pub retention: Option<Retention>,
}

/// What somebody who joins sees of what was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum History {
    /// Everything.
    #[n(1)]
    #[default]
    Full,
    /// Only what happened while they were a participant.
    #[n(2)]
    FromJoin,
}

/// How long messages are kept; whatever comes first counts, 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Retention {
    /// Seconds.
    #[n(0)]
    pub max_age: u64,
    /// The newest so many.
    #[n(1)]
    pub max_messages: u64,
}

impl Retention {
    /// Whether it keeps everything.
    pub fn is_unlimited(&self) -> bool {
        self.max_age == 0 && self.max_messages == 0
    }
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
