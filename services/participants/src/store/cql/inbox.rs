//! One user's inbox: a partition whose rows change together, if the head is still
//! the one that was read before everything else. Whoever loses reads again.

use bytes::Bytes;
use confab_log::{
    ConversationId, Micros, Seq, TenantId, UserId,
    inbox::{self, Entry, InboxEffect, admit},
    mutant,
};
use confab_store::{StoreError, cql::Batch};

use super::{CqlStore, conversation_of, id_bytes, number, rows_at_most, unsigned, value};
use crate::domain::{InboxBody, InboxEvent, Memberships};

/// How far back the mutant that trusts an inbox's tail looks.
const TAIL: usize = 16;

/// What the rows of an inbox are. The head is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By conversation.
    Entry = 1,
    /// By `inbox_seq`.
    Event = 2,
    /// By the blocked user.
    Block = 3,
}

/// See the module.
pub(super) struct Inbox<'a> {
    pub(super) store: &'a CqlStore,
    pub(super) tenant: String,
    pub(super) user: &'a UserId,
}

/// What becomes of an entry, and what the inbox says of it.
pub(super) struct Change {
    pub(super) entry: Entry,
    pub(super) body: InboxBody,
}

/// A row beside the event: what it is from now on; `None` removes it.
pub(super) struct Beside {
    pub(super) kind: Kind,
    pub(super) place: Vec<u8>,
    pub(super) value: Option<Bytes>,
}

impl Inbox<'_> {
    pub(super) async fn head(&self) -> Result<u64, StoreError> {
        let names = (&self.tenant, self.user.as_str());
        let head: Option<(Option<i64>,)> = self.store.statements.head.first(names).await?;
        unsigned(head.and_then(|(head,)| head).unwrap_or(0))
    }

    pub(super) async fn value(
        &self,
        kind: Kind,
        place: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let values = (&self.tenant, self.user.as_str(), kind as i32, place);
        let row: Option<(Option<Vec<u8>>,)> = self.store.statements.value.first(values).await?;
        Ok(row.and_then(|(value,)| value))
    }

    /// Changes an entry as is decided on what it is now, and tells of it; `None`
    /// when there is nothing to change.
    pub(super) async fn change_entry(
        &self,
        conversation: &ConversationId,
        time: Micros,
        mut decide: impl FnMut(Option<Entry>) -> Option<Change> + Send,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let place = id_bytes(conversation);
        loop {
            // The head before the entry: an entry older than it would be lost.
            let head = self.head().await?;
            let entry = self.value(Kind::Entry, &place).await?;
            let entry = entry.map(|entry| value::decode(&entry)).transpose()?;
            let Some(Change { entry, body }) = decide(entry) else { return Ok(None) };
            let entry = Some(value::encode(&entry));
            let beside = Beside { kind: Kind::Entry, place: place.clone(), value: entry };
            let told = self.push(head, Some(conversation.clone()), time, body, beside).await?;
            if told.is_some() {
                return Ok(told);
            }
        }
    }

    /// The event, the head and the row beside it: all of them, or nothing if the
    /// head is another one.
    pub(super) async fn push(
        &self,
        head: u64,
        conversation: Option<ConversationId>,
        time: Micros,
        body: InboxBody,
        beside: Beside,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let statements = &self.store.statements;
        let names = || (self.tenant.clone(), self.user.to_string());
        let event = InboxEvent { inbox_seq: head + 1, conversation, time, body };
        let (before, after) = (number(head), number(head + 1));
        let mut batch = Batch::default();
        let (tenant, user) = names();
        if head == 0 {
            batch.condition(&statements.add_head, (tenant, user, after));
        } else {
            batch.condition(&statements.raise_head, (after, tenant, user, before));
        }
        let (tenant, user) = names();
        let place = event.inbox_seq.to_be_bytes().to_vec();
        let values = (tenant, user, Kind::Event as i32, place, value::encode(&event));
        batch.write(&statements.put_value, values);
        let (tenant, user) = names();
        let (kind, place) = (beside.kind as i32, beside.place);
        match beside.value {
            Some(value) => batch.write(&statements.put_value, (tenant, user, kind, place, value)),
            None => batch.write(&statements.remove_value, (tenant, user, kind, place)),
        }
        Ok(self.store.cql.write_if(batch).await?.then_some(event))
    }

    /// The head is read first, so that nothing up to it is missing in the entries.
    pub(super) async fn memberships(&self) -> Result<Memberships, StoreError> {
        type Row = (i32, Vec<u8>, Option<Vec<u8>>, Option<i64>);
        let names = (self.tenant.clone(), self.user.to_string());
        let rows: Vec<Row> = self.store.statements.entries.all(names).await?;
        let mut memberships = Memberships::default();
        for (_, place, value, head) in rows {
            if let Some(head) = head {
                memberships.head = unsigned(head)?;
            }
            if let Some(value) = value {
                memberships.entries.push((conversation_of(&place)?, value::decode(&value)?));
            }
        }
        Ok(memberships)
    }

    /// Whether one of the newest events is this effect. Only a mutant asks.
    async fn in_tail(&self, conversation: &ConversationId, seq: Seq) -> Result<bool, StoreError> {
        let values = (&self.tenant, self.user.as_str(), rows_at_most(TAIL));
        let rows: Vec<(Vec<u8>,)> = self.store.statements.newest_events.rows(values).await?;
        for (row,) in &rows {
            let event: InboxEvent = value::decode(row)?;
            let (InboxBody::Joined { seq: at, .. } | InboxBody::Left { seq: at }) = event.body
            else {
                continue;
            };
            if at == seq && event.conversation.as_ref() == Some(conversation) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl CqlStore {
    /// Takes an effect, unless it or a later one was taken before.
    pub(super) async fn take(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        seq: Seq,
        time: Micros,
        effect: &InboxEffect,
    ) -> Result<Option<(UserId, InboxEvent)>, StoreError> {
        let inbox = self.inbox_of(tenant, &effect.user);
        let in_tail = mutant::is("inbox-tail-only") && inbox.in_tail(conversation, seq).await?;
        let decide = |entry: Option<Entry>| {
            let mut entry = entry.unwrap_or_default();
            let body = match effect.change {
                inbox::Change::Joined(role) => InboxBody::Joined { seq, role },
                inbox::Change::Left => InboxBody::Left { seq },
            };
            admit(&mut entry, seq, effect.change, in_tail).then_some(Change { entry, body })
        };
        let event = inbox.change_entry(conversation, time, decide).await?;
        Ok(event.map(|event| (effect.user.clone(), event)))
    }
}
