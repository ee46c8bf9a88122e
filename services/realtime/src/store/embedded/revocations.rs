//! What was revoked: one row for each login session, and one for each user whose
//! tokens are revoked by their time. Key: tenant, user, login session; no login
//! session has an empty name, so that is the user's own row.

use confab_kit::identity::{Revocation, RevokedTokens};
use confab_log::{TenantId, UserId};
use confab_store::embedded::{Engine, Keyspace};
use futures_util::{FutureExt as _, future::BoxFuture};
use minicbor::{Decode, Encode};

use super::{decode, encode, key, names, next_rows};
use crate::store::{RevocationStore, StoreError};

/// See the module.
#[derive(Clone, Debug)]
pub struct EmbeddedRevocations {
    engine: Engine,
    rows: Keyspace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
struct Stored {
    /// Of a user's own row; 0 for a login session.
    #[n(0)]
    issued_through: i64,
    #[n(1)]
    until: i64,
}

impl EmbeddedRevocations {
    /// Opens the keyspace. Blocks for an fsync the first time.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self { rows: engine.keyspace("realtime_revocations")?, engine: engine.clone() })
    }
}

impl RevocationStore for EmbeddedRevocations {
    fn keep<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreError>> {
        let (login, issued_through) = match &revocation.tokens {
            RevokedTokens::OfSession(login) => (&**login, 0),
            RevokedTokens::IssuedThrough(second) => ("", *second),
        };
        let key = key(&[revocation.tenant.as_str(), revocation.user.as_str(), login]);
        let new = Stored { issued_through, until: revocation.until };
        let rows = self.rows.clone();
        let work = self.engine.transact(move |writes| {
            let known = writes.get(&rows, &key)?.map(|value| decode(&value)).transpose()?;
            if known < Some(new) {
                writes.put(&rows, &key, encode(&new));
            }
            Ok(())
        });
        async move { work.await? }.boxed()
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Revocation>, StoreError>> {
        async move {
            let (mut all, mut from) = (Vec::new(), Vec::new());
            loop {
                let rows = next_rows(&self.rows, &mut from)?;
                if rows.is_empty() {
                    return Ok(all);
                }
                for (key, value) in &rows {
                    all.push(revocation(key, decode(value)?)?);
                }
                tokio::task::yield_now().await;
            }
        }
        .boxed()
    }

    fn sweep(&self, now: i64) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let (mut removed, mut from) = (0, Vec::new());
            loop {
                let rows = next_rows(&self.rows, &mut from)?;
                if rows.is_empty() {
                    return Ok(removed);
                }
                let space = self.rows.clone();
                let work = self.engine.transact(move |writes| {
                    let mut removed = 0;
                    for (key, _) in rows {
                        let stored = writes.get(&space, &key)?;
                        let stored = stored.map(|value| decode::<Stored>(&value)).transpose()?;
                        if stored.is_some_and(|stored| stored.until <= now) {
                            writes.remove(&space, &key);
                            removed += 1;
                        }
                    }
                    Ok::<usize, StoreError>(removed)
                });
                removed += work.await??;
            }
        }
        .boxed()
    }
}

fn revocation(key: &[u8], stored: Stored) -> Result<Revocation, StoreError> {
    let corrupt = || StoreError::corrupt("a revocation's key");
    let [tenant, user, login] = names(key)?;
    let tokens = if login.is_empty() {
        RevokedTokens::IssuedThrough(stored.issued_through)
    } else {
        RevokedTokens::OfSession(login.into())
    };
    Ok(Revocation {
        tenant: TenantId::parse(tenant).map_err(|_| corrupt())?,
        user: UserId::parse(user).map_err(|_| corrupt())?,
        tokens,
        until: stored.until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What any version has written must be read for ever.
    #[test]
    fn revocations_that_were_written_before_are_read() {
        let due = Stored { issued_through: 7, until: 1_700_000_000 };
        let written = [1, 0x82, 7, 0x1a, 0x65, 0x53, 0xf1, 0x00];
        assert_eq!(decode::<Stored>(&written).expect("read"), due);
        assert_eq!(encode(&due).as_ref(), written);
    }
}
