//! Every world that a scenario can lead to, breadth first: what is found first is
//! a shortest way to it. Of a world that was seen, only its fingerprint is kept.

use std::collections::{HashSet, VecDeque};

use super::{
    checks::{Law, Violation},
    scenario::Scenario,
    world::{Step, World},
};

/// What an exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// In every world that was seen all is well.
    Held {
        /// How many there are.
        states: usize,
        /// In how many of them nothing moves any more.
        ends: usize,
        /// Whether they were all of them.
        complete: bool,
    },
    /// A promise was broken.
    Broken(Box<Failure>),
}

/// A broken promise and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which scenario.
    pub scenario: String,
    /// Worlds seen by then.
    pub states: usize,
    /// The promise.
    pub violation: Violation,
    /// What happened, in words.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} ({} states): {}", self.scenario, self.states, self.violation.0)?;
        for (number, line) in self.trace.iter().enumerate() {
            writeln!(f, "{:4}. {line}", number + 1)?;
        }
        Ok(())
    }
}

/// How each world was reached first: from which one, by which step.
type Origins = Vec<(usize, Option<Step>)>;

/// Explores a scenario to its end, on a mutant of the code or on the code itself.
pub fn explore(scenario: &Scenario, mutant: Option<&'static str>) -> Report {
    explore_within(scenario, mutant, usize::MAX)
}

/// The same, and it ends after so many worlds.
pub fn explore_within(scenario: &Scenario, mutant: Option<&'static str>, limit: usize) -> Report {
    let law = Law::new(scenario, mutant);
    let first = World::new(scenario);
    let mut seen = HashSet::from([first.fingerprint()]);
    let mut origins: Origins = vec![(0, None)];
    let mut queue = VecDeque::from([(0, first)]);
    let mut ends = 0;
    while seen.len() < limit
        && let Some((index, world)) = queue.pop_front()
    {
        let progress = world.progress(scenario);
        if progress.is_empty() {
            ends += 1;
            if let Err(violation) = law.quiescent(&world) {
                return broken(&law, mutant, &origins, index, None, violation);
            }
        }
        for step in progress.into_iter().chain(world.trouble(scenario)) {
            let mut next = world.clone();
            if let Err(violation) = next.take(step, &law) {
                return broken(&law, mutant, &origins, index, Some(step), violation);
            }
            if seen.insert(next.fingerprint()) {
                origins.push((index, Some(step)));
                queue.push_back((origins.len() - 1, next));
            }
        }
    }
    Report::Held { states: seen.len(), ends, complete: seen.len() < limit }
}

fn broken(
    law: &Law<'_>,
    mutant: Option<&'static str>,
    origins: &Origins,
    mut index: usize,
    last: Option<Step>,
    violation: Violation,
) -> Report {
    let mut steps: Vec<_> = last.into_iter().collect();
    while let (origin, Some(step)) = origins[index] {
        steps.push(step);
        index = origin;
    }
    steps.reverse();
    Report::Broken(Box::new(Failure {
        scenario: law.scenario.name.clone(),
        states: origins.len(),
        violation,
        trace: retell(law.scenario, mutant, &steps),
    }))
}

/// Takes the same steps again and writes them down.
pub fn retell(scenario: &Scenario, mutant: Option<&'static str>, steps: &[Step]) -> Vec<String> {
    let law = Law::with_journal(scenario, mutant);
    let mut world = World::new(scenario);
    for step in steps {
        if world.take(*step, &law).is_err() {
            break;
        }
    }
    law.journal()
}
