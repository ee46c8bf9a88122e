//! The storage ports on a real CQL server: each passes the suite that the embedded
//! engine passes, also when writes fail, or land late.

mod messages;
mod migrations;
mod services;
mod settled;
mod smoke;

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

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
    last: Mutex<Option<Cql>>,
}

impl Keyspaces {
    /// `None`, and the test is told as skipped, where there is no server.
    pub(crate) async fn of(
        test: &str,
        service: &'static str,
        migrations: &'static [Migration],
    ) -> Option<Self> {
        let addresses = backends::cql_or_skip(test).await?;
        Some(Self { addresses, service, migrations, last: Mutex::default() })
    }

    /// A new keyspace with the service's tables. The one before is gone then: a
    /// small server does not stand many.
    pub(crate) async fn next(&self) -> Cql {
        let t0 = std::time::Instant::now();
        let last = self.last.lock().expect("no panic").take();
        if let Some(last) = last.filter(|_| std::env::var_os("DROP").is_some()) {
            last.drop_keyspace().await.expect("dropped");
        }
        let t1 = std::time::Instant::now();
        let cql = connect(&self.addresses, &new_name()).await;
        let t2 = std::time::Instant::now();
        cql.migrate(self.service, self.migrations).await.expect("migrated");
        println!("XX drop {:?} connect {:?} migrate {:?}", t1-t0, t2-t1, t2.elapsed());
        *self.last.lock().expect("no panic") = Some(cql.clone());
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
    Cql::connect(options).await.expect("a keyspace")
}
