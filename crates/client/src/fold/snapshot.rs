//! What folding starts from: answers of unary reads, each with the event that it
//! is exact at. They may have been read at different times.

use std::collections::BTreeMap;

use confab_proto::{
    conversations::v1::Conversation, messages::v1::Message, participants::v1::Participant,
};

use super::{ConversationState, message::MessageEntry};

/// Collected reads of one conversation. `Client::snapshot` fills one.
///
/// The conversation is to be read last: its number of participants then reflects
/// at least the events that the participants do.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    conversation: Option<Conversation>,
    conversation_as_of: u64,
    participants: Vec<Participant>,
    messages: Vec<Message>,
    /// The oldest of the reads.
    as_of_seq: Option<u64>,
    all_messages: bool,
}

impl Snapshot {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a page of `ListMessages`, newest first, page by page without a gap.
    /// `complete` when no older messages are left.
    pub fn add_messages(&mut self, page: Vec<Message>, as_of_seq: u64, complete: bool) {
        self.messages.extend(page);
        self.all_messages |= complete;
        self.reflect(as_of_seq);
    }

    /// Adds a page of `ListParticipants`.
    pub fn add_participants(&mut self, page: Vec<Participant>, as_of_seq: u64) {
        self.participants.extend(page);
        self.reflect(as_of_seq);
    }

    /// Adds the answer of `GetConversation`.
    pub fn add_conversation(&mut self, conversation: Conversation, as_of_seq: u64) {
        self.conversation = Some(conversation);
        self.conversation_as_of = as_of_seq;
        self.reflect(as_of_seq);
    }

    fn reflect(&mut self, as_of_seq: u64) {
        self.as_of_seq = Some(self.as_of_seq.map_or(as_of_seq, |old| old.min(as_of_seq)));
    }

    pub(crate) fn into_participants(self) -> Vec<Participant> {
        self.participants
    }

    pub(super) fn into_state(self, reader_id: String) -> ConversationState {
        let conversation_id = self.conversation.as_ref().map(|c| c.conversation_id.clone());
        let applied_seq = self.as_of_seq.unwrap_or(0);
        let messages: BTreeMap<u64, MessageEntry> = self
            .messages
            .into_iter()
            .map(|message| (message.seq, MessageEntry::from_read(message)))
            .collect();
        let oldest = messages.first_key_value().map(|(seq, _)| *seq);
        let messages_from = match (self.all_messages, oldest) {
            (true, _) => 0,
            (false, Some(oldest)) => oldest,
            // None were read: those to come are all there will be.
            (false, None) => applied_seq + 1,
        };
        let named = |row: Participant| (row.user_id.clone(), row);
        let mut state = ConversationState::new(conversation_id.unwrap_or_default(), reader_id);
        state.applied_seq = applied_seq;
        state.conversation = self.conversation;
        state.conversation_as_of = self.conversation_as_of;
        state.participants = self.participants.into_iter().map(named).collect();
        state.messages = messages;
        state.messages_from = messages_from;
        state
    }
}
