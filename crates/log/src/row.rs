//! The state of a conversation, cut into rows. A row carries `applied_seq`, the
//! event that changed it last: whoever folds skips events at or below it.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::{
    Content, Digest, Micros, RequestId, Seq, UserId,
    event::{History, Kind, Retention, Role},
};

/// Names a row of one conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// The conversation itself.
    Conversation,
    /// A user's part in it.
    Member(UserId),
    /// A message, by the event that created it.
    Message(Seq),
    /// One user's reactions to one message.
    Reactions(Seq, UserId),
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// The conversation itself.
    Conversation(ConversationRow),
    /// A user's part in it.
    Member(MemberRow),
    /// A message.
    Message(MessageRow),
    /// One user's reactions to one message.
    Reactions(ReactionsRow),
}

impl Row {
    /// The event that changed the row last.
    pub fn applied_seq(&self) -> Seq {
        match self {
            Self::Conversation(row) => row.applied_seq,
            Self::Member(row) => row.applied_seq,
            Self::Message(row) => row.applied_seq,
            Self::Reactions(row) => row.applied_seq,
        }
    }
}

/// The conversation itself. Owned by the conversations service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ConversationRow {
    /// Its kind.
    #[n(0)]
    pub kind: Kind,
    /// What people read in a list.
    #[n(1)]
    pub title: String,
    /// A longer text.
    #[n(2)]
    pub description: String,
    /// Where a picture is.
    #[n(3)]
    pub avatar_url: String,
    /// The team's own data.
    #[n(4)]
    pub metadata: BTreeMap<String, String>,
    /// Who created it.
    #[n(5)]
    pub creator: UserId,
    /// The request id of event 1.
    #[n(6)]
    pub create_request_id: RequestId,
    /// The digest of event 1.
    #[n(7)]
    pub create_digest: Digest,
    /// How many participants there are.
    #[n(8)]
    pub participant_count: u32,
    /// When event 1 was appended.
    #[n(9)]
    pub create_time: Micros,
    /// When a descriptive field, the archive or the deletion changed.
    #[n(10)]
    pub update_time: Micros,
    /// Set while archived.
    #[n(11)]
    pub archive_time: Option<Micros>,
    /// Set while deleted.
    #[n(12)]
    pub delete_time: Option<Micros>,
    /// The event that `update_time` is of; the etag says it.
    #[n(13)]
    pub version_seq: Seq,
    /// The event that changed the row last.
    #[n(14)]
    pub applied_seq: Seq,
    /// What joiners see of what was before.
    #[n(15)]
    #[cbor(skip_if = "is_default")]
    pub history: History,
    /// Whether anyone of the tenant may join.
    #[n(16)]
    #[cbor(skip_if = "is_default")]
    pub public: bool,
    /// The owner of a group or a channel.
    #[n(17)]
    pub owner: Option<UserId>,
    /// The pinned messages, in the order they were pinned.
    #[n(18)]
    #[cbor(skip_if = "Vec::is_empty")]
    pub pins: Vec<Seq>,
    /// Who has blocked the other side of a direct conversation.
    #[n(19)]
    #[cbor(skip_if = "Vec::is_empty")]
    pub blocked_by: Vec<UserId>,
    /// How long messages are kept.
    #[n(20)]
    #[cbor(skip_if = "is_default")]
    pub retention: Retention,
    /// Messages up to this one have expired.
    #[n(21)]
    #[cbor(skip_if = "is_default")]
    pub expired_through: Seq,
}

impl ConversationRow {
    /// As event `seq` creates it, with nothing that describes it and nobody in it.
    pub fn new(
        kind: Kind,
        creator: UserId,
        create_request_id: RequestId,
        create_digest: Digest,
        time: Micros,
        seq: Seq,
    ) -> Self {
        Self {
            kind,
            title: String::new(),
            description: String::new(),
            avatar_url: String::new(),
            metadata: BTreeMap::new(),
            creator,
            create_request_id,
            create_digest,
            participant_count: 0,
            create_time: time,
            update_time: time,
            archive_time: None,
            delete_time: None,
            version_seq: seq,
            applied_seq: seq,
            history: History::Full,
            public: false,
            owner: None,
            pins: Vec::new(),
            blocked_by: Vec::new(),
            retention: Retention::default(),
            expired_through: 0,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A user's part in a conversation. Owned by the participants service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct MemberRow {
    /// With what rights; the last ones after a leave. A banned stranger is a member.
    #[n(0)]
    pub role: Role,
    /// When the user was in, the oldest first; empty for a banned stranger.
    #[n(1)]
    pub intervals: Vec<Interval>,
    /// When the user joined last.
    #[n(2)]
    pub join_time: Micros,
    /// When the user left; `None` for a participant.
    #[n(3)]
    pub leave_time: Option<Micros>,
    /// Lasts at most as long as the membership: a join lifts it.
    #[n(4)]
    pub mute: Option<Restriction>,
    /// Keeps the user out.
    #[n(5)]
    pub ban: Option<Restriction>,
    /// The event that changed the row last.
    #[n(6)]
    pub applied_seq: Seq,
}

/// A time of membership, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Interval {
    /// The join.
    #[n(0)]
    pub join: Seq,
    /// The leave; `None` while it lasts.
    #[n(1)]
    pub leave: Option<Seq>,
}

/// A mute or a ban in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Restriction {
    /// Holds for events before this time; `None`: until it is lifted.
    #[n(0)]
    pub until: Option<Micros>,
    /// What the moderator wrote.
    #[n(1)]
    pub reason: String,
    /// The moderator.
    #[n(2)]
    pub actor: UserId,
    /// When it was imposed.
    #[n(3)]
    pub time: Micros,
}

impl Restriction {
    /// Whether it holds for an event of this time.
    pub fn holds_at(&self, time: Micros) -> bool {
        self.until.is_none_or(|until| time < until)
    }
}

impl MemberRow {
    /// Whether the user is a participant.
    pub fn is_active(&self) -> bool {
        self.intervals.last().is_some_and(|interval| interval.leave.is_none())
    }

    /// The ban, if it holds for an event of this time.
    pub fn banned_at(&self, time: Micros) -> Option<&Restriction> {
        self.ban.as_ref().filter(|ban| ban.holds_at(time))
    }

    /// The mute, if it holds for an event of this time.
    pub fn muted_at(&self, time: Micros) -> Option<&Restriction> {
        self.mute.as_ref().filter(|mute| mute.holds_at(time))
    }

    /// The newest event, at most `head`, that the user may see; `None` if the
    /// user was never in.
    pub fn visible_through(&self, head: Seq) -> Option<Seq> {
        self.intervals.last().map(|interval| interval.leave.unwrap_or(head).min(head))
    }

    /// Whether the user may see this event, which is not above what
    /// [`Self::visible_through`] says.
    pub fn sees(&self, history: History, seq: Seq) -> bool {
        history == History::Full
            || self
                .intervals
                .iter()
                .any(|times| times.join <= seq && times.leave.is_none_or(|leave| seq <= leave))
    }
}

/// A message as it is now. Lives inside its message-created event's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct MessageRow {
    /// `None` once deleted.
    #[n(0)]
    pub content: Option<Content>,
    /// When the content changed last.
    #[n(1)]
    pub edit_time: Option<Micros>,
    /// When it was deleted.
    #[n(2)]
    pub delete_time: Option<Micros>,
    /// How many people reacted with what, in the order of the first of each.
    #[n(3)]
    pub reactions: Vec<ReactionCount>,
    /// The events that carry older contents, to be blanked with this one.
    #[n(4)]
    pub edits: Vec<Seq>,
    /// Who wrote it: the event's actor, repeated for whoever loads only the row.
    #[n(5)]
    pub sender: UserId,
    /// The event that changed the row last.
    #[n(6)]
    pub applied_seq: Seq,
    /// The message that it answers.
    #[n(7)]
    pub reply_to: Option<Seq>,
    /// The message whose thread it is in.
    #[n(8)]
    pub thread: Option<Seq>,
    /// The thread that began with it.
    #[n(9)]
    pub replies: Option<Replies>,
    /// The content rules that flagged it when it was sent.
    #[n(10)]
    #[cbor(skip_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

impl MessageRow {
    /// As event `seq` creates it: it answers nothing and is in no thread.
    pub fn new(sender: UserId, content: Content, seq: Seq) -> Self {
        Self {
            content: Some(content),
            edit_time: None,
            delete_time: None,
            reactions: Vec::new(),
            edits: Vec::new(),
            sender,
            applied_seq: seq,
            reply_to: None,
            thread: None,
            replies: None,
            flags: Vec::new(),
        }
    }
}

/// The thread that began with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Replies {
    /// Messages in it without the first one, deleted ones too.
    #[n(0)]
    pub count: u32,
    /// The newest of them.
    #[n(1)]
    pub last: Seq,
}

/// How many people reacted with one emoji.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ReactionCount {
    /// The emoji.
    #[n(0)]
    pub emoji: String,
    /// How many people.
    #[n(1)]
    pub count: u32,
}

/// One user's reactions to one message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ReactionsRow {
    /// In the order they were added; empty when all were taken back.
    #[n(0)]
    pub emoji: Vec<String>,
    /// The event that changed the row last.
    #[n(1)]
    pub applied_seq: Seq,
}
