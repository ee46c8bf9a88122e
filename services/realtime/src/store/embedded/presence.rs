//! When users were last here: one row each. Key: tenant, user. Who is here now is
//! not stored: on this engine there is one node, which knows.

use confab_log::{Micros, TenantId, UserId};
use confab_store::embedded::{Engine, Keyspace};
use futures_util::{FutureExt as _, future::BoxFuture};
use minicbor::{Decode, Encode};

use super::{decode, encode, key};
use crate::store::{Presence, PresenceStore, Status, StoreError};

/// A user who is here is noted again only after so long: what a crash may take
/// off the time that they were last here.
const NOTE_INTERVAL: Micros = 5 * 60 * 1_000_000;

/// See the module.
#[derive(Clone, Debug)]
pub struct EmbeddedPresence {
    engine: Engine,
    rows: Keyspace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct LastSeen {
    #[n(0)]
    time: Micros,
}

impl EmbeddedPresence {
    /// Opens the keyspace. Blocks for an fsync the first time.
    pub fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self { rows: engine.keyspace("realtime_last_seen")?, engine: engine.clone() })
    }

    fn last_seen(&self, key: &[u8]) -> Result<Micros, StoreError> {
        let stored = self.rows.get(key)?.map(|value| decode::<LastSeen>(&value)).transpose()?;
        Ok(stored.map_or(0, |stored| stored.time))
    }
}

impl PresenceStore for EmbeddedPresence {
    fn tell<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        presence: &'a Presence,
    ) -> BoxFuture<'a, Result<Presence, StoreError>> {
        async move {
            let key = key(&[tenant.as_str(), user.as_str()]);
            let time = presence.since;
            let known = self.last_seen(&key)?;
            let slack = if presence.status == Status::Offline { 0 } else { NOTE_INTERVAL };
            if time > known.saturating_add(slack) {
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
                work.await??;
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
            let mut asked = Vec::with_capacity(users.len());
            for user in users {
                let since = self.last_seen(&key(&[tenant.as_str(), user.as_str()]))?;
                asked.push(Presence { since, ..Presence::default() });
            }
            Ok(asked)
        }
        .boxed()
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
