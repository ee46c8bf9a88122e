//! The model of the log: every world of the small scenarios, walks at random
//! through larger ones, and each mutant of the code caught by a scenario.
//!
//! `CONFAB_MODEL_SECONDS=600` walks for ten minutes and explores much larger
//! worlds; `CONFAB_MODEL_SEED=n` takes the walk of one seed, which is what a
//! failure asks for.

use std::{env, time::Duration};

use confab_tests::model::{
    explore::{Report, explore, explore_within},
    random::walk,
    scenario::Scenario,
    scenarios,
};
use tokio::time::Instant;

/// Seconds of a run that nobody gave more time.
const BRIEF: u64 = 5;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn holds(scenario: &Scenario) {
    match explore(scenario, None) {
        Report::Held { states, ends, .. } => {
            println!("{}: {states} states, {ends} ends", scenario.name);
        }
        Report::Broken(failure) => panic!("{failure}"),
    }
}

/// The mutant breaks a promise in this scenario, and the model says which.
fn catches(mutant: &'static str, scenario: &Scenario, complaint: &str) {
    let Report::Broken(failure) = explore(scenario, Some(mutant)) else {
        panic!("{mutant} goes unseen in {}", scenario.name);
    };
    let found = &failure.violation.0;
    assert!(found.contains(complaint), "{mutant}: {failure}");
    println!("{mutant}: {} after {} states", failure.scenario, failure.states);
}

#[test]
fn promises_hold_in_every_world_with_crashes() {
    holds(&scenarios::one_command());
    holds(&scenarios::retry_after_removal());
    holds(&scenarios::in_and_out());
    holds(&scenarios::retry_below_the_tail());
    holds(&scenarios::direct_again());
    holds(&scenarios::a_thread_and_its_root());
}

#[test]
fn promises_hold_in_every_world_with_races_and_time_outs() {
    holds(&scenarios::removal_against_message());
    holds(&scenarios::refused_in_a_group());
    holds(&scenarios::retry_without_its_group());
    holds(&scenarios::pinned());
    holds(&scenarios::copies());
    holds(&scenarios::stale_versions());
    holds(&scenarios::expiry());
}

#[test]
fn promises_hold_in_every_world_with_stale_nodes() {
    holds(&scenarios::stale_node());
    holds(&scenarios::removal_elsewhere());
    holds(&scenarios::a_message_to_come());
    holds(&scenarios::a_message_from_the_future());
    holds(&scenarios::blanked_while_read());
    holds(&scenarios::clocks());
}

/// Far too large for every run: as far as the time goes.
#[test]
fn promises_hold_in_larger_worlds() {
    let seconds = number("CONFAB_MODEL_SECONDS").unwrap_or(0);
    let larger = scenarios::larger();
    let share = usize::try_from(seconds).unwrap_or(usize::MAX) / larger.len();
    for scenario in larger {
        // About as many states a second as an optimised build sees.
        let limit = (share * 20_000).clamp(500, 4_000_000);
        match explore_within(&scenario, None, limit) {
            Report::Held { states, ends, complete } => {
                println!("{}: {states} states, {ends} ends, all: {complete}", scenario.name);
            }
            Report::Broken(failure) => panic!("{failure}"),
        }
    }
}

#[test]
fn promises_hold_on_random_walks() {
    if let Some(seed) = number("CONFAB_MODEL_SEED") {
        walk(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
        return;
    }
    let until = number("CONFAB_MODEL_SECONDS").unwrap_or(BRIEF);
    let until = Instant::now() + Duration::from_secs(until);
    let (mut seed, mut steps) = (0, 0);
    while Instant::now() < until {
        steps += walk(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
        seed += 1;
    }
    println!("{seed} walks, {steps} steps");
}

/// The walks are worth something: they find mutants that they were not made for.
#[test]
fn random_walks_catch_mutants() {
    for mutant in ["no-second-decision", "ack-before-effects", "raise-early", "no-scan"] {
        let caught = (0..5_000).find_map(|seed| walk(seed, Some(mutant)).err());
        let caught = caught.unwrap_or_else(|| panic!("{mutant} goes unseen"));
        println!("{mutant}: {}", caught.scenario);
    }
}

#[test]
fn catches_no_second_decision() {
    let scenario = scenarios::removal_elsewhere();
    catches("no-second-decision", &scenario, "event 3: b may not write");
}

#[test]
fn catches_no_id_lookup() {
    catches("no-id-lookup", &scenarios::copies(), "repeats the request id");
}

#[test]
fn catches_no_membership_check() {
    let scenario = scenarios::removal_elsewhere();
    catches("no-membership-check", &scenario, "event 3: b may not write");
}

#[test]
fn catches_refusal_before_known() {
    let scenario = scenarios::retry_after_removal();
    catches("refusal-before-known", &scenario, "asked again, it is answered [Refused");
}

#[test]
fn catches_absent_remembered() {
    catches("absent-remembered", &scenarios::pinned(), "repeats the request id");
}

#[test]
fn catches_refusal_without_look() {
    let scenario = scenarios::stale_node();
    catches("refusal-without-look", &scenario, "at no head since its arrival was it so");
}

#[test]
fn catches_refusal_on_rows_in_flight() {
    let scenario = scenarios::refused_in_a_group();
    catches("refusal-on-rows-in-flight", &scenario, "at no head since its arrival was it so");
}

#[test]
fn catches_effects_out_of_order() {
    let scenario = scenarios::in_and_out();
    catches("effects-out-of-order", &scenario, "a later effect is applied while");
}

#[test]
fn catches_ack_before_effects() {
    let scenario = scenarios::one_command();
    catches("ack-before-effects", &scenario, "an event is acknowledged while");
}

#[test]
fn catches_no_finish_on_load() {
    let scenario = scenarios::one_command();
    catches("no-finish-on-load", &scenario, "while Conversation lacks event 2");
}

#[test]
fn catches_raise_early() {
    catches("raise-early", &scenarios::one_command(), "applied_through is raised while");
}

#[test]
fn catches_inbox_tail_only() {
    catches("inbox-tail-only", &scenarios::in_and_out(), "b's inbox is");
}

#[test]
fn catches_no_scan() {
    catches("no-scan", &scenarios::retry_below_the_tail(), "asked again, it is answered");
}

#[test]
fn catches_read_without_look() {
    catches("read-without-look", &scenarios::stale_node(), "was acknowledged");
}
