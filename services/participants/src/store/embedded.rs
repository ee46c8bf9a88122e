//! The ports on the embedded engine, each key beginning with the tenant. It owns
//! their keys and formats, and decides nothing: the guards are
//! `confab_log::inbox` and [`newer`].
//!
//! ```text
//! participants_members           tenant, conversation, user     → MemberRow
//! participants_rosters           tenant, conversation           → the event that changed it last
//! participants_inbox_entries     tenant, user, conversation     → Entry
//! participants_inbox_events      tenant, user, inbox_seq        → InboxEvent
//! participants_inbox_heads       tenant, user                   → the last inbox_seq
//! participants_profiles          tenant, user                   → Profile
//! participants_blocks            tenant, user, blocked user     → since when
//! participants_actions           tenant, conversation, seq, nth → Action
//! participants_reports           tenant, report                 → Report
//! participants_reports_open      tenant, time, report           → nothing
//! participants_reports_resolved  tenant, time, report           → nothing
//! ```
//!
//! This file has the member rows; the others are in files of their own.

mod format;
mod inbox;
mod moderation;
mod sharing;
mod users;

use std::ops::Bound;

use confab_log::{
    ConversationId, Micros, Seq, TenantId, UserId,
    inbox::{Settings, admit_read},
    row::MemberRow,
};
use confab_store::{
    StoreError,
    embedded::{Direction, Engine, Keyspace, Snapshot, Transaction},
};

use self::inbox::Inbox;
use super::MemberStore;
use crate::domain::{
    Effects, Filter, InboxBody, InboxEvent, InboxPage, Memberships, SettingsChanges, Sharing, newer,
};

/// Rows read at once while a filter looks for the ones it shows.
const SCAN: usize = 256;

/// Member rows and inboxes in a data folder.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    engine: Engine,
    spaces: Spaces,
}

#[derive(Clone, Debug)]
struct Spaces {
    members: Keyspace,
    rosters: Keyspace,
    entries: Keyspace,
    events: Keyspace,
    heads: Keyspace,
    profiles: Keyspace,
    blocks: Keyspace,
    actions: Keyspace,
    reports: Keyspace,
    open_reports: Keyspace,
    resolved_reports: Keyspace,
}

impl EmbeddedStore {
    /// Opens its keyspaces; for the start-up.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        let spaces = Spaces {
            members: engine.keyspace("participants_members")?,
            rosters: engine.keyspace("participants_rosters")?,
            entries: engine.keyspace("participants_inbox_entries")?,
            events: engine.keyspace("participants_inbox_events")?,
            heads: engine.keyspace("participants_inbox_heads")?,
            profiles: engine.keyspace("participants_profiles")?,
            blocks: engine.keyspace("participants_blocks")?,
            actions: engine.keyspace("participants_actions")?,
            reports: engine.keyspace("participants_reports")?,
            open_reports: engine.keyspace("participants_reports_open")?,
            resolved_reports: engine.keyspace("participants_reports_resolved")?,
        };
        Ok(Self { engine: engine.clone(), spaces })
    }

    /// A transaction that is given up when `work` fails.
    async fn transact<R, F>(&self, work: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&Spaces, &mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    {
        let spaces = self.spaces.clone();
        let run = move |transaction: &mut Transaction<'_>| {
            let result = work(&spaces, transaction);
            if result.is_err() {
                transaction.discard();
            }
            result
        };
        self.engine.transact(run).await?
    }

    fn head(&self, snapshot: &Snapshot, inbox: &[u8]) -> Result<u64, StoreError> {
        let head = snapshot.get(&self.spaces.heads, inbox)?;
        head.map_or(Ok(0), |value| format::decode(&value))
    }
}

impl MemberStore for EmbeddedStore {
    async fn members(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        let snapshot = self.engine.snapshot();
        let mut rows = Vec::with_capacity(users.len());
        for user in users {
            let key = format::member_key(tenant, conversation, user);
            if let Some(value) = snapshot.get(&self.spaces.members, key)? {
                rows.push((user.clone(), format::decode(&value)?));
            }
        }
        Ok(rows)
    }

    async fn roster(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        after: Option<&UserId>,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        let prefix = format::conversation_key(tenant, conversation);
        let end = format::after_prefix(&prefix);
        let first = after.map(|user| format::member_key(tenant, conversation, user));
        // No key is just the prefix, so "above it" is "from the first user".
        let mut from = first.unwrap_or_else(|| prefix.clone());
        let snapshot = self.engine.snapshot();
        let mut shown = Vec::new();
        while shown.len() < limit {
            let range = (Bound::Excluded(from), Bound::Excluded(end.clone()));
            let rows = snapshot.range(&self.spaces.members, range, Direction::Forward, SCAN)?;
            for (key, value) in &rows {
                let row: MemberRow = format::decode(value)?;
                if shown.len() < limit && filter.shows(&row) {
                    shown.push((format::user_of(&prefix, key)?, row));
                }
            }
            match rows.last() {
                Some((key, _)) if rows.len() == SCAN => from = key.to_vec(),
                _ => break,
            }
        }
        Ok(shown)
    }

    async fn roster_seq(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
    ) -> Result<Option<Seq>, StoreError> {
        // It is written with the rows.
        let key = format::conversation_key(tenant, conversation);
        let seq = self.engine.snapshot().get(&self.spaces.rosters, key)?;
        seq.map_or(Ok(Some(0)), |value| format::decode(&value).map(Some))
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        effects: Effects,
    ) -> Result<Vec<(UserId, InboxEvent)>, StoreError> {
        let (tenant, conversation) = (tenant.clone(), conversation.clone());
        self.transact(move |spaces, transaction| {
            for (user, row) in &effects.rows {
                let key = format::member_key(&tenant, &conversation, user);
                let stored = transaction.get(&spaces.members, &key)?;
                let stored = stored.map(|value| format::decode(&value)).transpose()?;
                if newer(stored.as_ref(), row) {
                    transaction.put(&spaces.members, key, format::encode(row));
                }
            }
            if !effects.rows.is_empty() {
                let key = format::conversation_key(&tenant, &conversation);
                let known = transaction.get(&spaces.rosters, &key)?;
                let known: Seq = known.map_or(Ok(0), |value| format::decode(&value))?;
                if known < effects.seq {
                    transaction.put(&spaces.rosters, key, format::encode(&effects.seq));
                }
            }
            let mut taken = Vec::new();
            for effect in &effects.inbox {
                let mut inbox = Inbox { spaces, tenant: &tenant, user: &effect.user, transaction };
                let event = inbox.take(&conversation, effects.seq, effects.time, effect)?;
                taken.extend(event.map(|event| (effect.user.clone(), event)));
            }
            moderation::record(spaces, transaction, &tenant, &conversation, effects)?;
            Ok(taken)
        })
        .await
    }

    async fn memberships(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Memberships, StoreError> {
        let inbox = format::inbox_key(tenant, user);
        let snapshot = self.engine.snapshot();
        let head = self.head(&snapshot, &inbox)?;
        let rows = snapshot.prefix(&self.spaces.entries, &inbox, Direction::Forward, usize::MAX)?;
        let entries = rows.iter().map(|(key, value)| {
            Ok((format::conversation_of(&inbox, key)?, format::decode(value)?))
        });
        Ok(Memberships { head, entries: entries.collect::<Result<_, StoreError>>()? })
    }

    async fn sharing(
        &self,
        tenant: &TenantId,
        user: &UserId,
        others: &[UserId],
    ) -> Result<Sharing, StoreError> {
        sharing::sharing(&self.engine.snapshot(), &self.spaces.entries, tenant, user, others)
    }

    async fn record_read(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        read_seq: Seq,
        time: Micros,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let (tenant, user, conversation) = (tenant.clone(), user.clone(), conversation.clone());
        self.transact(move |spaces, transaction| {
            let mut inbox = Inbox { spaces, tenant: &tenant, user: &user, transaction };
            let Some(mut entry) = inbox.entry(&conversation)? else { return Ok(None) };
            if !admit_read(&mut entry, read_seq) {
                return Ok(None);
            }
            let body = InboxBody::Read { seq: read_seq };
            inbox.append(&conversation, &entry, time, body).map(Some)
        })
        .await
    }

    async fn arrange(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        changes: SettingsChanges,
        time: Micros,
    ) -> Result<Option<(Settings, Option<InboxEvent>)>, StoreError> {
        let (tenant, user, conversation) = (tenant.clone(), user.clone(), conversation.clone());
        self.transact(move |spaces, transaction| {
            let mut inbox = Inbox { spaces, tenant: &tenant, user: &user, transaction };
            let Some(mut entry) = inbox.entry(&conversation)? else { return Ok(None) };
            let settings = changes.applied_to(entry.settings);
            if settings == entry.settings {
                return Ok(Some((settings, None)));
            }
            entry.settings = settings;
            let body = InboxBody::Arranged(settings);
            let event = inbox.append(&conversation, &entry, time, body)?;
            Ok(Some((settings, Some(event))))
        })
        .await
    }

    async fn inbox(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: u64,
        limit: usize,
    ) -> Result<InboxPage, StoreError> {
        let inbox = format::inbox_key(tenant, user);
        let snapshot = self.engine.snapshot();
        let head = self.head(&snapshot, &inbox)?;
        if after >= head {
            return Ok(InboxPage { head, events: Vec::new() });
        }
        let range = format::event_key(&inbox, after + 1)..=format::event_key(&inbox, head);
        let rows = snapshot.range(&self.spaces.events, range, Direction::Forward, limit)?;
        let events = rows.iter().map(|(_, value)| format::decode(value));
        Ok(InboxPage { head, events: events.collect::<Result<_, StoreError>>()? })
    }
}
