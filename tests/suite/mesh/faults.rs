//! Processes that stop and networks that break between them, under load: calls end by
//! their deadlines, nothing acknowledged is lost, nothing happens twice, and all of it
//! heals by itself.

use std::time::Duration;

use confab_client::{Client, Error};
use confab_kit::role::Role;
use confab_proto::{
    conversations::v1::CreateConversationRequest, errors::v1::Reason,
    messages::v1::SendMessageRequest,
};
use confab_tests::harness::{
    Checked, Deployment, Fault, Proxy, Seed, Shape, Violation, eventually, must_be_caught, within,
};
use rand::{Rng as _, rngs::StdRng};
use tokio::time::Instant;

use super::crowd::Crowd;
use crate::promises::{WHOLE, among_kills, can_be_clustered, caught};

/// A create, which needs the log and the conversations, with this deadline: how it
/// ended, and after how long.
async fn create(client: &Client, patience: Duration) -> (Result<(), Error>, Duration) {
    let request = CreateConversationRequest {
        request_id: "in-time".to_owned(),
        r#type: 2,
        ..CreateConversationRequest::default()
    };
    let mut request = tonic::Request::new(request);
    request.set_timeout(patience);
    let begun = Instant::now();
    let answer = client.conversations().create_conversation(request).await;
    (answer.map(drop).map_err(Error::from), begun.elapsed())
}

/// A process that is stopped costs each call its deadline, until it is left alone.
async fn freeze(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Mesh, among_kills(mutant)).await?;
    let seed = Seed::of("mesh");
    let mut crowd = Crowd::gather(&confab, seed).await?;
    crowd.answered(50).await?;
    confab.of(Role::Messages).freeze()?;
    let patience = Duration::from_millis(1200);
    let client = confab.of(Role::Conversations).client("dev", "late").await?;
    let (answer, took) = within(WHOLE, "a deadline", create(&client, patience)).await?;
    let ended = answer.as_ref().is_err_and(Error::is_retryable);
    Violation::unless(ended, || format!("a call of a frozen process got {answer:?}"))?;
    Violation::unless(took < 5 * patience, || format!("the deadline came after {took:?}"))?;
    // It is left alone: nobody waits for it any more.
    eventually(WHOLE, "the breaker opens", || async {
        let asked = tokio::join!(
            Box::pin(create(&client, patience)),
            Box::pin(create(&client, patience)),
            Box::pin(create(&client, patience))
        );
        let (answer, took) = asked.0;
        let reason = answer.err().and_then(|error| error.reason());
        Ok((reason == Some(Reason::PeerUnavailable) && took < patience).then_some(()))
    })
    .await?;
    confab.of(Role::Messages).thaw()?;
    crowd.answered(50).await?;
    confab.meet().await?;
    crowd.check().await?;
    confab.finish()
}

/// Cuts most connections at a random byte, and leaves some half open.
fn bad_network(mut random: StdRng) -> impl FnMut(u64) -> Fault + Send {
    move |_| {
        let scale = 1_u64 << random.random_range(9..14);
        let at = Some(scale + random.random_range(0..scale));
        let stall = random.random_ratio(1, 20);
        if random.random_ratio(1, 2) {
            Fault { up: at, stall, ..Fault::default() }
        } else {
            Fault { down: at, stall, ..Fault::default() }
        }
    }
}

/// Every connection between any two processes breaks, again and again.
async fn break_up(shape: Shape, mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(shape, among_kills(mutant)).await?;
    let seed = Seed::of("mesh");
    let mut crowd = Crowd::gather(&confab, seed).await?;
    crowd.answered(20).await?;
    for (number, link) in (100..).zip(confab.links(None)) {
        link.plan(bad_network(seed.part(number)));
        link.cut_all();
    }
    let faults = || -> u64 { confab.links(None).map(Proxy::faults).sum() };
    let mut last = 0_u64;
    while last < 40 {
        crowd.answered(5).await?;
        last = faults();
    }
    for link in confab.links(None) {
        link.heal();
        link.cut_all();
    }
    confab.meet().await?;
    crowd.answered(20).await?;
    crowd.check().await?;
    println!("{last} connections between processes broken");
    confab.finish()
}

/// A send that is answered by nobody is tried again under its id.
async fn one_send(confab: &Deployment, id: &str) -> Checked<u64> {
    let client = confab.lasting_client("dev", "owner").await?;
    let request = SendMessageRequest {
        conversation_id: id.to_owned(),
        request_id: "once".to_owned(),
        content: Some(confab_client::text("once")),
        ..SendMessageRequest::default()
    };
    Ok(client.call(request).await?.message.unwrap_or_default().seq)
}

/// The peer has carried out what it cannot answer any more.
async fn lost_answers(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Mesh, among_kills(mutant)).await?;
    let owner = confab.lasting_client("dev", "owner").await?;
    let id = owner.create_group("lost", &[]).await?.conversation_id;
    // Whatever comes down from the log is lost for a while, whatever goes up arrives.
    for link in confab.links(Some(Role::Messages)) {
        // A connection is made, and greets; what comes then is cut off.
        link.plan(|number| Fault { down: (number < 12).then_some(400), ..Fault::default() });
        link.cut_all();
    }
    for _ in 0..4 {
        let seq = within(WHOLE, "a send", one_send(&confab, &id)).await??;
        Violation::unless(seq == 2, || format!("one request became event {seq}"))?;
    }
    let (events, head) = owner.events_after(&id, 0, 100).await?;
    Violation::unless(head == 2 && events.len() == 2, || format!("sent once: {events:?}"))?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_process_costs_deadlines_and_nothing_else() -> Checked {
    within(WHOLE, "a frozen process", Box::pin(freeze(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_between_processes_lose_nothing() -> Checked {
    within(WHOLE, "broken connections", Box::pin(break_up(Shape::Mesh, None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_in_a_cluster_lose_nothing() -> Checked {
    if !can_be_clustered("mesh::faults::broken_connections_in_a_cluster_lose_nothing").await {
        return Ok(());
    }
    within(WHOLE, "broken connections", Box::pin(break_up(Shape::Cluster, None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_between_processes_happens_once() -> Checked {
    within(WHOLE, "lost answers", Box::pin(lost_answers(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_request_ids_is_caught_by_lost_answers() {
    let mutant = "no-id-lookup";
    caught(mutant, lost_answers(Some(mutant))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_request_ids_is_caught_by_broken_connections() {
    let mutant = "no-id-lookup";
    caught(mutant, break_up(Shape::Mesh, Some(mutant))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_request_ids_is_caught_by_broken_connections_in_a_cluster() {
    let test = "mesh::faults::forgetting_request_ids_is_caught_by_broken_connections_in_a_cluster";
    if can_be_clustered(test).await {
        let mutant = "no-id-lookup";
        caught(mutant, break_up(Shape::Cluster, Some(mutant))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_never_opens_is_caught() {
    let mutant = "breaker-never-opens";
    let run = within(Duration::from_secs(12), mutant, Box::pin(freeze(Some(mutant)))).await;
    must_be_caught(mutant, run.and_then(|run| run));
}
