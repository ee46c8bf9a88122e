//! SIGKILL under load, again and again in one folder: nothing acknowledged is lost.

use std::path::Path;

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    child::{Process, note, say},
    load::{Acknowledged, Load, WRITERS},
};

/// Appends until it is killed, and says what was acknowledged.
pub(crate) fn child(folder: &Path) {
    let load = Load::open(folder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let load = load.clone();
            writers.spawn(async move {
                for bytes in (10..600).cycle().step_by(37) {
                    let row = load.append(writer, bytes).await.expect("an append");
                    say(&format!("acked {writer} {row}"));
                }
            });
        }
        writers.join_all().await;
    });
}

/// Kills a child after a drawn number of acknowledgements and checks the folder,
/// as often as asked. The error names the round and what was lost.
fn kill_rounds(seed: u64, rounds: u32, environment: &[(&str, &str)]) -> Result<u64, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged = Acknowledged::new();
    for round in 1..=rounds {
        let mut process = Process::start("append", folder.path(), environment);
        for _ in 0..random.random_range(1..600) {
            let line = process.next().expect("the child appends until it is killed");
            assert!(note(&line, &mut acknowledged), "{line}");
        }
        process.kill();
        for line in process.by_ref() {
            note(&line, &mut acknowledged);
        }
        process.wait();
        Load::open(folder.path())
            .check(&acknowledged)
            .map_err(|wrong| format!("seed {seed}, round {round}: {wrong}"))?;
    }
    Ok(acknowledged.values().sum())
}

#[test]
fn sigkill_loses_nothing_acknowledged() {
    let acknowledged = kill_rounds(7, 10, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(acknowledged > 500, "only {acknowledged} rows in 10 rounds");
}

#[test]
fn sigkill_finds_the_mutant_that_acknowledges_before_the_commit() {
    let wrong = kill_rounds(7, 10, &[("CONFAB_MUTANT", "ack-before-commit")]);
    assert!(wrong.is_err(), "the mutant passed");
}

#[test]
fn sigkill_finds_the_mutant_that_skips_the_fsync() {
    let wrong = kill_rounds(7, 10, &[("CONFAB_MUTANT", "skip-fsync")]);
    assert!(wrong.is_err(), "the mutant passed");
}
