//! The log on a real CQL server.

use std::num::NonZeroU64;

use confab_messages::store::{
    conformance,
    cql::{CqlLogStore, MIGRATIONS, PARTITION_ROWS, SERVICE},
};

use super::Keyspaces;

#[tokio::test]
async fn the_log_conforms() {
    let test = "stores::messages::the_log_conforms";
    let Some(keyspaces) = Keyspaces::of(test, SERVICE, MIGRATIONS).await else { return };
    for rows in [PARTITION_ROWS.get(), 3] {
        let rows = NonZeroU64::new(rows).expect("not zero");
        let begun = std::time::Instant::now();
        let factory = async || {
            let begun = std::time::Instant::now();
            let cql = keyspaces.next().await;
            println!("keyspace {:?}", begun.elapsed());
            CqlLogStore::open(&cql, rows).await.expect("opened")
        };
        conformance::run(factory).await.expect("the suite passes");
        println!("{rows}: {:?}", begun.elapsed());
    }
}
