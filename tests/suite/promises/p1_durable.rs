//! P1: an acknowledged write is durable. One data folder, SIGKILL under load
//! again and again; in the end the log must hold all that was acknowledged, once,
//! as it was acknowledged, in an order that nobody can have seen otherwise.

use std::{sync::Arc, time::Duration};

use confab_client::{Client, fold::ConversationState};
use confab_proto::messages::v1::{ListOrder, event::Kind};
use confab_tests::harness::{Checked, Deployment, Seed, Shape, Violation, effort, must_be_caught};
use rand::Rng as _;
use tokio::task::JoinSet;

use super::{
    among_kills, can_be_clustered,
    history::{Answer, Deed, History},
    load::{Load, Worker},
    support::{WHOLE, all_ended, all_events, all_messages, all_receipts, answered, text_of},
};

const CONVERSATIONS: usize = 4;
const SENDERS: u64 = 8;
/// Requests of one sender that are open at a time.
const HANDS: u64 = 2;

struct Scenario {
    shape: Shape,
    kills: u32,
    /// Requests that were answered are asked again while the load goes on.
    ask_again: bool,
    seed: Seed,
}

/// The owner, who adds and removes a guest.
async fn rule(mut worker: Worker) -> Checked {
    let conversations = worker.load.conversations.clone();
    let mut inside = vec![false; conversations.len()];
    while worker.goes_on() {
        let at = worker.random.random_range(0..conversations.len());
        let mut attempt = worker.invent();
        attempt.conversation.clone_from(&conversations[at]);
        attempt.after_seq = worker.heads.get(&attempt.conversation).copied().unwrap_or(0);
        let guest = format!("guest{at}");
        attempt.deed = if inside[at] { Deed::Remove(guest) } else { Deed::Add(guest) };
        let place = worker.load.history.begin(attempt.clone());
        while !worker.settle(place, attempt.clone()).await? {}
        inside[at] = !inside[at];
    }
    Ok(())
}

async fn run(scenario: &Scenario, mutant: Option<&str>) -> Checked {
    let mut confab = Deployment::start(scenario.shape, among_kills(None)).await?;
    let owner = confab.lasting_client("dev", "owner").await?;
    let senders: Vec<String> = (0..SENDERS).map(|n| format!("sender{n}")).collect();
    let names: Vec<&str> = senders.iter().map(String::as_str).collect();
    let mut conversations = Vec::new();
    for number in 0..CONVERSATIONS {
        let group = owner.create_group(format!("group {number}"), &names).await?;
        conversations.push(group.conversation_id);
    }
    // A mutant that cannot even be set up would be caught for nothing.
    confab.mutate(mutant).await?;

    let mut load = Load::new(conversations);
    load.ask_again = scenario.ask_again;
    let load = Arc::new(load);
    let mut workers = JoinSet::new();
    for (number, sender) in (0..).zip(&senders) {
        for hand in 0..HANDS {
            let random = scenario.seed.part(1 + number * HANDS + hand);
            let client = confab.lasting_client("dev", sender).await?;
            let worker = Worker::new(&load, client, sender, hand, random);
            workers.spawn(worker.run());
        }
    }
    let random = scenario.seed.part(1000);
    workers.spawn(rule(Worker::new(&load, owner.clone(), "owner", 0, random)));
    let killed = kill_again_and_again(scenario, &mut confab, &load.history, &mut workers).await;
    load.stop();
    killed?;
    all_ended(workers, WHOLE, "the workers' last answers").await?;
    for id in &load.conversations {
        check(&owner, &load.history, id).await?;
    }
    println!("{} kills, {} acknowledged", scenario.kills, load.history.acknowledged());
    confab.finish()
}

async fn kill_again_and_again(
    scenario: &Scenario,
    confab: &mut Deployment,
    history: &History,
    workers: &mut JoinSet<Checked>,
) -> Checked {
    let mut random = scenario.seed.part(0);
    for kill in 0..scenario.kills {
        let more = random.random_range(1..150);
        let what = format!("answers before kill {kill}");
        answered(history, workers, more, (Duration::from_secs(30), &what)).await?;
        // Every second one is the process that has the log.
        let any = random.random_range(0..confab.size());
        confab.kill_one(if kill.is_multiple_of(2) { 0 } else { any }).await?;
    }
    Ok(())
}

/// The log and every other read, against the history.
pub(crate) async fn check(reader: &Client, history: &History, id: &str) -> Checked {
    let log = all_events(reader, id).await?;
    history.check(id, &log)?;

    let messages = all_messages(reader, id, ListOrder::OldestFirst, 200).await?;
    let of_log: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.kind {
            Some(Kind::MessageCreated(message)) => Some(message),
            _ => None,
        })
        .collect();
    Violation::unless(messages.iter().collect::<Vec<_>>() == of_log, || {
        let first = messages.iter().zip(&of_log).find(|(listed, logged)| listed != *logged);
        format!("ListMessages differs from ListEvents in {id}, first: {first:?}")
    })?;
    let silent = messages.iter().find(|m| text_of(m).is_none() && m.delete_time.is_none());
    Violation::unless(silent.is_none(), || format!("a message lost its content: {silent:?}"))?;

    let mut folded = ConversationState::new(id, "owner");
    for event in &log {
        folded.apply(event).map_err(Violation::unable)?;
    }
    let fresh = ConversationState::from_snapshot(reader.snapshot(id, 100_000).await?, "owner");
    let differences = folded.diff(&fresh);
    // Who left is in the fold, with a time; a read gives who is there.
    Violation::unless(differences.is_empty(), || format!("folded is not read: {differences:?}"))?;

    let receipts = all_receipts(reader, id).await?;
    for attempt in history.attempts() {
        let (Deed::MarkRead(_), Some((_, Answer::Seq(seq)))) = (&attempt.deed, attempt.ended)
        else {
            continue;
        };
        if attempt.conversation != id {
            continue;
        }
        let cursor = receipts.iter().find(|receipt| receipt.user_id == attempt.actor);
        let cursor = cursor.map_or(0, |receipt| receipt.read_seq);
        Violation::unless(cursor >= seq, || {
            format!("{} read up to {seq} in {id}, and is at {cursor} now", attempt.actor)
        })?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_under_load_loses_nothing_acknowledged() {
    let scenario = Scenario {
        shape: Shape::Single,
        kills: 25 * effort(),
        ask_again: true,
        seed: Seed::of("p1"),
    };
    run(&scenario, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_any_process_loses_nothing_acknowledged() {
    let seed = Seed::of("p1");
    let scenario = Scenario { shape: Shape::Mesh, kills: 8 * effort(), ask_again: true, seed };
    run(&scenario, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_any_process_of_a_cluster_loses_nothing_acknowledged() {
    if can_be_clustered(
        "promises::p1_durable::sigkill_of_any_process_of_a_cluster_loses_nothing_acknowledged",
    )
    .await
    {
        let (shape, seed) = (Shape::Cluster, Seed::of("p1"));
        let scenario = Scenario { shape, kills: 8 * effort(), ask_again: true, seed };
        run(&scenario, None).await.unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_two_appenders_loses_nothing_acknowledged() {
    let scenario = Scenario {
        shape: Shape::Single,
        kills: 8 * effort(),
        ask_again: true,
        seed: Seed::of("p1"),
    };
    let run = run(&scenario, Some("two-drivers,late-effects")).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_commit_is_caught() {
    // Caught by what the kills lose, not by who looks again before them. On a busy
    // machine a kill may come too late to lose anything.
    let scenario =
        Scenario { shape: Shape::Single, kills: 12, ask_again: false, seed: Seed::of("p1") };
    let mutant = "ack-before-commit";
    must_be_caught(mutant, run(&scenario, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_commit_is_caught_in_a_mesh() {
    let seed = Seed::of("p1");
    let scenario = Scenario { shape: Shape::Mesh, kills: 8, ask_again: false, seed };
    let mutant = "ack-before-commit";
    must_be_caught(mutant, run(&scenario, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_effects_open_after_a_crash_is_caught() {
    let scenario =
        Scenario { shape: Shape::Single, kills: 5, ask_again: false, seed: Seed::of("p1") };
    let mutant = "late-effects,no-finish-on-load";
    must_be_caught(mutant, run(&scenario, Some(mutant)).await);
}
