//! The ports on ScyllaDB or Cassandra. Member rows are written with the seq of
//! their event as timestamp: the newest stays, whatever comes when. An inbox is
//! one partition, and changes only if its head is still the one that was read.
//!
//! The tables are in `cql/migrations`. This file has the member rows; the others
//! are in files of their own.

mod inbox;
mod moderation;
mod sharing;
mod statements;
mod users;

use std::sync::Arc;

use confab_kit::clock;
use confab_log::{
    ConversationId, Micros, Seq, TenantId, UserId,
    inbox::{Entry, Settings, admit_read},
    mutant,
    row::MemberRow,
};
use confab_store::{
    StoreError,
    cql::{Batch, Cql, Migration, OpenError, limit as rows_at_most, number, unsigned},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use self::{
    inbox::{Change, Inbox, Kind},
    statements::Statements,
};
use super::{MemberStore, value};
use crate::domain::{
    Effects, Filter, InboxBody, InboxEvent, InboxPage, Memberships, SettingsChanges, Sharing,
};

/// The schema of this service.
pub const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, text: include_str!("cql/migrations/1.cql") }];

/// The name that its migrations are noted under.
pub const SERVICE: &str = "participants";

/// Rows read at once while a filter looks for the ones it shows.
const SCAN: usize = 256;
/// Rows of one write: 100 kB and less.
const ROWS_TOGETHER: usize = 256;
/// Requests under way for one call.
const TOGETHER: usize = 32;
/// Before all users, in whose place the partition has the event that changed it last.
const NOBODY: &str = "";

/// Member rows and inboxes in a keyspace.
#[derive(Clone)]
pub struct CqlStore {
    cql: Cql,
    statements: Arc<Statements>,
}

impl CqlStore {
    /// Opens the tables, which must be migrated.
    ///
    /// # Errors
    /// When the keyspace cannot be used as it is.
    pub async fn open(cql: &Cql) -> Result<Self, OpenError> {
        cql.check_migrated(SERVICE, MIGRATIONS).await?;
        let statements = Arc::new(Box::pin(Statements::prepare(cql)).await?);
        Ok(Self { cql: cql.clone(), statements })
    }

    fn inbox_of<'a>(&'a self, tenant: &TenantId, user: &'a UserId) -> Inbox<'a> {
        Inbox { store: self, tenant: text(tenant), user }
    }

    async fn write_members(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        rows: &[(UserId, MemberRow)],
    ) -> Result<(), StoreError> {
        for rows in rows.chunks(ROWS_TOGETHER) {
            let mut batch = Batch::default();
            for (user, row) in rows {
                let unguarded = mutant::is("apply-ignores-applied-seq");
                let order = if unguarded { clock::now_micros() } else { number(row.applied_seq) };
                let names = (text(tenant), id_bytes(conversation), user.to_string());
                let values = (names.0, names.1, names.2, value::encode(row), order);
                batch.write(&self.statements.put_member, values);
            }
            self.cql.write_together(batch).await?;
        }
        Ok(())
    }

    /// Writes one event's rows, between two notes. The first one is there before any of
    /// the rows can be read, by whomever: one who finds them need not know whether their
    /// writer has ended. The last one is not written before a quorum has the rows: who
    /// sees it, of whichever replica, then reads them.
    async fn change_roster(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        effects: &Effects,
    ) -> Result<(), StoreError> {
        if effects.rows.is_empty() {
            return Ok(());
        }
        let note = async |seq: Option<Seq>| {
            let names = (text(tenant), id_bytes(conversation), NOBODY);
            let order = number(effects.seq) * 2 + i64::from(seq.is_some());
            let values = (names.0, names.1, names.2, value::encode(&seq), order);
            self.statements.put_member.run(values).await
        };
        if !mutant::is("roster-noted-late") {
            note(None).await?;
        }
        self.write_members(tenant, conversation, &effects.rows).await?;
        note(Some(effects.seq)).await
    }
}

/// The tenant in a key.
fn text(tenant: &TenantId) -> String {
    let dropped = mutant::is("tenant-key-dropped");
    if dropped { "one-for-all".to_owned() } else { tenant.to_string() }
}

fn id_bytes(conversation: &ConversationId) -> Vec<u8> {
    conversation.to_bytes().to_vec()
}

fn user_of(text: &str) -> Result<UserId, StoreError> {
    UserId::parse(text).map_err(|_| StoreError::corrupt("a row of no user"))
}

fn conversation_of(bytes: &[u8]) -> Result<ConversationId, StoreError> {
    let id = bytes.try_into().map(ConversationId::from_bytes);
    id.map_err(|_| StoreError::corrupt("an inbox entry of no conversation"))
}

impl MemberStore for CqlStore {
    async fn members(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        let (tenant, id) = (text(tenant), id_bytes(conversation));
        let read = |user: &UserId| {
            let values = (tenant.clone(), id.clone(), user.to_string());
            async move { self.statements.member.first::<(Vec<u8>,)>(values).await }
        };
        let reads: Vec<_> = users.iter().map(read).collect();
        let rows: Vec<_> = stream::iter(reads).buffered(TOGETHER).try_collect().await?;
        let found = users.iter().zip(rows).filter_map(|(user, row)| Some((user, row?.0)));
        found.map(|(user, row)| Ok((user.clone(), value::decode(&row)?))).collect()
    }

    async fn roster(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        after: Option<&UserId>,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
        let (tenant, id) = (text(tenant), id_bytes(conversation));
        let mut after = after.map_or_else(|| NOBODY.to_owned(), ToString::to_string);
        let mut shown = Vec::new();
        while shown.len() < limit {
            let values = (&tenant, &id, &after, rows_at_most(SCAN));
            let rows: Vec<(String, Vec<u8>)> = self.statements.members_after.rows(values).await?;
            for (user, row) in &rows {
                let row: MemberRow = value::decode(row)?;
                if shown.len() < limit && filter.shows(&row) {
                    shown.push((user_of(user)?, row));
                }
            }
            match rows.last() {
                Some((user, _)) if rows.len() == SCAN => after.clone_from(user),
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
        let values = (text(tenant), id_bytes(conversation), NOBODY);
        let note: Option<(Vec<u8>,)> = self.statements.member.first(values).await?;
        note.map_or(Ok(Some(0)), |(seq,)| value::decode(&seq))
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        effects: Effects,
    ) -> Result<Vec<(UserId, InboxEvent)>, StoreError> {
        let inboxes = async {
            let take = |effect| self.take(tenant, conversation, effects.seq, effects.time, effect);
            let takes: Vec<_> = effects.inbox.iter().map(take).collect();
            stream::iter(takes).buffered(TOGETHER).try_collect::<Vec<_>>().await
        };
        let members = self.change_roster(tenant, conversation, &effects);
        let ((), taken, ()) =
            tokio::try_join!(members, inboxes, self.record(tenant, conversation, &effects),)?;
        Ok(taken.into_iter().flatten().collect())
    }

    async fn memberships(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Memberships, StoreError> {
        self.inbox_of(tenant, user).memberships().await
    }

    async fn sharing(
        &self,
        tenant: &TenantId,
        user: &UserId,
        others: &[UserId],
    ) -> Result<Sharing, StoreError> {
        self.find_sharing(tenant, user, others).await
    }

    async fn record_read(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        read_seq: Seq,
        time: Micros,
    ) -> Result<Option<InboxEvent>, StoreError> {
        let decide = |entry: Option<Entry>| {
            let mut entry = entry?;
            let body = InboxBody::Read { seq: read_seq };
            admit_read(&mut entry, read_seq).then_some(Change { entry, body })
        };
        self.inbox_of(tenant, user).change_entry(conversation, time, decide).await
    }

    async fn arrange(
        &self,
        tenant: &TenantId,
        user: &UserId,
        conversation: &ConversationId,
        changes: SettingsChanges,
        time: Micros,
    ) -> Result<Option<(Settings, Option<InboxEvent>)>, StoreError> {
        let mut arranged = None;
        let decide = |entry: Option<Entry>| {
            let mut entry = entry?;
            let settings = changes.applied_to(entry.settings);
            arranged = Some(settings);
            let is_new = settings != entry.settings;
            entry.settings = settings;
            is_new.then_some(Change { entry, body: InboxBody::Arranged(settings) })
        };
        let event = self.inbox_of(tenant, user).change_entry(conversation, time, decide).await?;
        Ok(arranged.map(|settings| (settings, event)))
    }

    async fn inbox(
        &self,
        tenant: &TenantId,
        user: &UserId,
        after: u64,
        limit: usize,
    ) -> Result<InboxPage, StoreError> {
        let inbox = self.inbox_of(tenant, user);
        let head = inbox.head().await?;
        if after >= head {
            return Ok(InboxPage { head, events: Vec::new() });
        }
        let places = (after.to_be_bytes().to_vec(), head.to_be_bytes().to_vec());
        let kind = Kind::Event as i32;
        let values = (&inbox.tenant, user.as_str(), kind, places.0, places.1, rows_at_most(limit));
        let rows: Vec<(Vec<u8>,)> = self.statements.values_between.rows(values).await?;
        let events = rows.iter().map(|(event,)| value::decode(event));
        Ok(InboxPage { head, events: events.collect::<Result<_, _>>()? })
    }
}
