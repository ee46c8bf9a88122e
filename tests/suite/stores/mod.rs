//! The storage ports on a real CQL server: each passes the suite that the embedded
//! engine passes, also when writes fail, or land late.

mod messages;
mod migrations;
mod presets;
mod rivals;
mod rooms;
mod services;
mod settled;
mod smoke;

use std::sync::atomic::{AtomicU32, Ordering};

use confab_store::{
    cql::{Cql, Migration, Options},
    fault::Faults,
};
use confab_tests::harness::backends::{self, CqlAddresses};

/// A server in which every store gets a keyspace of its own.
pub(crate) struct Keyspaces {
    addresses: CqlAddresses,
    service: &'static str,
    migrations: &'static [Migration],
}

impl Keyspaces {
    /// `None`, and the test is told as skipped, where there is no server.
    pub(crate) async fn of(
        test: &str,
        service: &'static str,
        migrations: &'static [Migration],
    ) -> Option<Self> {
        let addresses = backends::cql_or_skip(test).await?;
        Some(Self { addresses, service, migrations })
    }

    /// A new keyspace with the service's tables. It stays: to remove it would take
    /// the server longer than to make it.
    pub(crate) async fn next(&self) -> Cql {
        let cql = connect(&self.addresses, &new_name()).await;
        Box::pin(cql.migrate(self.service, self.migrations)).await.expect("migrated");
        cql
    }

    /// The same, with faults in its statements.
    pub(crate) async fn next_with(&self, faults: &Faults) -> Cql {
        self.next().await.with_faults(faults.clone())
    }
}

/// A name that no other run has used.
pub(crate) fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let run: u32 = rand::random();
    format!("confab_test_{run:08x}_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes the keyspace if it is not there.
pub(crate) async fn connect(addresses: &CqlAddresses, keyspace: &str) -> Cql {
    let mut options = Options::new(addresses.0.clone(), keyspace);
    options.create_keyspace = true;
    // The machine is shared with a whole test run.
    options.request_timeout = std::time::Duration::from_secs(20);
    Box::pin(Cql::connect(options)).await.expect("a keyspace")
}
