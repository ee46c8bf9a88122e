//! `fold(state, event) → changed rows`.
//!
//! Folding is total: an event in the log has happened, and nothing here can
//! refuse it. It is idempotent: a row whose `applied_seq` is at or above the
//! event's already holds the change and is left alone. And it is whole: what
//! comes out are complete rows, so applying an effect is one conditional write
//! ("unless the stored row is as new") that a crash can only repeat.
//!
//! This file says what an event needs and where it goes; the changes are in
//! `conversation`, `members` and `messages`.

mod conversation;
mod members;
mod messages;

use crate::{
    Event, EventBody, Row, RowKey, Seq, UserId,
    event::{Assignment, Creation, Sentence},
    inbox::InboxEffect,
    moderation::{self, Moderation},
    state::View,
};

/// What an event changes besides the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects {
    /// Changed rows, whole; their `applied_seq` is the event's seq.
    pub rows: Vec<(RowKey, Row)>,
    /// Edit events whose content is to be blanked.
    pub blanked: Vec<Seq>,
    /// What users' inboxes are told.
    pub inbox: Vec<InboxEffect>,
    /// By what else messages are to be found. Only ever added.
    pub index: Vec<Index>,
    /// For the record of moderation.
    pub moderation: Vec<Moderation>,
}

/// Finds messages by something else than their place. An entry is a hint: the
/// message itself says whether it still holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// The message is in the thread of `root`.
    Thread {
        /// The message that the thread began with.
        root: Seq,
        /// The message.
        message: Seq,
    },
    /// The message mentions a user, or did.
    Mention {
        /// Who is mentioned.
        user: UserId,
        /// The message.
        message: Seq,
    },
}

impl Effects {
    /// Whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.blanked.is_empty()
            && self.inbox.is_empty()
            && self.index.is_empty()
            && self.moderation.is_empty()
    }
}

/// The rows that folding `event` needs.
pub fn names(event: &Event) -> Vec<RowKey> {
    let members = |users: &[Assignment]| -> Vec<RowKey> {
        users.iter().map(|assignment| RowKey::Member(assignment.user.clone())).collect()
    };
    match &event.body {
        EventBody::ConversationCreated(Creation { participants, .. }) => {
            with_conversation(members(participants))
        }
        EventBody::ConversationUpdated(_)
        | EventBody::ConversationArchived
        | EventBody::ConversationUnarchived
        | EventBody::ConversationDeleted
        | EventBody::ConversationRestored
        | EventBody::MessagePinned { .. }
        | EventBody::MessageUnpinned { .. }
        | EventBody::ParticipantBlocked { .. }
        | EventBody::ParticipantUnblocked { .. } => vec![RowKey::Conversation],
        EventBody::MessageCreated(message) => {
            message.thread.into_iter().map(RowKey::Message).collect()
        }
        EventBody::MessageEdited { target, .. } => vec![RowKey::Message(*target)],
        EventBody::MessageDeleted { target } => with_conversation(vec![RowKey::Message(*target)]),
        EventBody::MessagesExpired { from, to } => {
            with_conversation((*from..=*to).map(RowKey::Message).collect())
        }
        EventBody::ReactionAdded { target, .. } | EventBody::ReactionRemoved { target, .. } => {
            vec![RowKey::Message(*target), RowKey::Reactions(*target, event.actor.clone())]
        }
        EventBody::ParticipantsJoined(users) | EventBody::RolesChanged(users) => {
            with_conversation(members(users))
        }
        EventBody::ParticipantLeft { user, .. }
        | EventBody::ParticipantBanned(Sentence { user, .. }) => {
            with_conversation(vec![RowKey::Member(user.clone())])
        }
        EventBody::ParticipantMuted(Sentence { user, .. })
        | EventBody::ParticipantUnmuted { user }
        | EventBody::ParticipantUnbanned { user } => vec![RowKey::Member(user.clone())],
    }
}

fn with_conversation(mut keys: Vec<RowKey>) -> Vec<RowKey> {
    keys.push(RowKey::Conversation);
    keys
}

/// Folds one event over the rows it names.
pub fn fold(view: &impl View, event: &Event) -> Effects {
    let mut folding = Folding { view, event, effects: Effects::default() };
    folding.run();
    folding.effects.moderation = moderation::of(event, folding.sender_of_target());
    folding.effects
}

struct Folding<'a, V> {
    view: &'a V,
    event: &'a Event,
    effects: Effects,
}

impl<V: View> Folding<'_, V> {
    fn run(&mut self) {
        let (event, time) = (self.event, self.event.time);
        match &event.body {
            EventBody::ConversationCreated(creation) => self.create(creation),
            EventBody::ConversationUpdated(changes) => self.update(changes),
            EventBody::ConversationArchived => self.describe(|row| row.archive_time = Some(time)),
            EventBody::ConversationUnarchived => self.describe(|row| row.archive_time = None),
            EventBody::ConversationDeleted => self.describe(|row| row.delete_time = Some(time)),
            EventBody::ConversationRestored => self.describe(|row| row.delete_time = None),
            EventBody::MessageCreated(message) => self.create_message(message),
            EventBody::MessageEdited { target, content, .. } => {
                self.edit_message(*target, content.as_ref());
            }
            EventBody::MessageDeleted { target } => self.delete_message(*target),
            EventBody::MessagesExpired { from, to } => self.expire(*from, *to),
            EventBody::MessagePinned { target } => self.pin(*target),
            EventBody::MessageUnpinned { target } => self.unpin(|pin| pin == *target),
            EventBody::ReactionAdded { target, emoji } => self.react(*target, emoji, true),
            EventBody::ReactionRemoved { target, emoji } => self.react(*target, emoji, false),
            EventBody::ParticipantsJoined(users) => self.join_all(users),
            EventBody::ParticipantLeft { user, .. } => self.leave(user, |_| {}),
            EventBody::RolesChanged(changes) => self.change_roles(changes),
            EventBody::ParticipantMuted(sentence) => {
                let mute = self.restriction(sentence);
                self.member(&sentence.user, |row| row.mute = Some(mute));
            }
            EventBody::ParticipantUnmuted { user } => self.member(user, |row| row.mute = None),
            EventBody::ParticipantBanned(sentence) => self.ban(sentence),
            EventBody::ParticipantUnbanned { user } => self.member(user, |row| row.ban = None),
            EventBody::ParticipantBlocked { .. } => self.block(),
            EventBody::ParticipantUnblocked { .. } => self.unblock(),
        }
    }
}
