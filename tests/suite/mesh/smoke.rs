//! The harness itself: four processes find each other, and each is an entry to all.

use confab_client::Client;
use confab_kit::{error::Reason, role::Role};
use confab_proto::realtime::v1::{Authenticate, connect_request};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, within};

use crate::{
    promises::{WHOLE, program},
    raw::{Raw, Stream, hello, reason_name},
};

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

/// A frame that is too large ends its stream with the reason, through an entry, too.
async fn say_too_much(mesh: &Deployment) -> Checked {
    for role in [Role::Realtime, Role::Messages] {
        let token = mesh.tokens()?.user("dev", "alice");
        let raw = Raw::connect(mesh.of(role).uri()).await?.token(&token);
        let mut stream = Stream::open(&raw).await?;
        stream.say(hello(&[])).await?;
        stream.welcome().await?;
        let token = "x".repeat(100_000);
        let large = connect_request::Frame::Authenticate(Authenticate { token });
        stream.say(large).await?;
        let ending = within(WHOLE, "the end of a stream", stream.ending()).await??;
        let right = ending.refused.reason == reason_name(Reason::RequestTooLarge);
        Violation::unless(right && ending.goodbye.is_some(), || format!("at {role}: {ending:?}"))?;
    }
    Ok(())
}

async fn run() -> Checked {
    let mut mesh = Deployment::start(Shape::Mesh, program(None)).await?;
    talk(&mesh).await?;
    say_too_much(&mesh).await?;
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
