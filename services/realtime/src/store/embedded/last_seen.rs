//! When users were last here: one row each. Key: tenant, user.

use std::future::ready;

use confab_log::{Micros, TenantId, UserId};
use confab_store::embedded::{Engine, Keyspace};
use futures_util::{FutureExt as _, future::BoxFuture};
use minicbor::{Decode, Encode};

use super::{decode, encode, key};
use crate::store::{LastSeenStore, StoreError};

/// See the module.
#[derive(Clone, Debug)]
pub struct EmbeddedLastSeen {
    engine: Engine,
    rows: Keyspace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct LastSeen {
    #[n(0)]
    time: Micros,
}

impl EmbeddedLastSeen {
    /// Opens the keyspace. Blocks for an fsync the first time.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self { rows: engine.keyspace("realtime_last_seen")?, engine: engine.clone() })
    }

    fn last_seen(&self, key: &[u8]) -> Result<Micros, StoreError> {
        let stored = self.rows.get(key)?.map(|value| decode::<LastSeen>(&value)).transpose()?;
        Ok(stored.map_or(0, |stored| stored.time))
    }
}

impl LastSeenStore for EmbeddedLastSeen {
    fn note<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        time: Micros,
        slack: Micros,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let key = key(&[tenant.as_str(), user.as_str()]);
            if time <= self.last_seen(&key)?.saturating_add(slack) {
                return Ok(());
            }
            let rows = self.rows.clone();
            // Of two at a time the later one stays.
            let work = self.engine.transact(move |writes| {
                let stored = writes.get(&rows, &key)?;
                let stored = stored.map(|value| decode::<LastSeen>(&value)).transpose()?;
                if stored.is_none_or(|stored| stored.time < time) {
                    writes.put(&rows, &key, encode(&LastSeen { time }));
                }
                Ok::<(), StoreError>(())
            });
            work.await?
        }
        .boxed()
    }

    fn times<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Micros>, StoreError>> {
        let time = |user: &UserId| self.last_seen(&key(&[tenant.as_str(), user.as_str()]));
        ready(users.iter().map(time).collect()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What any version has written must be read for ever.
    #[test]
    fn times_that_were_written_before_are_read() {
        let written = [1, 0x81, 0x1a, 0x65, 0x53, 0xf1, 0x00];
        assert_eq!(decode::<LastSeen>(&written).expect("read").time, 1_700_000_000);
        assert_eq!(encode(&LastSeen { time: 1_700_000_000 }).as_ref(), written);
    }
}
