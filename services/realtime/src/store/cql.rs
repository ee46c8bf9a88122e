//! The ports on ScyllaDB or Cassandra. The tables are in `cql/migrations`.

mod last_seen;
mod revocations;
mod sessions;

pub use last_seen::CqlLastSeen;
pub use revocations::CqlRevocations;
pub use sessions::CqlSessions;

use confab_log::{TenantId, UserId};
use confab_store::{StoreError, cql::Migration};

/// The schema of this service.
pub const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, text: include_str!("cql/migrations/1.cql") }];

/// The name that its migrations are noted under.
pub const SERVICE: &str = "realtime";

/// The names of a row.
fn parsed(tenant: &str, user: &str) -> Result<(TenantId, UserId), StoreError> {
    match (TenantId::parse(tenant), UserId::parse(user)) {
        (Ok(tenant), Ok(user)) => Ok((tenant, user)),
        _ => Err(StoreError::corrupt("a row of the realtime service of nobody")),
    }
}
