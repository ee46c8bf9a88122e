//! What can be asked of a conversation. Every command that is carried out
//! becomes exactly one event.

use minicbor::{Decode, Encode};

use crate::{
    Content, Digest, Refusal, RequestId, RowKey, Seq, UserId,
    event::{Creation, Description, LeaveCause, Role, Sentence},
};

/// Rows that one expiry erases, at most.
pub const MAX_EXPIRED_ROWS: u64 = 256;

/// A command with its sender and the names that make it idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Whose command it is.
    pub actor: UserId,
    /// The sender's name for it.
    pub request_id: RequestId,
    /// Tells two bodies of one request id apart; see [`Command::digest`].
    pub digest: Digest,
    /// The highest seq that the sender knew at the first try; outside the digest.
    pub after_seq: Option<Seq>,
    /// In whose right it is asked; outside the digest.
    pub authority: Authority,
    /// What speaks against the command outside of the conversation; outside the
    /// digest. It counts only where the command would be carried out now, so a
    /// retry of what was done before is answered all the same.
    pub veto: Option<Refusal>,
    /// What is asked.
    pub command: Command,
}

impl Request {
    /// A participant's command, whose sender knows of no event.
    pub fn new(actor: UserId, request_id: RequestId, digest: Digest, command: Command) -> Self {
        let authority = Authority::Participant;
        Self { actor, request_id, digest, after_seq: None, authority, veto: None, command }
    }
}

/// In whose right a command is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The actor's own, as a participant.
    #[default]
    Participant,
    /// A team's own backend: an owner's rights in every conversation of its tenant.
    /// To write it must be a participant all the same.
    Application,
    /// Confab's own.
    System,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Command {
    /// Begins the conversation.
    #[n(0)]
    Create(#[n(0)] Creation),
    /// Changes descriptive fields, if the version is still the one given.
    #[n(1)]
    Update {
        /// The new values.
        #[n(0)]
        changes: Description,
        /// `None` changes whatever is there.
        #[n(1)]
        version: Option<Seq>,
    },
    /// Makes it read-only.
    #[n(2)]
    Archive,
    /// Makes it writable again.
    #[n(3)]
    Unarchive,
    /// Deletes it softly.
    #[n(4)]
    Delete {
        /// `None` deletes whatever is there.
        #[n(0)]
        version: Option<Seq>,
    },
    /// Undoes a deletion.
    #[n(5)]
    Restore,
    /// Writes a message.
    #[n(10)]
    Send {
        /// What it says.
        #[n(0)]
        content: Content,
        /// The message that it answers.
        #[n(1)]
        reply_to: Option<Seq>,
        /// The message whose thread it is in.
        #[n(2)]
        thread: Option<Seq>,
        /// The content rules that flagged it.
        #[n(3)]
        #[cbor(skip_if = "Vec::is_empty")]
        flags: Vec<String>,
    },
    /// Replaces a message's content.
    #[n(11)]
    Edit {
        /// Which message.
        #[n(0)]
        target: Seq,
        /// The new content.
        #[n(1)]
        content: Content,
        /// The content rules that flagged it.
        #[n(2)]
        #[cbor(skip_if = "Vec::is_empty")]
        flags: Vec<String>,
    },
    /// Deletes a message.
    #[n(12)]
    DeleteMessage {
        /// Which message.
        #[n(0)]
        target: Seq,
    },
    /// Reacts to a message.
    #[n(13)]
    AddReaction {
        /// Which message.
        #[n(0)]
        target: Seq,
        /// With what.
        #[n(1)]
        emoji: String,
    },
    /// Takes a reaction back.
    #[n(14)]
    RemoveReaction {
        /// Which message.
        #[n(0)]
        target: Seq,
        /// Which.
        #[n(1)]
        emoji: String,
    },
    /// Pins a message.
    #[n(15)]
    Pin {
        /// Which message.
        #[n(0)]
        target: Seq,
    },
    /// Unpins a message.
    #[n(16)]
    Unpin {
        /// Which message.
        #[n(0)]
        target: Seq,
    },
    /// Erases the messages of old rows, at most [`MAX_EXPIRED_ROWS`].
    #[n(17)]
    Expire {
        /// The first row: the one after the last that has expired.
        #[n(0)]
        from: Seq,
        /// The last row.
        #[n(1)]
        to: Seq,
    },
    /// Adds members.
    #[n(20)]
    AddParticipants {
        /// Who.
        #[n(0)]
        users: Vec<UserId>,
    },
    /// Removes a participant: another one, or oneself.
    #[n(21)]
    Remove {
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
    /// Makes a member an admin, or an admin a member.
    #[n(22)]
    UpdateRole {
        /// Who.
        #[n(0)]
        user: UserId,
        /// With what rights.
        #[n(1)]
        role: Role,
    },
    /// Makes another participant the owner.
    #[n(23)]
    TransferOwnership {
        /// Who.
        #[n(0)]
        user: UserId,
    },
    /// Lets a participant read but not write.
    #[n(24)]
    Mute(#[n(0)] Sentence),
    /// Lifts a mute.
    #[n(25)]
    Unmute {
        /// Who.
        #[n(0)]
        user: UserId,
    },
    /// Keeps a user out.
    #[n(26)]
    Ban(#[n(0)] Sentence),
    /// Lifts a ban.
    #[n(27)]
    Unban {
        /// Who.
        #[n(0)]
        user: UserId,
    },
    /// Lets the actor into a public channel.
    #[n(28)]
    Join,
    /// Blocks the other side of a direct conversation.
    #[n(29)]
    Block {
        /// Who.
        #[n(0)]
        user: UserId,
    },
    /// Lifts the actor's block.
    #[n(30)]
    Unblock {
        /// Who.
        #[n(0)]
        user: UserId,
    },
}

impl Command {
    /// A message that answers none, in no thread.
    pub fn send(content: Content) -> Self {
        Self::Send { content, reply_to: None, thread: None, flags: Vec::new() }
    }

    /// New content for a message.
    pub fn edit(target: Seq, content: Content) -> Self {
        Self::Edit { target, content, flags: Vec::new() }
    }

    /// The digest of the command's validated fields, before any transform, under
    /// a key that all nodes share: so that what is stored says nothing about
    /// content that was erased.
    pub fn digest(&self, key: &[u8; 32]) -> Digest {
        let mut bytes = Vec::with_capacity(128);
        // Writing to a Vec cannot fail.
        let _infallible = minicbor::encode(self, &mut bytes);
        let hash = blake3::keyed_hash(key, &bytes);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.as_bytes()[..16]);
        Digest(digest)
    }

    /// The rows that `decide` needs: the actor's and the targets', nothing else.
    pub fn names(&self, actor: &UserId) -> Vec<RowKey> {
        let mut keys = vec![RowKey::Conversation, RowKey::Member(actor.clone())];
        match self {
            Self::Create(creation) => {
                keys.extend(creation.participants.iter().map(|p| RowKey::Member(p.user.clone())));
            }
            Self::Send { reply_to, thread, .. } => {
                keys.extend(reply_to.iter().chain(thread).copied().map(RowKey::Message));
            }
            Self::Edit { target, .. }
            | Self::DeleteMessage { target }
            | Self::Pin { target }
            | Self::Unpin { target } => keys.push(RowKey::Message(*target)),
            // A wider one is refused, whatever the rows are.
            Self::Expire { from, to } => {
                let last = (*to).min(from.saturating_add(MAX_EXPIRED_ROWS - 1));
                keys.extend((*from..=last).map(RowKey::Message));
            }
            Self::AddReaction { target, .. } | Self::RemoveReaction { target, .. } => {
                keys.push(RowKey::Message(*target));
                keys.push(RowKey::Reactions(*target, actor.clone()));
            }
            Self::AddParticipants { users } => {
                keys.extend(users.iter().cloned().map(RowKey::Member));
            }
            Self::Remove { user, .. }
            | Self::UpdateRole { user, .. }
            | Self::TransferOwnership { user }
            | Self::Unmute { user }
            | Self::Unban { user }
            | Self::Block { user }
            | Self::Unblock { user }
            | Self::Mute(Sentence { user, .. })
            | Self::Ban(Sentence { user, .. }) => keys.push(RowKey::Member(user.clone())),
            Self::Update { .. }
            | Self::Archive
            | Self::Unarchive
            | Self::Delete { .. }
            | Self::Restore
            | Self::Join => {}
        }
        keys
    }
}
