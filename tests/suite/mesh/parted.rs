//! Two processes of messages that fight: whatever comes in through one half of a
//! cluster is decided by one of them, whatever comes in through the other half by the
//! other, and each is stopped in its tracks for a while and wakes up with a memory and
//! with commands of before.

use confab_kit::role::Role;
use confab_tests::harness::{Checked, Deployment, Node, Seed, Shape, Violation, within};

use super::crowd::Crowd;
use crate::promises::{WHOLE, among_kills, can_be_parted, caught};

const STOPS: usize = 4;

/// Every process of messages has had its part in the fight, and lost some of it.
async fn both_fought(confab: &Deployment) -> Checked {
    for node in confab.all_of(Role::Messages) {
        let scrape = node.scrape().await?;
        let appended = scrape.count("confab_messages_appended_total");
        let lost = scrape.count("confab_append_conflicts_total");
        println!("{appended} messages appended, {lost} appends lost to the other");
        if appended == 0 || lost == 0 {
            return Err(Violation::unable("there was no fight"));
        }
    }
    Ok(())
}

async fn fight(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Halves, among_kills(mutant)).await?;
    let mut crowd = Crowd::gather(&confab, Seed::of("parted")).await?;
    crowd.answered(50).await?;
    let fighters: Vec<&Node> = confab.all_of(Role::Messages).collect();
    for stop in 0..STOPS {
        let stopped = fighters[stop % fighters.len()];
        stopped.freeze()?;
        // The other one goes on without it.
        crowd.answered(20).await?;
        stopped.thaw()?;
        crowd.answered(30).await?;
    }
    both_fought(&confab).await?;
    crowd.check().await?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_messages_processes_fight_and_wake_up_and_lose_nothing() -> Checked {
    let test = "mesh::parted::two_messages_processes_fight_and_wake_up_and_lose_nothing";
    if !can_be_parted(test).await {
        return Ok(());
    }
    within(WHOLE, "a fight", Box::pin(fight(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fight_of_processes_catches_mutants() {
    if !can_be_parted("mesh::parted::a_fight_of_processes_catches_mutants").await {
        return;
    }
    let mutant = "append-unconditional";
    caught(mutant, fight(Some(mutant))).await;
}
