//! Why a command cannot be carried out at a point of the log.

use super::{MAX_PARTICIPANTS, MAX_PINS};
use crate::{Micros, Seq, UserId};

/// Why a command cannot be carried out at this point of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The request id names another command.
    #[error("the request id was used with another body")]
    RequestIdReused,
    /// `after_seq` is above the head.
    #[error("after_seq is above the head, which is {head}")]
    AfterSeqAboveHead {
        /// The head.
        head: Seq,
    },
    /// There is none, or the actor may not know of it.
    #[error("there is no such conversation")]
    ConversationNotFound,
    /// The actor was a participant and is one no longer.
    #[error("the caller is no longer a participant")]
    NotAParticipant,
    /// The actor's role is not enough.
    #[error("the caller's role is too low")]
    RoleTooLow,
    /// The actor may not write.
    #[error("the caller is muted")]
    Muted {
        /// Until when; `None`: until it is lifted.
        until: Option<Micros>,
    },
    /// The user is kept out.
    #[error("the user {user} is banned")]
    Banned {
        /// Who.
        user: UserId,
        /// Until when; `None`: until it is lifted.
        until: Option<Micros>,
    },
    /// The conversation is read-only.
    #[error("the conversation is archived")]
    Archived,
    /// The conversation is deleted.
    #[error("the conversation is deleted")]
    Deleted,
    /// The version is not the one that the command rests on.
    #[error("the etag is stale")]
    EtagMismatch {
        /// The current version.
        version: Seq,
    },
    /// The mute or the ban would be over before it began.
    #[error("until must lie in the future")]
    UntilPassed {
        /// The conversation's time: its newest event's where a clock was ahead.
        now: Micros,
    },
    /// The state is already what the command asks for.
    #[error("there is nothing to change")]
    NoChange,
    /// Not possible between two people.
    #[error("not possible in a direct conversation")]
    DirectConversation,
    /// The conversation is full.
    #[error("a conversation has at most {MAX_PARTICIPANTS} participants")]
    TooManyParticipants,
    /// The target is not a participant.
    #[error("the user {user} is not a participant")]
    ParticipantNotFound {
        /// Who.
        user: UserId,
    },
    /// The target is a participant.
    #[error("the user {user} is a participant already")]
    AlreadyAParticipant {
        /// Who.
        user: UserId,
    },
    /// The owner leaves others behind.
    #[error("the owner must transfer the ownership first")]
    OwnerMustTransfer,
    /// The target is the actor.
    #[error("the command would act on the caller")]
    TargetIsCaller,
    /// There is no such message.
    #[error("there is no such message")]
    MessageNotFound,
    /// The message is gone.
    #[error("the message is deleted")]
    MessageDeleted,
    /// The message is somebody else's.
    #[error("only the sender may do this")]
    NotTheSender,
    /// The actor has reacted so already.
    #[error("the caller has this reaction already")]
    ReactionExists,
    /// The actor has not reacted so.
    #[error("the caller has no such reaction")]
    ReactionNotFound,
    /// The message or the actor has as many emoji as can be.
    #[error("the message has too many distinct reactions")]
    TooManyReactions,
    /// The message was edited as often as can be.
    #[error("the message was edited too often")]
    TooManyEdits,
    /// The message is inside a thread.
    #[error("a message inside a thread cannot begin a thread")]
    NotAThreadRoot,
    /// The conversation has as many pins as can be.
    #[error("a conversation has at most {MAX_PINS} pinned messages")]
    TooManyPins,
    /// Not a channel.
    #[error("only a channel can be public")]
    OnlyChannels,
    /// Not a public channel.
    #[error("only a public channel can be joined")]
    NotPublic,
    /// A block stands between the two.
    #[error("the user {user} has blocked the other side")]
    Blocked {
        /// Who has blocked.
        user: UserId,
    },
    /// A content rule of the tenant refuses the message.
    #[error("the content rule {rule} refuses the message")]
    ContentRefused {
        /// Its name.
        rule: String,
    },
}
