//! Folding: applying a conversation's events to what was read of it gives what a
//! fresh read returns (promise P5). Pure: no clock, no network.
//!
//! Every object says with `applied_seq` which event changed it last. An event at
//! or below that is in the object already and is skipped *for that object*; the
//! others it touches still take it. So pages read at different times, and a
//! replay whose messages are given as they are now, all come out the same.

mod conversation;
mod diff;
mod message;
mod participant;
mod snapshot;

use std::collections::BTreeMap;

use confab_proto::{
    conversations::v1::Conversation,
    messages::v1::{Event, Message, event::Kind},
    participants::v1::Participant,
};
use message::MessageEntry;

pub use snapshot::Snapshot;

/// What keeps an event from being applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Events are missing before this one.
    #[error("event {got} cannot follow {applied}: events are missing")]
    Hole {
        /// The last event applied.
        applied: u64,
        /// The one that came.
        got: u64,
    },
    /// The event is of another conversation.
    #[error("the event is of another conversation")]
    OtherConversation,
}

/// A conversation as its events made it, seen by one user.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationState {
    conversation_id: String,
    reader_id: String,
    applied_seq: u64,
    conversation: Option<Conversation>,
    /// The conversation reflects every event up to this one, whether or not it
    /// changed the conversation.
    conversation_as_of: u64,
    participants: BTreeMap<String, Participant>,
    messages: BTreeMap<u64, MessageEntry>,
    /// All messages from this seq on are here.
    messages_from: u64,
}

impl ConversationState {
    /// The empty state, before event 1. `reader_id` is who looks: whose reactions
    /// are marked as their own.
    pub fn new(conversation_id: impl Into<String>, reader_id: impl Into<String>) -> Self {
        Self {
            conversation_id: conversation_id.into(),
            reader_id: reader_id.into(),
            applied_seq: 0,
            conversation: None,
            conversation_as_of: 0,
            participants: BTreeMap::new(),
            messages: BTreeMap::new(),
            messages_from: 0,
        }
    }

    /// The state that reads gave. Events above [`Self::applied_seq`] are to be
    /// applied next: watch from there.
    pub fn from_snapshot(snapshot: Snapshot, reader_id: impl Into<String>) -> Self {
        snapshot.into_state(reader_id.into())
    }

    /// Applies the next event. `false`: it was applied before.
    ///
    /// # Errors
    /// [`FoldError::Hole`] when events are missing in between, which a stream of
    /// this crate never lets happen; after a hidden part of the log (see
    /// [`Update::Hidden`](crate::Update::Hidden)) a new snapshot has to be read.
    pub fn apply(&mut self, event: &Event) -> Result<bool, FoldError> {
        if event.conversation_id != self.conversation_id {
            return Err(FoldError::OtherConversation);
        }
        if event.seq <= self.applied_seq {
            return Ok(false);
        }
        if event.seq != self.applied_seq + 1 {
            return Err(FoldError::Hole { applied: self.applied_seq, got: event.seq });
        }
        self.applied_seq = event.seq;
        if let Some(kind) = &event.kind {
            self.fold(event, kind);
        }
        Ok(true)
    }

    fn fold(&mut self, event: &Event, kind: &Kind) {
        match kind {
            Kind::ConversationCreated(creation) => self.create(event, creation),
            Kind::ConversationUpdated(changes) => self.describe(event, |conversation| {
                conversation::merge(conversation, changes);
            }),
            Kind::ConversationArchived(_) => {
                self.describe(event, |conversation| conversation.archive_time = event.create_time);
            }
            Kind::ConversationUnarchived(_) => {
                self.describe(event, |conversation| conversation.archive_time = None);
            }
            Kind::ConversationDeleted(_) => {
                self.describe(event, |conversation| conversation.delete_time = event.create_time);
            }
            Kind::ConversationRestored(_) => {
                self.describe(event, |conversation| conversation.delete_time = None);
            }
            Kind::MessageCreated(message) => self.add_message(event, message),
            Kind::MessageEdited(edit) => {
                self.edit_message(event, edit.message_seq, edit.content.as_ref());
            }
            Kind::MessageDeleted(deletion) => self.delete_message(event, deletion.message_seq),
            Kind::ReactionAdded(added) => {
                self.react(event, added.message_seq, &added.emoji, true);
            }
            Kind::ReactionRemoved(removed) => {
                self.react(event, removed.message_seq, &removed.emoji, false);
            }
            Kind::ParticipantsJoined(joined) => self.join_all(event, &joined.participants),
            Kind::ParticipantLeft(left) => self.leave(event, &left.user_id),
            Kind::RolesChanged(roles) => self.change_roles(event, &roles.changes),
            Kind::ParticipantMuted(mute) => {
                let restriction = participant::restriction(event, mute.until, &mute.reason);
                self.participant(event, &mute.user_id, |row| row.mute = Some(restriction));
            }
            Kind::ParticipantUnmuted(unmute) => {
                self.participant(event, &unmute.user_id, |row| row.mute = None);
            }
            Kind::ParticipantBanned(ban) => {
                let restriction = participant::restriction(event, ban.until, &ban.reason);
                self.ban(event, &ban.user_id, restriction);
            }
            Kind::ParticipantUnbanned(unban) => {
                self.participant(event, &unban.user_id, |row| row.ban = None);
            }
            Kind::MessagePinned(pin) => {
                self.change(event, |conversation| conversation.pinned_seqs.push(pin.message_seq));
            }
            Kind::MessageUnpinned(unpin) => self.unpin(event, |pin| pin == unpin.message_seq),
            Kind::MessagesExpired(gone) => {
                self.expire_messages(event, gone.from_seq, gone.to_seq);
            }
            Kind::ParticipantBlocked(_) => self.change(event, |conversation| {
                conversation.blocked_by_ids.push(event.actor_id.clone());
            }),
            Kind::ParticipantUnblocked(_) => self.change(event, |conversation| {
                conversation.blocked_by_ids.retain(|id| *id != event.actor_id);
            }),
        }
    }

    /// Which conversation.
    pub fn conversation_id(&self) -> &str {
        &self.conversation_id
    }

    /// Who looks.
    pub fn reader_id(&self) -> &str {
        &self.reader_id
    }

    /// A state of reads alone, once it is known who made them.
    pub(crate) fn read_by(mut self, reader_id: String) -> Self {
        self.reader_id = reader_id;
        self
    }

    /// The last event applied: the cursor to watch from.
    pub fn applied_seq(&self) -> u64 {
        self.applied_seq
    }

    /// The conversation; `None` before event 1.
    pub fn conversation(&self) -> Option<&Conversation> {
        self.conversation.as_ref()
    }

    /// The participants of now, in the order of their ids.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values().filter(|row| participant::is_active(row))
    }

    /// Anybody who is or was a participant, or is banned, as far as it is known.
    pub fn participant_of(&self, user_id: &str) -> Option<&Participant> {
        self.participants.get(user_id)
    }

    /// The messages, the oldest first. Deleted ones are there, without content.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.values().map(|entry| &entry.message)
    }

    /// One message.
    pub fn message(&self, seq: u64) -> Option<&Message> {
        self.messages.get(&seq).map(|entry| &entry.message)
    }

    /// All messages from this seq on are known; 0 or 1 when there are no others.
    pub fn messages_from(&self) -> u64 {
        self.messages_from
    }

    /// Forgets all but the newest messages, for a client that runs for long.
    pub fn keep_newest_messages(&mut self, count: usize) {
        while self.messages.len() > count {
            if let Some((seq, _)) = self.messages.pop_first() {
                self.messages_from = seq + 1;
            }
        }
    }

    /// Says in what two states differ; empty when they show the same. Messages
    /// that one of them never read are left out. For tests.
    pub fn diff(&self, other: &Self) -> Vec<String> {
        diff::diff(self, other)
    }
}
