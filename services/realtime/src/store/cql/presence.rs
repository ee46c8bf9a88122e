//! When users were last here. Who is here now is not stored: a node knows it of its
//! own streams.

use confab_log::{Micros, TenantId, UserId};
use confab_store::cql::{Cql, OpenError, Read, Write};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use super::{MIGRATIONS, SERVICE};
use crate::store::{Presence, PresenceStore, Status, StoreError};

/// A user who is here is noted again only after so long: what a crash may take
/// off the time that they were last here.
const NOTE_INTERVAL: Micros = 5 * 60 * 1_000_000;
/// Reads under way for one call.
const TOGETHER: usize = 32;

/// See the module.
#[derive(Clone)]
pub struct CqlPresence {
    read: Read,
    note: Write,
}

impl CqlPresence {
    /// Opens the table, which must be migrated.
    ///
    /// # Errors
    /// When the keyspace cannot be used as it is.
    pub async fn open(cql: &Cql) -> Result<Self, OpenError> {
        cql.check_migrated(SERVICE, MIGRATIONS).await?;
        let cql = cql.relaxed();
        Ok(Self {
            read: cql
                .read("SELECT time FROM keyspace.realtime_last_seen WHERE tenant = ? AND user = ?")
                .await?,
            note: cql
                .write(
                    "INSERT INTO keyspace.realtime_last_seen (tenant, user, time) VALUES (?, ?, ?) \
                     USING TIMESTAMP ?",
                )
                .await?,
        })
    }

    async fn last_seen(&self, tenant: String, user: String) -> Result<Micros, StoreError> {
        let row: Option<(i64,)> = self.read.first((tenant, user)).await?;
        Ok(row.map_or(0, |(time,)| time))
    }
}

impl PresenceStore for CqlPresence {
    fn tell<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        presence: &'a Presence,
    ) -> BoxFuture<'a, Result<Presence, StoreError>> {
        async move {
            let time = presence.since;
            let known = self.last_seen(tenant.to_string(), user.to_string()).await?;
            let slack = if presence.status == Status::Offline { 0 } else { NOTE_INTERVAL };
            if time > known.saturating_add(slack) {
                // Of two at a time the later one stays.
                self.note.run((tenant.as_str(), user.as_str(), time, time)).await?;
            }
            Ok(presence.clone())
        }
        .boxed()
    }

    fn ask<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Presence>, StoreError>> {
        async move {
            let names = users.iter().map(|user| (tenant.to_string(), user.to_string()));
            let reads: Vec<_> = names.map(|(tenant, user)| self.last_seen(tenant, user)).collect();
            let times: Vec<Micros> = stream::iter(reads).buffered(TOGETHER).try_collect().await?;
            let since = |since| Presence { since, ..Presence::default() };
            Ok(times.into_iter().map(since).collect())
        }
        .boxed()
    }
}
