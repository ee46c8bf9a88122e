//! The log on a real CQL server.

use std::num::NonZeroU64;

use confab_messages::store::{
    conformance,
    cql::{CqlLogStore, MIGRATIONS, SERVICE},
};

use super::Keyspaces;

#[tokio::test]
async fn the_log_conforms() {
    let test = "stores::messages::the_log_conforms";
    let Some(keyspaces) = Keyspaces::of(test, SERVICE, MIGRATIONS).await else { return };
    let rows = NonZeroU64::new(64).expect("not zero");
    let factory = async || CqlLogStore::open(&keyspaces.next().await, rows).await.expect("opened");
    conformance::run(factory).await.expect("the suite passes");
}
