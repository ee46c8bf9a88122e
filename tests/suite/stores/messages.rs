//! The log on a real CQL server: whole, with faults in its statements, and broken
//! on purpose.

use std::{num::NonZeroU64, panic::AssertUnwindSafe};

use confab_log::mutant;
use confab_messages::store::{
    conformance,
    cql::{CqlLogStore, MIGRATIONS, SERVICE},
};
use confab_tests::harness::Seed;
use futures_util::FutureExt as _;

use super::{Keyspaces, settled};

/// Small enough that the suite meets the ends of partitions.
const ROWS: NonZeroU64 = NonZeroU64::new(64).unwrap();

async fn conforms(keyspaces: &Keyspaces) {
    let factory = async || CqlLogStore::open(&keyspaces.next().await, ROWS).await.expect("opened");
    conformance::run(factory).await.expect("the suite passes");
}

#[tokio::test]
async fn the_log_conforms() {
    let test = "stores::messages::the_log_conforms";
    let Some(keyspaces) = Keyspaces::of(test, SERVICE, MIGRATIONS).await else { return };
    conforms(&keyspaces).await;
}

#[tokio::test]
async fn the_log_conforms_with_faults_in_its_statements() {
    let test = "stores::messages::the_log_conforms_with_faults_in_its_statements";
    let Some(keyspaces) = Keyspaces::of(test, SERVICE, MIGRATIONS).await else { return };
    let seed = Seed::of(test);
    let part = std::cell::Cell::new(0);
    let factory = async || {
        part.set(part.get() + 1);
        let faults = settled::faults(seed, part.get());
        let cql = keyspaces.next_with(&faults).await;
        let store = CqlLogStore::open(&cql, ROWS).await.expect("opened");
        settled::Settled::new(store, faults)
    };
    conformance::run(factory).await.expect("the suite passes");
}

/// The suite is worth something: it finds stores that break what it asks for.
#[tokio::test]
async fn the_suite_catches_mutants_of_the_log() {
    let test = "stores::messages::the_suite_catches_mutants_of_the_log";
    let Some(keyspaces) = Keyspaces::of(test, SERVICE, MIGRATIONS).await else { return };
    for name in ["append-unconditional", "partition-not-raised", "effect-not-guarded"] {
        mutant::set(Some(name));
        let outcome = AssertUnwindSafe(conforms(&keyspaces)).catch_unwind().await;
        mutant::set(None);
        assert!(outcome.is_err(), "{name} passes");
    }
}
