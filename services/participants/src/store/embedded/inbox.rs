//! Appending to an inbox: the entry that guards it, the event, and the head.

use confab_log::{
    ConversationId, Micros, Seq, TenantId, UserId,
    inbox::{Change, Entry, InboxEffect, admit},
    mutant,
};
use confab_store::{
    StoreError,
    embedded::{Direction, Transaction},
};

use super::{Spaces, format};
use crate::domain::{InboxBody, InboxEvent};

/// How far back the mutant that trusts an inbox's tail looks.
const TAIL: usize = 16;

/// One user's inbox inside a transaction.
pub(super) struct Inbox<'a, 'b> {
    pub(super) spaces: &'a Spaces,
    pub(super) tenant: &'a TenantId,
    pub(super) user: &'a UserId,
    pub(super) transaction: &'a mut Transaction<'b>,
}

impl Inbox<'_, '_> {
    pub(super) fn entry(
        &mut self,
        conversation: &ConversationId,
    ) -> Result<Option<Entry>, StoreError> {
        let key = format::entry_key(self.tenant, self.user, conversation);
        let value = self.transaction.get(&self.spaces.entries, key)?;
        value.map(|value| format::decode(&value)).transpose()
    }

    /// Takes an effect, unless it or a later one was taken before.
    pub(super) fn take(
        &mut self,
        conversation: &ConversationId,
        seq: Seq,
        time: Micros,
        effect: &InboxEffect,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let mut entry = self.entry(conversation)?.unwrap_or_default();
        let in_tail = mutant::is("inbox-tail-only") && self.in_tail(conversation, seq)?;
        if !admit(&mut entry, seq, effect.change, in_tail) {
            return Ok(None);
        }
        let body = match effect.change {
            Change::Joined(role) => InboxBody::Joined { seq, role },
            Change::Left => InboxBody::Left { seq },
        };
        self.append(conversation, &entry, time, body).map(Some)
    }

    /// The entry, the event and the head: all of them or nothing.
    pub(super) fn append(
        &mut self,
        conversation: &ConversationId,
        entry: &Entry,
        time: Micros,
        body: InboxBody,
    ) -> Result<InboxEvent, StoreError> {
        let entry_key = format::entry_key(self.tenant, self.user, conversation);
        self.transaction.put(&self.spaces.entries, entry_key, format::encode(entry));
        self.push(Some(conversation.clone()), time, body)
    }

    /// The event and the head.
    pub(super) fn push(
        &mut self,
        conversation: Option<ConversationId>,
        time: Micros,
        body: InboxBody,
    ) -> Result<InboxEvent, StoreError> {
        let inbox = format::inbox_key(self.tenant, self.user);
        let head = self.transaction.get(&self.spaces.heads, &inbox)?;
        let head: u64 = head.map_or(Ok(0), |value| format::decode(&value))?;
        let inbox_seq = head + 1;
        let event = InboxEvent { inbox_seq, conversation, time, body };
        let event_key = format::event_key(&inbox, inbox_seq);
        self.transaction.put(&self.spaces.events, event_key, format::encode(&event));
        self.transaction.put(&self.spaces.heads, inbox, format::encode(&inbox_seq));
        Ok(event)
    }

    /// Whether one of the newest events is this effect. Only a mutant asks.
    fn in_tail(&mut self, conversation: &ConversationId, effect: Seq) -> Result<bool, StoreError> {
        let inbox = format::inbox_key(self.tenant, self.user);
        let rows =
            self.transaction.prefix(&self.spaces.events, inbox, Direction::Backward, TAIL)?;
        for (_, value) in &rows {
            let event: InboxEvent = format::decode(value)?;
            let same = match event.body {
                InboxBody::Joined { seq, .. } | InboxBody::Left { seq } => seq == effect,
                _ => false,
            };
            if same && event.conversation.as_ref() == Some(conversation) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
