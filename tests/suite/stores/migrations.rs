//! Migrations are made once, by whoever comes first.

use confab_store::cql::{Migration, OpenError};
use confab_tests::harness::backends;
use futures_util::future::join_all;

use super::{connect, new_name};

const FIRST: Migration = Migration {
    number: 1,
    text: "CREATE TABLE IF NOT EXISTS keyspace.things (name text, PRIMARY KEY ((name)));",
};
const SECOND: Migration = Migration {
    number: 2,
    text: "-- A column, and a table.\nALTER TABLE keyspace.things ADD size int;\n\
           CREATE TABLE IF NOT EXISTS keyspace.others (name text, PRIMARY KEY ((name)));",
};

#[tokio::test]
async fn several_processes_migrate_once() {
    let test = "stores::migrations::several_processes_migrate_once";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    let name = new_name();
    let first = connect(&addresses, &name).await;
    let missing = first.check_migrated("a", &[FIRST]).await;
    assert!(matches!(missing, Err(OpenError::Unmigrated { missing }) if missing == ["a/1"]));
    assert_eq!(first.migrate("a", &[FIRST]).await.expect("migrated"), 1);
    let sessions = join_all((0..4).map(|_| connect(&addresses, &name))).await;
    let made = join_all(sessions.iter().map(|cql| cql.migrate("a", &[FIRST, SECOND]))).await;
    let made: usize = made.into_iter().map(|made| made.expect("migrated")).sum();
    assert_eq!(made, 1, "one of them made the second, nobody the first");
    for cql in &sessions {
        cql.check_migrated("a", &[FIRST, SECOND]).await.expect("all are made");
        cql.write("INSERT INTO keyspace.things (name, size) VALUES ('a', 1)")
            .await
            .expect("a column");
    }
    assert_eq!(first.migrate("b", &[FIRST]).await.expect("migrated"), 1, "another service's own");
}

#[tokio::test]
async fn a_migration_is_never_another_one() {
    let test = "stores::migrations::a_migration_is_never_another_one";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    let cql = connect(&addresses, &new_name()).await;
    cql.migrate("a", &[FIRST]).await.expect("migrated");
    let other = Migration { text: SECOND.text, ..FIRST };
    for outcome in
        [cql.migrate("a", &[other]).await.map(drop), cql.check_migrated("a", &[other]).await]
    {
        assert!(
            matches!(outcome, Err(OpenError::OtherMigration { migration }) if migration == "a/1")
        );
    }
}

/// Whoever was killed between a statement and its note has left it half made.
#[tokio::test]
async fn a_migration_goes_on_where_it_was_left() {
    let test = "stores::migrations::a_migration_goes_on_where_it_was_left";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    let cql = connect(&addresses, &new_name()).await;
    cql.migrate("a", &[FIRST]).await.expect("migrated");
    // Its statements under another name: made, but not noted.
    cql.migrate("crashed", &[Migration { number: 1, ..SECOND }]).await.expect("migrated");
    assert_eq!(cql.migrate("a", &[FIRST, SECOND]).await.expect("migrated"), 1);
}
