//! What was revoked: one row for each login session, and one for each user whose
//! tokens are revoked by their time.

use confab_kit::identity::{Revocation, RevokedTokens};
use confab_store::cql::{Conditional, Cql, OpenError, Read};
use futures_util::{FutureExt as _, TryStreamExt as _, future::BoxFuture};

use super::{MIGRATIONS, SERVICE, parsed};
use crate::store::{RevocationStore, StoreError};

/// See the module.
#[derive(Clone)]
pub struct CqlRevocations {
    read: Read,
    every: Read,
    add: Conditional,
    change: Conditional,
    remove: Conditional,
}

/// `issued_through` (0 for a login session) and `until`: the stronger of two is the
/// greater.
type Stored = (i64, i64);
/// The row: tenant, user, login session, and what is stored.
type Row = (String, String, String, i64, i64);

const ROW: &str = "WHERE tenant = ? AND user = ? AND login = ?";

impl CqlRevocations {
    /// Opens the table, which must be migrated.
    ///
    /// # Errors
    /// When the keyspace cannot be used as it is.
    pub async fn open(cql: &Cql) -> Result<Self, OpenError> {
        cql.check_migrated(SERVICE, MIGRATIONS).await?;
        let read =
            format!("SELECT issued_through, until_second FROM keyspace.realtime_revocations {ROW}");
        let change = format!(
            "UPDATE keyspace.realtime_revocations SET issued_through = ?, until_second = ? {ROW} \
             IF issued_through = ? AND until_second = ?"
        );
        let remove = format!(
            "DELETE FROM keyspace.realtime_revocations {ROW} IF issued_through = ? AND until_second = ?"
        );
        Ok(Self {
            read: cql.read(&read).await?,
            every: cql
                .read(
                    "SELECT tenant, user, login, issued_through, until_second \
                     FROM keyspace.realtime_revocations",
                )
                .await?,
            add: cql
                .conditional(
                    "INSERT INTO keyspace.realtime_revocations \
                     (tenant, user, login, issued_through, until_second) \
                     VALUES (?, ?, ?, ?, ?) IF NOT EXISTS",
                )
                .await?,
            change: cql.conditional(&change).await?,
            remove: cql.conditional(&remove).await?,
        })
    }

    async fn keep_one(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let (login, issued_through) = match &revocation.tokens {
            RevokedTokens::OfSession(login) => (&**login, 0),
            RevokedTokens::IssuedThrough(second) => ("", *second),
        };
        let (tenant, user) = (revocation.tenant.as_str(), revocation.user.as_str());
        let new: Stored = (issued_through, revocation.until);
        loop {
            let known: Option<Stored> = self.read.first((tenant, user, login)).await?;
            let kept = match known {
                Some(known) if known >= new => return Ok(()),
                Some(known) => {
                    let values = (new.0, new.1, tenant, user, login, known.0, known.1);
                    self.change.run(values).await?
                }
                None => self.add.run((tenant, user, login, new.0, new.1)).await?,
            };
            if kept {
                return Ok(());
            }
        }
    }
}

impl RevocationStore for CqlRevocations {
    fn keep<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreError>> {
        self.keep_one(revocation).boxed()
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Revocation>, StoreError>> {
        async move {
            let rows: Vec<Row> = self.every.all(()).await?;
            rows.into_iter().map(revocation).collect()
        }
        .boxed()
    }

    fn sweep(&self, now: i64) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let mut removed = 0;
            let mut rows = self.every.walk::<Row>(()).await?;
            while let Some(row) = rows.try_next().await? {
                let (.., until) = row;
                // Not applied: it was prolonged meanwhile.
                if until <= now {
                    removed += usize::from(self.remove.run(row).await?);
                }
            }
            Ok(removed)
        }
        .boxed()
    }
}

fn revocation((tenant, user, login, issued_through, until): Row) -> Result<Revocation, StoreError> {
    let (tenant, user) = parsed(&tenant, &user)?;
    let tokens = if login.is_empty() {
        RevokedTokens::IssuedThrough(issued_through)
    } else {
        RevokedTokens::OfSession(login.as_str().into())
    };
    Ok(Revocation { tenant, user, tokens, until })
}
