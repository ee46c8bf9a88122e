//! Consistency presets: of three replicas two are missing, and what goes on is what
//! asks for one only.

use std::num::NonZeroU64;

use confab_log::{ConversationId, TenantId, UserId};
use confab_messages::store::{
    Cursors, LogKey, LogStore,
    cql::{CqlLogStore, MIGRATIONS, SERVICE},
};
use confab_store::cql::{Cql, Options, Preset};

use super::Keyspaces;

async fn with(cql: &Cql, preset: Preset) -> CqlLogStore {
    let options = Options { preset, ..cql.options().clone() };
    let cql = Box::pin(Cql::connect(options)).await.expect("a keyspace");
    CqlLogStore::open(&cql, NonZeroU64::MIN).await.expect("opened")
}

#[tokio::test]
async fn with_one_replica_of_three_only_what_is_fast_goes_on() {
    let test = "stores::presets::with_one_replica_of_three_only_what_is_fast_goes_on";
    let Some(keyspaces) = Keyspaces::of(test, SERVICE, MIGRATIONS).await else { return };
    let cql = keyspaces.next().await;
    let fast = with(&cql, Preset::Fast).await;
    let others = [with(&cql, Preset::Balanced).await, with(&cql, Preset::Safe).await];
    // The server is the only one there is.
    let replicated = "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}";
    let alter = format!("ALTER KEYSPACE {} {replicated}", cql.options().keyspace);
    cql.write(&alter).await.expect("prepared").run(()).await.expect("altered");

    let tenant = TenantId::parse("t").expect("an id");
    let user = UserId::parse("a").expect("an id");
    let conversation = ConversationId::direct(&tenant, &user, &UserId::parse("b").expect("an id"));
    let key = LogKey { tenant, conversation };
    let to = Cursors { read_seq: 4, read_ordinal: 4, delivered_seq: 4 };
    let raised = fast.raise_cursors(&key, &user, to).await.expect("one replica is there");
    assert_eq!(raised, (Cursors::default(), to));
    assert_eq!(fast.cursors(&key, &user).await.expect("one replica is there"), to);
    for store in others {
        store.raise_cursors(&key, &user, to).await.expect_err("no quorum");
        store.cursors(&key, &user).await.expect_err("no quorum");
    }
    fast.end(&key).await.expect_err("the log never asks the preset");
}
