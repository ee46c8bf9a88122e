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

#[test]
fn walks() {
    let start = std::time::Instant::now();
    let seconds: u64 =
        std::env::var("CONFAB_MODEL_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let (mut steps, mut seed) = (0, 0);
    while start.elapsed().as_secs() < seconds {
        match confab_tests::model::random::walk(seed, None) {
            Ok(n) => steps += n,
            Err(failure) => panic!("{failure}"),
        }
        seed += 1;
    }
    println!("{seed} walks, {steps} steps");
}
