//! The conversation itself under events. The rules are those of the server's
//! fold; the etag is the seq of the event that moved it last, in decimal.

use confab_proto::{
    conversations::v1::{Conversation, ConversationType, HistoryVisibility},
    messages::v1::{ConversationCreated, ConversationUpdated, Event, Retention},
    participants::v1::Role,
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
        let owner = creation.participants.iter().find(|first| first.role == i32::from(Role::Owner));
        let owner = owner.filter(|_| creation.r#type != i32::from(ConversationType::Direct));
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
            history_visibility: history(creation.history_visibility),
            public: creation.public,
            pinned_seqs: Vec::new(),
            blocked_by_ids: Vec::new(),
            retention: limited(creation.retention),
            expired_through_seq: 0,
            owner_id: owner.map(|first| first.user_id.clone()).unwrap_or_default(),
        });
    }

    /// Takes pins away. Only where there is one to take has the conversation changed.
    pub(super) fn unpin(&mut self, event: &Event, gone: impl Fn(u64) -> bool) {
        let pinned = self.conversation.as_ref().map(|conversation| &conversation.pinned_seqs);
        if pinned.is_some_and(|pins| pins.iter().any(|pin| gone(*pin))) {
            self.change(event, |conversation| conversation.pinned_seqs.retain(|pin| !gone(*pin)));
        }
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
    pub(super) fn count_leave(&mut self, event: &Event, user_id: &str) {
        self.change(event, |conversation| {
            if conversation.owner_id == user_id {
                conversation.owner_id.clear();
            }
            conversation.participant_count = conversation.participant_count.saturating_sub(1);
            if conversation.participant_count == 0 && conversation.delete_time.is_none() {
                conversation.delete_time = event.create_time;
                mark_described(conversation, event);
            }
        });
    }
}

/// The server's default is said.
fn history(number: i32) -> i32 {
    let unspecified = i32::from(HistoryVisibility::Unspecified);
    if number == unspecified { HistoryVisibility::Full.into() } else { number }
}

/// A retention without limits is none.
fn limited(retention: Option<Retention>) -> Option<Retention> {
    retention.filter(|kept| kept.max_age_seconds > 0 || kept.max_messages > 0)
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
    conversation.public = changes.public.unwrap_or(conversation.public);
    if let Some(number) = changes.history_visibility {
        conversation.history_visibility = history(number);
    }
    if changes.retention.is_some() {
        conversation.retention = limited(changes.retention);
    }
}
