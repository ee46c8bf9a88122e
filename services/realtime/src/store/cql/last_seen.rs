//! When users were last here.

use confab_log::{Micros, TenantId, UserId};
use confab_store::cql::{Cql, OpenError, Read, Write};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use super::{MIGRATIONS, SERVICE};
use crate::store::{LastSeenStore, StoreError};

/// Reads under way for one call.
const TOGETHER: usize = 32;

/// See the module.
#[derive(Clone)]
pub struct CqlLastSeen {
    read: Read,
    note: Write,
}

impl CqlLastSeen {
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

impl LastSeenStore for CqlLastSeen {
    fn note<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        time: Micros,
        slack: Micros,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let known = self.last_seen(tenant.to_string(), user.to_string()).await?;
            if time > known.saturating_add(slack) {
                // Of two at a time the later one stays.
                self.note.run((tenant.as_str(), user.as_str(), time, time)).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn times<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Micros>, StoreError>> {
        let names = users.iter().map(|user| (tenant.to_string(), user.to_string()));
        let reads: Vec<_> = names.map(|(tenant, user)| self.last_seen(tenant, user)).collect();
        stream::iter(reads).buffered(TOGETHER).try_collect().boxed()
    }
}
