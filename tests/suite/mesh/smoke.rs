//! The harness itself: four processes find each other, and each is an entry to all.

use confab_client::Client;
use confab_kit::role::Role;
use confab_tests::harness::{Checked, Deployment, Shape, Violation};

use crate::promises::{WHOLE, program};
use confab_tests::harness::within;

async fn talk(mesh: &Deployment) -> Checked {
    let alice = mesh.client("dev", "alice").await?;
    let id = alice.create_group("mesh", &["bob", "carol"]).await?.conversation_id;
    let people: Vec<Client> = {
        let mut people = Vec::new();
        for name in ["alice", "bob", "carol", "bob"] {
            people.push(mesh.client("dev", name).await?);
        }
        people
    };
    let mut sent = 1;
    for person in &people {
        let message = person.send(&id, "hello").await?;
        sent += 1;
        Violation::unless(message.seq == sent, || format!("{message:?} is not {sent}"))?;
    }
    for person in &people {
        let (events, head) = person.events_after(&id, 0, 100).await?;
        Violation::unless(head == sent && events.len() as u64 == sent, || format!("{events:?}"))?;
    }
    Ok(())
}

async fn run() -> Checked {
    let mut mesh = Deployment::start(Shape::Mesh, program(None)).await?;
    talk(&mesh).await?;
    // Nothing is told of it beforehand, and nothing has to be told of it after.
    mesh.of_mut(Role::Messages).restart().await?;
    talk(&mesh).await?;
    mesh.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_are_one_confab() {
    let run = within(WHOLE, "four processes", run()).await;
    run.and_then(|run| run).unwrap_or_else(|violation| panic!("{violation}"));
}
