//! The promises of DESIGN §1, each with a test that tries to break it: run on
//! the program, where it must pass, and on mutants, where it must fail.

mod cluster;
pub(crate) mod history;
pub(crate) mod load;
mod order;
mod p10_hot_page;
mod p13_history;
mod p13_membership;
mod p13_reads;
pub(crate) mod p1_durable;
mod p2_order;
pub(crate) mod p3_idempotent;
mod p3_lost_rights;
mod p4_resume;
mod p5_ahead;
mod p5_fold;
mod p6_slow_reader;
mod p8_tenants;
mod p9_drain;
mod people;
pub(crate) mod raw_stream;
mod smoke;
mod support;

use confab_tests::harness::{NodeOptions, backends};

pub(crate) use support::{WHOLE, all_ended, all_events, answered, caught, fill, once};

/// The program under test, perhaps with a promise broken on purpose.
pub(crate) fn program(mutant: Option<&str>) -> NodeOptions {
    NodeOptions::new(env!("CARGO_BIN_EXE_confab-under-test")).mutant(mutant)
}

/// As [`program`], for processes of which some are killed: the others complain.
pub(crate) fn among_kills(mutant: Option<&str>) -> NodeOptions {
    let complaints = [
        "effects not applied",
        "log store timed out",
        "log store failed",
        "rows not loaded",
        "messages were not all expired",
    ];
    complaints.into_iter().fold(program(mutant), NodeOptions::allow)
}

/// Whether there are the servers for [`Shape::Cluster`]; without them the test is told
/// as skipped.
///
/// [`Shape::Cluster`]: confab_tests::harness::Shape::Cluster
pub(crate) async fn can_be_clustered(test: &str) -> bool {
    backends::cql_or_skip(test).await.is_some() && backends::redis_or_skip(test).await.is_some()
}

/// The same for [`Shape::Halves`], which have no Redis.
///
/// [`Shape::Halves`]: confab_tests::harness::Shape::Halves
pub(crate) async fn can_be_parted(test: &str) -> bool {
    backends::cql_or_skip(test).await.is_some()
}
