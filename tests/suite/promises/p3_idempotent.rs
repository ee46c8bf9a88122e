//! P3: every command is idempotent. The same request id gives the same answer
//! and one event: to racers, after kills, and for ever where the request says what
//! its sender knew. Those who may not send any more are in `p3_lost_rights`.

use std::sync::Arc;

use confab_client::{Client, Command, Error, text};
use confab_proto::{
    conversations::v1::CreateConversationRequest,
    errors::v1::Reason,
    messages::v1::{AddReactionRequest, EditMessageRequest, Event, SendMessageRequest},
    participants::v1::AddParticipantsRequest,
};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, must_be_caught, within};
use tokio::{sync::Barrier, task::JoinSet};
use tonic::Code;

use super::{
    among_kills, can_be_clustered, program,
    support::{WHOLE, all_events, once},
};

const RACERS: usize = 32;
const CONNECTIONS: usize = 4;

pub(crate) fn send(id: &str, request_id: &str, after_seq: u64, body: &str) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: id.to_owned(),
        request_id: request_id.to_owned(),
        after_seq,
        content: Some(text(body)),
        ..SendMessageRequest::default()
    }
}

/// One answer, however often the server has to be asked.
pub(crate) async fn settle<C: Command>(client: &Client, command: C) -> Result<u64, Error> {
    loop {
        match once(client, command.clone()).await {
            Ok(answer) => return Ok(command.head(&answer).map_or(0, |(_, seq)| seq)),
            Err(error) if error.is_retryable() => tokio::task::yield_now().await,
            Err(error) => return Err(error),
        }
    }
}

/// Lets racers loose, each with its own body, all with one id; returns what each
/// was answered.
async fn race<C: Command>(clients: &[Client], bodies: &[C]) -> Checked<Vec<Result<u64, Error>>> {
    let line = Arc::new(Barrier::new(RACERS));
    let mut racers = JoinSet::new();
    for number in 0..RACERS {
        let client = clients[number % clients.len()].clone();
        let command = bodies[number % bodies.len()].clone();
        let line = Arc::clone(&line);
        racers.spawn(async move {
            line.wait().await;
            (number, settle(&client, command).await)
        });
    }
    let mut answers: Vec<(usize, Result<u64, Error>)> = Vec::new();
    while let Some(answer) = within(WHOLE, "the racers", racers.join_next()).await? {
        answers.push(answer.map_err(Violation::unable)?);
    }
    answers.sort_by_key(|(number, _)| *number);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// All racers have one answer, and the log has one event for it.
async fn one_answer<C: Command>(clients: &[Client], id: &str, command: C) -> Checked<u64> {
    let request_id = command.ids().request_id;
    let answers = race(clients, &[command]).await?;
    let mut seqs = Vec::new();
    for answer in answers {
        seqs.push(answer?);
    }
    seqs.dedup();
    Violation::unless(seqs.len() == 1, || format!("{request_id} was answered with {seqs:?}"))?;
    let log = all_events(&clients[0], id).await?;
    one_event(&log, &request_id, seqs[0])?;
    Ok(seqs[0])
}

fn one_event(log: &[Event], request_id: &str, seq: u64) -> Checked {
    let events = log.iter().filter(|event| event.request_id == request_id);
    let events: Vec<u64> = events.map(|event| event.seq).collect();
    Violation::unless(events == [seq], || {
        format!("{request_id} was answered with {seq} and has the events {events:?}")
    })
}

pub(crate) fn reused(answer: &Result<u64, Error>) -> bool {
    answer.as_ref().is_err_and(|error| {
        error.reason() == Some(Reason::RequestIdReused) && error.code() == Some(Code::AlreadyExists)
    })
}

async fn clients(confab: &Deployment, user: &str, count: usize) -> Checked<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(confab.client("dev", user).await?);
    }
    Ok(clients)
}

/// 32 racers on one request id, over four connections, for every kind of command.
async fn racers(shape: Shape, mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(shape, program(mutant)).await?;
    let owner = clients(&confab, "owner", CONNECTIONS).await?;

    let create = |title: &str| CreateConversationRequest {
        request_id: "create".to_owned(),
        r#type: 2,
        title: title.to_owned(),
        participant_ids: vec!["bob".to_owned()],
        ..CreateConversationRequest::default()
    };
    let created = race(&owner, &[create("raced")]).await?;
    Violation::unless(created.iter().all(Result::is_ok), || format!("{created:?}"))?;
    let other = settle(&owner[0], create("another title")).await;
    Violation::unless(reused(&other), || format!("another create got {other:?}"))?;
    let list = owner[0].all_conversations().await?;
    Violation::unless(list.len() == 1, || format!("{} conversations, not 1", list.len()))?;
    let id = list[0].conversation.clone().unwrap_or_default().conversation_id;

    for round in 0..10 {
        every_command(&owner, &id, round).await?;
    }
    confab.finish()
}

/// Each kind of command, raced for.
async fn every_command(owner: &[Client], id: &str, round: u64) -> Checked {
    let after = all_events(&owner[0], id).await?.len() as u64;
    let request = format!("send{round}");
    let after_seq = if round.is_multiple_of(2) { after } else { 0 };
    let seq = one_answer(owner, id, send(id, &request, after_seq, "one")).await?;
    let other = settle(&owner[1], send(id, &request, after_seq, "another")).await;
    Violation::unless(reused(&other), || format!("another body got {other:?}"))?;

    let ids = (id.to_owned(), format!("edit{round}"), after_seq);
    let edit = EditMessageRequest {
        conversation_id: ids.0,
        request_id: ids.1,
        after_seq: ids.2,
        message_seq: seq,
        content: Some(text("edited")),
    };
    one_answer(owner, id, edit).await?;
    let react = AddReactionRequest {
        conversation_id: id.to_owned(),
        request_id: format!("react{round}"),
        after_seq,
        message_seq: seq,
        emoji: "+".to_owned(),
    };
    one_answer(owner, id, react).await?;
    let add = AddParticipantsRequest {
        conversation_id: id.to_owned(),
        request_id: format!("add{round}"),
        after_seq,
        user_ids: vec![format!("guest{round}")],
    };
    one_answer(owner, id, add).await?;
    two_bodies(owner, id, &format!("split{round}")).await?;
    Ok(())
}

/// Racers of two bodies: one body wins, and the others are told so.
async fn two_bodies(clients: &[Client], id: &str, request_id: &str) -> Checked {
    let bodies = [send(id, request_id, 0, "heads"), send(id, request_id, 0, "tails")];
    let answers = race(clients, &bodies).await?;
    let (winners, losers): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    Violation::unless(losers.iter().all(|answer| reused(answer)), || format!("{losers:?}"))?;
    let mut seqs: Vec<u64> =
        winners.iter().filter_map(|answer| answer.as_ref().ok()).copied().collect();
    let halves = seqs.len() == RACERS / 2;
    seqs.dedup();
    Violation::unless(halves && seqs.len() == 1, || format!("{winners:?} won of two bodies"))?;
    one_event(&all_events(&clients[0], id).await?, request_id, seqs[0])
}

/// Answered requests, asked again after a kill, by another connection.
async fn kills(shape: Shape, mutant: Option<&str>) -> Checked {
    let mut confab = Deployment::start(shape, among_kills(mutant)).await?;
    let alice = confab.lasting_client("dev", "alice").await?;
    let id = alice.create_group("kills", &[]).await?.conversation_id;
    let mut sent = Vec::new();
    for round in 0..4 {
        for number in 0..8_u64 {
            let request_id = format!("r{round}.{number}");
            let after_seq = if number % 2 == 0 { 0 } else { sent.len() as u64 };
            let command = send(&id, &request_id, after_seq, &request_id);
            let seq = settle(&alice, command.clone()).await?;
            sent.push((command, seq));
        }
        confab.kill_one(round).await?;
        for (command, seq) in &sent {
            let again = settle(&alice, command.clone()).await?;
            Violation::unless(again == *seq, || format!("{seq} before the kill, {again} after"))?;
        }
        let (command, _) = &sent[0];
        let other =
            settle(&alice, SendMessageRequest { content: Some(text("no")), ..command.clone() });
        let other = other.await;
        Violation::unless(reused(&other), || format!("another body got {other:?}"))?;
    }
    let log = all_events(&alice, &id).await?;
    for (command, seq) in &sent {
        one_event(&log, &command.request_id, *seq)?;
    }
    Violation::unless(log.len() == sent.len() + 1, || "retries have made events".to_owned())?;
    confab.finish()
}

/// More than 1,000 events later, and after a restart.
async fn far_away(mutant: Option<&str>) -> Checked {
    let mut confab = Deployment::start(Shape::Single, program(mutant)).await?;
    let alice = clients(&confab, "alice", CONNECTIONS).await?;
    let id = alice[0].create_group("far", &[]).await?.conversation_id;
    let first = send(&id, "first", 1, "first");
    let first_seq = settle(&alice[0], first.clone()).await?;
    let mut senders = JoinSet::new();
    for hand in 0..RACERS {
        let (alice, id) = (alice[hand % CONNECTIONS].clone(), id.clone());
        senders.spawn(async move {
            for number in 0..34 {
                let request_id = format!("fill{hand}.{number}");
                settle(&alice, send(&id, &request_id, 0, "filler")).await?;
            }
            Ok::<(), Error>(())
        });
    }
    while let Some(ended) = within(WHOLE, "the fillers", senders.join_next()).await? {
        ended.map_err(Violation::unable)??;
    }
    let near = send(&id, "near", 0, "near");
    let near_seq = settle(&alice[0], near.clone()).await?;
    Violation::unless(near_seq > first_seq + 1000, || "too few events".to_owned())?;
    far_answers(&alice[0], (&first, first_seq), (&near, near_seq)).await?;
    confab.kill_one(0).await?;
    let alice = confab.client("dev", "alice").await?;
    far_answers(&alice, (&first, first_seq), (&near, near_seq)).await?;
    let log = all_events(&alice, &id).await?;
    one_event(&log, "first", first_seq)?;
    one_event(&log, "near", near_seq)?;
    confab.finish()
}

async fn far_answers(
    alice: &Client,
    (first, first_seq): (&SendMessageRequest, u64),
    (near, near_seq): (&SendMessageRequest, u64),
) -> Checked {
    let again = settle(alice, first.clone()).await?;
    Violation::unless(again == first_seq, || {
        format!("1,000 events later the answer {first_seq} became {again}")
    })?;
    let again = settle(alice, near.clone()).await?;
    Violation::unless(again == near_seq, || format!("the answer {near_seq} became {again}"))?;
    let other = SendMessageRequest { content: Some(text("other")), ..first.clone() };
    let other = settle(alice, other).await;
    Violation::unless(reused(&other), || format!("another body got {other:?}"))?;
    let ahead = send(&first.conversation_id, "ahead", near_seq + 1, "ahead");
    let ahead = settle(alice, ahead).await;
    let refused = ahead.as_ref().is_err_and(|e| e.reason() == Some(Reason::AfterSeqAboveHead));
    Violation::unless(refused, || format!("after_seq above the head got {ahead:?}"))
}

pub(crate) fn must_hold(checked: Checked) {
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn racers_on_one_request_id_get_one_event() {
    must_hold(racers(Shape::Single, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn racers_over_two_appenders_get_one_event() {
    must_hold(racers(Shape::Single, Some("two-drivers")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_across_kills_get_the_same_answer() {
    must_hold(kills(Shape::Single, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn racers_through_every_process_get_one_event() {
    must_hold(racers(Shape::Mesh, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_across_kills_of_any_process_get_the_same_answer() {
    must_hold(kills(Shape::Mesh, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn racers_through_a_cluster_get_one_event() {
    if can_be_clustered("promises::p3_idempotent::racers_through_a_cluster_get_one_event").await {
        must_hold(racers(Shape::Cluster, None).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_across_kills_in_a_cluster_get_the_same_answer() {
    if can_be_clustered(
        "promises::p3_idempotent::retries_across_kills_in_a_cluster_get_the_same_answer",
    )
    .await
    {
        must_hold(kills(Shape::Cluster, None).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_after_a_thousand_events_get_the_same_answer() {
    must_hold(far_away(None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_request_ids_is_caught() {
    let mutant = "no-id-lookup";
    must_be_caught(mutant, racers(Shape::Single, Some(mutant)).await);
    must_be_caught(mutant, kills(Shape::Single, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_request_ids_is_caught_in_a_mesh() {
    let mutant = "no-id-lookup";
    must_be_caught(mutant, racers(Shape::Mesh, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deciding_once_only_is_caught() {
    let mutant = "two-drivers,no-second-decision";
    must_be_caught(mutant, racers(Shape::Single, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_the_tail_only_is_caught() {
    let mutant = "no-scan";
    must_be_caught(mutant, far_away(Some(mutant)).await);
}
