//! Who is removed while they send through another process of messages, which knows
//! nothing of it but what the log says.

use std::time::Duration;

use confab_client::Client;
use confab_proto::{
    errors::v1::Reason,
    messages::v1::{Event, event::Kind},
    participants::v1::RemoveParticipantRequest,
};
use confab_tests::harness::{Checked, Deployment, Seed, Shape, Violation, effort, within};
use rand::{Rng as _, rngs::StdRng};
use tokio::task::JoinSet;

use crate::promises::{
    WHOLE, all_ended, all_events, among_kills, can_be_parted, caught,
    p3_idempotent::{send, settle},
};

const REMOVALS: u64 = 16;
const HANDS: u64 = 4;
const SENDS: u64 = 40;

/// A user at both entries of a cluster in halves.
pub(super) type Both = Vec<Client>;

pub(super) async fn both(confab: &Deployment, user: &str) -> Checked<Both> {
    let mut clients = Vec::new();
    for entry in confab.entries() {
        clients.push(entry.client("dev", user).await?);
    }
    Ok(clients)
}

/// By turns.
pub(super) fn at(clients: &Both, number: u64) -> &Client {
    &clients[usize::from(!number.is_multiple_of(2))]
}

/// Sends until it is told that it is out: what was acknowledged, and whether it was told.
async fn storm(client: Client, id: String, name: String) -> Checked<(Vec<(String, u64)>, bool)> {
    let mut sent = Vec::new();
    for number in 0..SENDS {
        let request_id = format!("{name}-{number}");
        match settle(&client, send(&id, &request_id, 0, "in the storm")).await {
            Ok(seq) => sent.push((request_id, seq)),
            Err(error) if error.reason() == Some(Reason::NotAParticipant) => {
                return Ok((sent, true));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((sent, false))
}

/// One storm of the victim at both entries, and the removal in the middle of it.
async fn removal(
    number: u64,
    (owner, victim): (&Both, &Both),
    id: &str,
    random: &mut StdRng,
) -> Checked<bool> {
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let client = at(victim, hand).clone();
        hands.spawn(storm(client, id.to_owned(), format!("storm-{number}-{hand}")));
    }
    tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
    let remove = RemoveParticipantRequest {
        conversation_id: id.to_owned(),
        request_id: format!("remove-{number}"),
        after_seq: 0,
        user_id: "victim".to_owned(),
    };
    let removed = settle(at(owner, number), remove).await?;
    let stormed = all_ended(hands, WHOLE, "a storm").await?;
    let log = all_events(at(owner, number + 1), id).await?;
    for (request_id, seq) in stormed.iter().flat_map(|(sent, _)| sent) {
        let event = log.iter().find(|event| event.request_id == *request_id);
        let stands = event.is_some_and(|event| event.seq == *seq && *seq < removed);
        Violation::unless(stands, || {
            format!("removed at {removed}, {request_id} was answered with {seq}: {event:?}")
        })?;
    }
    for client in victim {
        let (events, head) = client.events_after(id, removed - 1, 100).await?;
        let only = events.len() == 1 && head == removed;
        Violation::unless(only, || format!("removed at {removed}, and reads {events:?}"))?;
    }
    let add = at(owner, number + 1).add_participants(id, &["victim"]).await?;
    let refused = stormed.iter().any(|(_, told)| *told);
    let before = log.iter().any(|event| event.seq < removed && event.actor_id == "victim");
    Violation::unless(add > removed, || format!("added at {add}, removed at {removed}"))?;
    Ok(refused && before)
}

/// Nobody writes who is out.
fn walk(log: &[Event]) -> Checked {
    let mut inside = true;
    for event in log {
        match &event.kind {
            Some(Kind::ParticipantLeft(left)) => inside &= left.user_id != "victim",
            Some(Kind::ParticipantsJoined(_)) => inside = true,
            _ => Violation::unless(inside || event.actor_id != "victim", || {
                format!("event {} is of one who was out", event.seq)
            })?,
        }
    }
    Ok(())
}

async fn removals(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Halves, among_kills(mutant)).await?;
    let (owner, victim) = (both(&confab, "owner").await?, both(&confab, "victim").await?);
    let id = owner[0].create_group("storm", &["victim"]).await?.conversation_id;
    let mut random = Seed::of("removal").part(0);
    let mut in_the_middle = 0;
    for number in 0..REMOVALS * u64::from(effort()) {
        let removal = Box::pin(removal(number, (&owner, &victim), &id, &mut random));
        in_the_middle += u64::from(removal.await?);
        walk(&all_events(at(&owner, number), &id).await?)?;
    }
    println!("{in_the_middle} removals came in the middle of a storm");
    if in_the_middle < REMOVALS / 2 {
        return Err(Violation::unable("too few removals came in the middle of a storm"));
    }
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_races_with_sends_on_two_nodes() -> Checked {
    if !can_be_parted("mesh::removal::a_removal_races_with_sends_on_two_nodes").await {
        return Ok(());
    }
    within(WHOLE, "removals", Box::pin(removals(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn deciding_once_only_is_caught_by_who_is_removed() {
    if !can_be_parted("mesh::removal::deciding_once_only_is_caught_by_who_is_removed").await {
        return;
    }
    let mutant = "no-second-decision";
    caught(mutant, removals(Some(mutant))).await;
}
