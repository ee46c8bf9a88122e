//! What moderators do, as a record of its own: made of events by the fold, so
//! that nobody who moderates can be missing in it.

use crate::{
    Event, EventBody, Micros, Seq, UserId, event::LeaveCause, event::Role, event::Sentence,
};

/// What a moderator, or a content rule, did by an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moderation {
    /// What.
    pub act: Act,
    /// On whom.
    pub target: UserId,
    /// What the moderator wrote, or the content rule's name.
    pub reason: String,
}

/// What moderators can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Removed a participant.
    Removed,
    /// Kicked a participant.
    Kicked,
    /// Banned a user, until then.
    Banned(Option<Micros>),
    /// Lifted a ban.
    Unbanned,
    /// Muted a participant, until then.
    Muted(Option<Micros>),
    /// Lifted a mute.
    Unmuted,
    /// Gave a participant this role.
    RoleChanged(Role),
    /// Deleted somebody else's message.
    MessageDeleted(Seq),
    /// Flagged a message.
    MessageFlagged(Seq),
}

/// What an event does to others by a moderator's right. `sender` is who wrote
/// the message that the event is about, where it is about one.
pub(crate) fn of(event: &Event, sender: Option<&UserId>) -> Vec<Moderation> {
    let on = |act: Act, target: &UserId, reason: &str| Moderation {
        act,
        target: target.clone(),
        reason: reason.to_owned(),
    };
    let flagged = |message: Seq, flags: &[String]| {
        let flags = flags.iter();
        flags.map(|flag| on(Act::MessageFlagged(message), &event.actor, flag)).collect()
    };
    match &event.body {
        EventBody::MessageCreated(message) => flagged(event.seq, &message.flags),
        EventBody::MessageEdited { target, flags, .. } => flagged(*target, flags),
        EventBody::MessageDeleted { target } => {
            let others = sender.filter(|sender| **sender != event.actor).into_iter();
            others.map(|sender| on(Act::MessageDeleted(*target), sender, "")).collect()
        }
        EventBody::ParticipantLeft { user, cause, reason } if *user != event.actor => {
            let act = match cause {
                LeaveCause::Kicked => Act::Kicked,
                LeaveCause::Left | LeaveCause::Removed => Act::Removed,
            };
            vec![on(act, user, reason)]
        }
        EventBody::RolesChanged(changes) => {
            let others = changes.iter().filter(|change| change.user != event.actor);
            others.map(|change| on(Act::RoleChanged(change.role), &change.user, "")).collect()
        }
        EventBody::ParticipantMuted(Sentence { user, until, reason }) => {
            vec![on(Act::Muted(*until), user, reason)]
        }
        EventBody::ParticipantUnmuted { user } => vec![on(Act::Unmuted, user, "")],
        EventBody::ParticipantBanned(Sentence { user, until, reason }) => {
            vec![on(Act::Banned(*until), user, reason)]
        }
        EventBody::ParticipantUnbanned { user } => vec![on(Act::Unbanned, user, "")],
        _ => Vec::new(),
    }
}
