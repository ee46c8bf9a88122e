//! Changes of the conversation's row.

use super::Folding;
use crate::{
    Row, RowKey, Seq,
    event::{Creation, Description, Role},
    row::ConversationRow,
    state::View,
};

impl<V: View> Folding<'_, V> {
    pub(super) fn create(&mut self, creation: &Creation) {
        let event = self.event;
        for assignment in &creation.participants {
            self.join(assignment);
        }
        if self.view.row(&RowKey::Conversation).is_some() {
            return;
        }
        let owner = creation.participants.iter().find(|first| first.role == Role::Owner);
        let owner = owner.filter(|_| !creation.kind.is_direct());
        let row = ConversationRow::new(
            creation.kind,
            event.actor.clone(),
            event.request_id.clone(),
            event.digest,
            event.time,
            event.seq,
        );
        let count = u32::try_from(creation.participants.len()).unwrap_or(u32::MAX);
        let owner = owner.map(|first| first.user.clone());
        let mut row = ConversationRow { participant_count: count, owner, ..row };
        merge(&mut row, &creation.description);
        self.effects.rows.push((RowKey::Conversation, Row::Conversation(row)));
    }

    pub(super) fn update(&mut self, changes: &Description) {
        self.describe(|row| merge(row, changes));
    }

    /// Changes the row unless it holds the event already.
    pub(super) fn conversation(&mut self, change: impl FnOnce(&mut ConversationRow)) {
        let Some(Row::Conversation(row)) = self.view.row(&RowKey::Conversation) else {
            return;
        };
        if row.applied_seq >= self.event.seq {
            return;
        }
        let mut row = row.clone();
        change(&mut row);
        row.applied_seq = self.event.seq;
        self.effects.rows.push((RowKey::Conversation, Row::Conversation(row)));
    }

    /// The same for a change that people see in the conversation: the etag moves.
    pub(super) fn describe(&mut self, change: impl FnOnce(&mut ConversationRow)) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.conversation(|row| {
            change(row);
            row.update_time = time;
            row.version_seq = seq;
        });
    }

    pub(super) fn pin(&mut self, target: Seq) {
        self.conversation(|row| row.pins.push(target));
    }

    /// Takes pins away; the row changes only if there is one to take.
    pub(super) fn unpin(&mut self, gone: impl Fn(Seq) -> bool) {
        let Some(Row::Conversation(row)) = self.view.row(&RowKey::Conversation) else {
            return;
        };
        if row.pins.iter().any(|pin| gone(*pin)) {
            self.conversation(|row| row.pins.retain(|pin| !gone(*pin)));
        }
    }

    pub(super) fn block(&mut self) {
        let actor = self.event.actor.clone();
        self.conversation(|row| row.blocked_by.push(actor));
    }

    pub(super) fn unblock(&mut self) {
        let actor = &self.event.actor;
        self.conversation(|row| row.blocked_by.retain(|user| user != actor));
    }
}

fn merge(row: &mut ConversationRow, changes: &Description) {
    let text = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    text(&mut row.title, &changes.title);
    text(&mut row.description, &changes.description);
    text(&mut row.avatar_url, &changes.avatar_url);
    if let Some(metadata) = &changes.metadata {
        row.metadata.clone_from(metadata);
    }
    row.public = changes.public.unwrap_or(row.public);
    row.history = changes.history.unwrap_or(row.history);
    row.retention = changes.retention.unwrap_or(row.retention);
}
