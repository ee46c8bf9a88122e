//! The conversation itself under events. The rules are those of the server's
//! fold; the etag is the seq of the event that moved it last, in decimal.

use confab_proto::{
    conversations::v1::Conversation,
    messages::v1::{ConversationCreated, ConversationUpdated, Event},
};

use super::ConversationState;

impl ConversationState {
    pub(super) fn create(&mut self, event: &Event, creation: &ConversationCreated) {
        for assignment in &creation.participants {
            self.join(event, assignment);
        }
        if self.conversation.is_some() {
            return;
        }
        self.conversation_as_of = event.seq;
        self.conversation = Some(Conversation {
            conversation_id: event.conversation_id.clone(),
            r#type: creation.r#type,
            title: creation.title.clone(),
            description: creation.description.clone(),
            avatar_url: creation.avatar_url.clone(),
            metadata: creation.metadata.clone(),
            creator_id: event.actor_id.clone(),
            participant_count: u32::try_from(creation.participants.len()).unwrap_or(u32::MAX),
            create_time: event.create_time,
            update_time: event.create_time,
            archive_time: None,
            delete_time: None,
            etag: event.seq.to_string(),
            applied_seq: event.seq,
        });
    }

    /// A change of the conversation that does not move its etag.
    pub(super) fn change(&mut self, event: &Event, change: impl FnOnce(&mut Conversation)) {
        if event.seq <= self.conversation_as_of {
            return;
        }
        let Some(conversation) = &mut self.conversation else { return };
        self.conversation_as_of = event.seq;
        if event.seq > conversation.applied_seq {
            change(conversation);
            conversation.applied_seq = event.seq;
        }
    }

    /// A change that people see in the conversation: the etag moves.
    pub(super) fn describe(&mut self, event: &Event, change: impl FnOnce(&mut Conversation)) {
        self.change(event, |conversation| {
            change(conversation);
            mark_described(conversation, event);
        });
    }

    /// One participant less. The last one who leaves deletes the conversation.
    pub(super) fn count_leave(&mut self, event: &Event) {
        self.change(event, |conversation| {
            conversation.participant_count = conversation.participant_count.saturating_sub(1);
            if conversation.participant_count == 0 && conversation.delete_time.is_none() {
                conversation.delete_time = event.create_time;
                mark_described(conversation, event);
            }
        });
    }
}

fn mark_described(conversation: &mut Conversation, event: &Event) {
    conversation.update_time = event.create_time;
    conversation.etag = event.seq.to_string();
}

pub(super) fn merge(conversation: &mut Conversation, changes: &ConversationUpdated) {
    if let Some(title) = &changes.title {
        conversation.title.clone_from(title);
    }
    if let Some(description) = &changes.description {
        conversation.description.clone_from(description);
    }
    if let Some(avatar_url) = &changes.avatar_url {
        conversation.avatar_url.clone_from(avatar_url);
    }
    if let Some(metadata) = &changes.metadata {
        conversation.metadata.clone_from(&metadata.entries);
    }
}
