//! The last two participants leave at once, each through another process of messages:
//! the conversation is deleted once, by whoever was the last.

use confab_client::{Client, ClientOptions, Command, Error, fold::ConversationState};
use confab_proto::{
    errors::v1::Reason,
    messages::v1::{Event, event::Kind},
    participants::v1::{LeaveConversationRequest, TransferOwnershipRequest},
};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, effort, within};
use futures_util::future::try_join_all;

use super::removal::{Both, at, both};
use crate::promises::{
    WHOLE, all_events, among_kills, can_be_parted, caught, p3_idempotent::settle,
};

/// Conversations that are left at a time, and how often.
const PAIRS: u64 = 6;
const ROUNDS: u64 = 6;
const BACKEND: &str = "backend";

/// A command that waits for the other one to be out of its way.
async fn in_the_end<C: Command>(client: &Client, command: C) -> Result<u64, Error> {
    loop {
        match settle(client, command.clone()).await {
            Err(error) if error.reason() == Some(Reason::OwnerMustTransfer) => {}
            answer => return answer,
        }
    }
}

/// The owner leaves, and sometimes gives the ownership away first, while the only
/// other participant leaves at the other entry.
async fn last_two(number: u64, (alice, bob): (&Both, &Both), backend: &Both) -> Checked {
    let (here, there) = (at(alice, number), at(bob, number + 1));
    let id = here.create_group(format!("pair {number}"), &["bob"]).await?.conversation_id;
    let leave = LeaveConversationRequest {
        conversation_id: id.clone(),
        request_id: "leave".to_owned(),
        after_seq: 0,
    };
    // Both know the log as it is, and none of what the other is about to do.
    tokio::try_join!(here.events_after(&id, 0, 10), there.events_after(&id, 0, 10))?;
    let owner = async {
        if (number / 2).is_multiple_of(2) {
            let (conversation_id, user_id) = (id.clone(), "bob".to_owned());
            let request_id = "transfer".to_owned();
            let transfer =
                TransferOwnershipRequest { conversation_id, request_id, after_seq: 0, user_id };
            match settle(here, transfer).await {
                Err(error) if error.reason() != Some(Reason::ParticipantNotFound) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        in_the_end(here, leave.clone()).await
    };
    let (alice_left, bob_left) = tokio::try_join!(owner, in_the_end(there, leave.clone()))?;
    deleted_once(at(backend, number / 4), &id, alice_left.max(bob_left)).await
}

/// Both have left, the last one ends the log, and the conversation is deleted by that.
async fn deleted_once(backend: &Client, id: &str, last: u64) -> Checked {
    let log = all_events(backend, id).await?;
    Violation::unless(log.len() as u64 == last, || format!("it ended at {last}: {log:?}"))?;
    walk(&log)?;
    let mut folded = ConversationState::new(id, BACKEND);
    for event in &log {
        folded.apply(event).map_err(Violation::unable)?;
    }
    let fresh = ConversationState::from_snapshot(backend.snapshot(id, 100).await?, BACKEND);
    let differences = folded.diff(&fresh);
    Violation::unless(differences.is_empty(), || format!("folded is not read: {differences:?}"))?;
    let (conversation, _) = backend.get_conversation(id).await?;
    let end = log.last().and_then(|event| event.create_time);
    Violation::unless(conversation.delete_time.is_some() && conversation.delete_time == end, || {
        format!("left at {end:?}, and is {conversation:?}")
    })
}

/// Each leaves once, an owner as the last one, and nobody owns it who has left.
fn walk(log: &[Event]) -> Checked {
    let (mut inside, mut owner) = (vec!["alice", "bob"], "alice");
    for event in log {
        match &event.kind {
            Some(Kind::ParticipantLeft(left)) => {
                let user = left.user_id.as_str();
                let may = inside.contains(&user) && (user != owner || inside.len() == 1);
                Violation::unless(may, || format!("{user} leaves {inside:?} of {owner}: {log:?}"))?;
                inside.retain(|other| *other != user);
            }
            Some(Kind::RolesChanged(_)) => {
                owner = "bob";
                let may = inside.contains(&owner);
                Violation::unless(may, || format!("{owner} has left, and is the owner: {log:?}"))?;
            }
            _ => {}
        }
    }
    Violation::unless(inside.is_empty(), || format!("{inside:?} have not left: {log:?}"))
}

/// An application, which may read what nobody is in any more, at both entries.
async fn application(confab: &Deployment) -> Checked<Both> {
    let mut clients = Vec::new();
    for entry in confab.entries() {
        let token = confab.tokens()?.application("dev", BACKEND);
        clients.push(Client::connect(ClientOptions::new(entry.uri()).token(token)).await?);
    }
    Ok(clients)
}

async fn partings(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Halves, among_kills(mutant)).await?;
    let (alice, bob) = (both(&confab, "alice").await?, both(&confab, "bob").await?);
    let backend = application(&confab).await?;
    for round in 0..ROUNDS * u64::from(effort()) {
        let pairs = (0..PAIRS).map(|pair| last_two(round * PAIRS + pair, (&alice, &bob), &backend));
        try_join_all(pairs).await?;
    }
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_two_leave_on_two_nodes() -> Checked {
    if !can_be_parted("mesh::last_two::the_last_two_leave_on_two_nodes").await {
        return Ok(());
    }
    within(WHOLE, "partings", Box::pin(partings(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn deciding_once_only_is_caught_by_the_last_two() {
    if !can_be_parted("mesh::last_two::deciding_once_only_is_caught_by_the_last_two").await {
        return;
    }
    let mutant = "no-second-decision";
    caught(mutant, partings(Some(mutant))).await;
}
