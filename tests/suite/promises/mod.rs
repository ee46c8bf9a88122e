//! The promises of DESIGN §1, each with a test that tries to break it: run on
//! the program, where it must pass, and on mutants, where it must fail.

mod history;
mod load;
mod order;
mod p10_hot_page;
mod p13_history;
mod p13_membership;
mod p13_reads;
mod p1_durable;
mod p2_order;
pub(crate) mod p3_idempotent;
mod p3_lost_rights;
mod p4_resume;
mod p5_fold;
mod p6_slow_reader;
mod p8_tenants;
mod p9_drain;
mod people;
mod raw_stream;
mod smoke;
mod support;

use confab_tests::harness::NodeOptions;

pub(crate) use support::{WHOLE, all_events, fill, once};

/// The program under test, perhaps with a promise broken on purpose.
pub(crate) fn program(mutant: Option<&str>) -> NodeOptions {
    NodeOptions::new(env!("CARGO_BIN_EXE_confab-under-test")).mutant(mutant)
}
