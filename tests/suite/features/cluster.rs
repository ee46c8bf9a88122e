//! The scenarios beside this file, on a cluster: this very program runs them again, in a
//! process that is told where the cluster is, so that not a line of them is another one.

use std::{env, process::Command};

use confab_tests::harness::{Checked, Deployment, Node, Shape, Violation, must_be_caught, within};

use super::stage::{ENTRIES, KEYS};
use crate::promises::{WHOLE, can_be_clustered, program};

/// Those whose whole cast is on the stage that they are given.
const SCENARIOS: [&str; 15] = [
    "features::applications::",
    "features::channels::",
    "features::conversations::",
    "features::history::",
    "features::lists::",
    "features::markup::",
    "features::messages::",
    "features::moderation::",
    "features::participants::",
    "features::people::",
    "features::reactions::",
    "features::realtime::",
    "features::reports::",
    "features::rules::",
    "features::threads::",
];
/// Of these, those that are not.
const OTHERS: [&str; 2] = [
    "a_large_conversation_tells_only_who_watches_it",
    "a_stream_outlives_the_token_that_opened_it",
];
/// So many there are at least.
const COUNT: usize = 60;
const AT_A_TIME: &str = "4";

/// Runs them on the cluster; how many there were.
async fn play(confab: &Deployment, scenarios: &[&str]) -> Checked<usize> {
    let entries: Vec<String> = confab.nodes().map(Node::uri).collect();
    let mut command = Command::new(env::current_exe().map_err(Violation::unable)?);
    command.args(scenarios).args(["--test-threads", AT_A_TIME]);
    command.args(OTHERS.iter().flat_map(|other| ["--skip", other]));
    command.env(ENTRIES, entries.join(",")).env(KEYS, confab.keys());
    let played = tokio::task::spawn_blocking(move || command.output());
    let output = within(WHOLE, "the scenarios", played).await?.map_err(Violation::unable)?;
    let output = output.map_err(Violation::unable)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Violation::unless(output.status.success(), || text.clone().into_owned())?;
    let passed = text.lines().find_map(|line| line.strip_prefix("test result: ok. "));
    let passed = passed.and_then(|rest| rest.split(' ').next()?.parse().ok());
    passed.ok_or_else(|| Violation::unable(format!("no result: {text}")))
}

async fn run() -> Checked {
    let options = program(None).env("CONFAB_LIMITS__RETENTION_SECONDS", "1");
    let mut confab = Deployment::start(Shape::Cluster, options).await?;
    let played = play(&confab, &SCENARIOS).await?;
    println!("{played} scenarios");
    Violation::unless(played >= COUNT, || format!("only {played} scenarios"))?;
    confab.is_quiet()?;
    let mutant = "no-membership-check";
    confab.mutate(Some(mutant)).await?;
    let moderation = play(&confab, &["features::moderation::"]).await.map(drop);
    must_be_caught(mutant, moderation);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_is_the_same_in_a_cluster() -> Checked {
    if can_be_clustered("features::cluster::every_scenario_is_the_same_in_a_cluster").await {
        run().await?;
    }
    Ok(())
}
