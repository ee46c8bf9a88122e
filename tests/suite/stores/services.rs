//! The ports of conversations, participants and realtime on a real CQL server.

use std::cell::Cell;

use confab_log::mutant;
use confab_realtime::store::{conformance as realtime, cql as realtime_cql};
use confab_store::cql::Cql;
use confab_tests::harness::Seed;

use super::{Keyspaces, settled};

#[tokio::test]
async fn conversations_conform() {
    use confab_conversations::store::{conformance, cql};
    let test = "stores::services::conversations_conform";
    let keyspaces = Keyspaces::of(test, cql::SERVICE, cql::MIGRATIONS).await;
    let Some(keyspaces) = keyspaces else { return };
    let fresh = async || cql::CqlStore::open(&keyspaces.next().await).await.expect("opened");
    Box::pin(conformance::suite(fresh)).await;
}

#[tokio::test]
async fn participants_conform() {
    use confab_participants::store::{conformance, cql};
    let test = "stores::services::participants_conform";
    let keyspaces = Keyspaces::of(test, cql::SERVICE, cql::MIGRATIONS).await;
    let Some(keyspaces) = keyspaces else { return };
    let fresh = async || cql::CqlStore::open(&keyspaces.next().await).await.expect("opened");
    Box::pin(conformance::suite(fresh)).await;
}

#[tokio::test]
async fn a_remembered_list_is_never_taken_for_a_newer_one() {
    use confab_participants::store::{conformance, cql};
    let test = "stores::services::a_remembered_list_is_never_taken_for_a_newer_one";
    let keyspaces = Keyspaces::of(test, cql::SERVICE, cql::MIGRATIONS).await;
    let Some(keyspaces) = keyspaces else { return };
    let run = async || {
        let faults = settled::faults(Seed::of(test), 0);
        let store = cql::CqlStore::open(&keyspaces.next_with(&faults).await).await;
        // Which sets their rates.
        let store = settled::Settled::new(store.expect("opened"), faults);
        conformance::labels_hold(store.cut_off()).await
    };
    assert_eq!(run().await, Ok(()));
    mutant::set(Some("roster-noted-late"));
    let caught = run().await;
    mutant::set(None);
    caught.expect_err("a label that is written after the rows only");
}

#[tokio::test]
async fn conversations_conform_with_faults_in_their_statements() {
    use confab_conversations::store::{conformance, cql};
    let test = "stores::services::conversations_conform_with_faults_in_their_statements";
    let keyspaces = Keyspaces::of(test, cql::SERVICE, cql::MIGRATIONS).await;
    let Some(keyspaces) = keyspaces else { return };
    let (seed, part) = (Seed::of(test), Cell::new(0));
    conformance::suite_of_one_caller(async || {
        part.set(part.get() + 1);
        let faults = settled::faults(seed, part.get());
        let store = cql::CqlStore::open(&keyspaces.next_with(&faults).await).await;
        settled::Settled::new(store.expect("opened"), faults)
    })
    .await;
}

#[tokio::test]
async fn participants_conform_with_faults_in_their_statements() {
    use confab_participants::store::{conformance, cql};
    let test = "stores::services::participants_conform_with_faults_in_their_statements";
    let keyspaces = Keyspaces::of(test, cql::SERVICE, cql::MIGRATIONS).await;
    let Some(keyspaces) = keyspaces else { return };
    let (seed, part) = (Seed::of(test), Cell::new(0));
    conformance::suite_of_one_caller(async || {
        part.set(part.get() + 1);
        let faults = settled::faults(seed, part.get());
        let store = cql::CqlStore::open(&keyspaces.next_with(&faults).await).await;
        settled::Settled::new(store.expect("opened"), faults)
    })
    .await;
}

async fn of_realtime(test: &str) -> Option<Keyspaces> {
    Keyspaces::of(test, realtime_cql::SERVICE, realtime_cql::MIGRATIONS).await
}

#[tokio::test]
async fn sessions_conform() {
    let Some(keyspaces) = of_realtime("stores::services::sessions_conform").await else { return };
    let open = |cql: Cql| async move { realtime_cql::CqlSessions::open(&cql).await };
    let fresh = || async { open(keyspaces.next().await).await.expect("opened") };
    Box::pin(realtime::sessions(fresh)).await;
}

#[tokio::test]
async fn revocations_conform() {
    let test = "stores::services::revocations_conform";
    let Some(keyspaces) = of_realtime(test).await else { return };
    let open = |cql: Cql| async move { realtime_cql::CqlRevocations::open(&cql).await };
    realtime::revocations(|| async { open(keyspaces.next().await).await.expect("opened") }).await;
}

#[tokio::test]
async fn last_seen_conforms() {
    let Some(keyspaces) = of_realtime("stores::services::last_seen_conforms").await else { return };
    let open = |cql: Cql| async move { realtime_cql::CqlLastSeen::open(&cql).await };
    realtime::last_seen(|| async { open(keyspaces.next().await).await.expect("opened") }).await;
}
