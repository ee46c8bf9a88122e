//! The model of the log.

use confab_tests::model::{
    explore::{Report, explore},
    scenarios,
};

#[test]
fn probe() {
    let only = std::env::var("ONLY").ok();
    let mutant: Option<&'static str> = std::env::var("MUT").ok().map(|s| &*s.leak());
    for scenario in scenarios::all() {
        if only.as_ref().is_some_and(|only| !scenario.name.contains(only.as_str())) {
            continue;
        }
        let start = std::time::Instant::now();
        match explore(&scenario, mutant) {
            Report::Held { states, ends } => {
                println!("{}: {states} states, {ends} ends, {:?}", scenario.name, start.elapsed())
            }
            Report::Broken(failure) => println!("{failure}"),
        }
    }
}
