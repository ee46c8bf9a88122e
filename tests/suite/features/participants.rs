//! Joining, leaving, roles, and the inbox.

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::participants::v1::{
    InboxEvent, ListInboxEventsRequest, ListParticipantsRequest, Participant, Role,
    TransferOwnershipRequest, inbox_event::Kind,
};
use confab_tests::harness::{Checked, Violation};

use super::{Cast, equal, refused};

/// All participants, by pages of two.
async fn list(client: &Client, id: &str) -> Checked<Vec<Participant>> {
    let mut request = ListParticipantsRequest {
        conversation_id: id.to_owned(),
        page_size: 2,
        page_token: String::new(),
    };
    let mut found = Vec::new();
    loop {
        let page = client.call(request.clone()).await?;
        found.extend(page.participants);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

async fn roles(client: &Client, id: &str) -> Checked<Vec<(String, Role)>> {
    let list = list(client, id).await?;
    Ok(list.into_iter().map(|one| (one.user_id.clone(), one.role())).collect())
}

fn named(list: &[(&str, Role)]) -> Vec<(String, Role)> {
    list.iter().map(|(user, role)| ((*user).to_owned(), *role)).collect()
}

async fn inbox(client: &Client) -> Checked<Vec<InboxEvent>> {
    Ok(client.call(ListInboxEventsRequest::default()).await?.events)
}

#[tokio::test]
async fn participants_are_listed_by_pages() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.alice.add_participants(&id, &["dave", "eve"]).await?;
    let (m, o) = (Role::Member, Role::Owner);
    let due = named(&[("alice", o), ("bob", m), ("carol", m), ("dave", m), ("eve", m)]);
    equal(roles(&cast.bob, &id).await?, due)
}

#[tokio::test]
async fn admins_add_and_remove_and_everyone_is_there_once() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.alice.create_group("group", &["bob"]).await?.conversation_id;
    refused(cast.bob.add_participants(&id, &["carol"]).await, Reason::RoleTooLow)?;
    cast.alice.add_participants(&id, &["carol"]).await?;
    let twice = cast.alice.add_participants(&id, &["dave", "carol"]).await;
    refused(twice, Reason::AlreadyAParticipant)?;
    equal(list(&cast.bob, &id).await?.len(), 3)?;
    refused(cast.bob.remove_participant(&id, "carol").await, Reason::RoleTooLow)?;
    cast.alice.remove_participant(&id, "carol").await?;
    refused(cast.carol.send(&id, "hello").await, Reason::NotAParticipant)?;
    let gone = cast.alice.remove_participant(&id, "carol").await;
    refused(gone, Reason::ParticipantNotFound)?;
    equal(cast.alice.get_conversation(&id).await?.0.participant_count, 2)
}

#[tokio::test]
async fn who_left_reads_up_to_the_leave_and_may_come_back() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.alice.send(&id, "before").await?;
    let left = cast.bob.leave(&id).await?;
    cast.alice.send(&id, "meanwhile").await?;
    let (events, head) = cast.bob.events_after(&id, 0, 100).await?;
    equal((events.len() as u64, head), (left, left))?;
    cast.alice.add_participants(&id, &["bob"]).await?;
    let listed = list(&cast.alice, &id).await?;
    let bob = listed.iter().find(|one| one.user_id == "bob");
    Violation::unless(bob.is_some_and(|bob| bob.leave_time.is_none()), || format!("{bob:?}"))?;
    equal(bob.map(|bob| bob.join_seq), Some(left + 2))?;
    cast.bob.send(&id, "back").await?;
    Ok(())
}

#[tokio::test]
async fn the_owner_ranks_and_hands_over() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    refused(cast.bob.set_role(&id, "carol", Role::Admin).await, Reason::RoleTooLow)?;
    cast.alice.set_role(&id, "bob", Role::Admin).await?;
    refused(cast.bob.set_role(&id, "carol", Role::Admin).await, Reason::RoleTooLow)?;
    cast.bob.add_participants(&id, &["dave"]).await?;
    refused(cast.alice.leave(&id).await, Reason::OwnerMustTransfer)?;
    let transfer = TransferOwnershipRequest {
        conversation_id: id.clone(),
        user_id: "carol".to_owned(),
        ..TransferOwnershipRequest::default()
    };
    refused(cast.bob.command(transfer.clone()).await, Reason::RoleTooLow)?;
    cast.alice.command(transfer).await?;
    let (m, a, o) = (Role::Member, Role::Admin, Role::Owner);
    let due = named(&[("alice", a), ("bob", a), ("carol", o), ("dave", m)]);
    equal(roles(&cast.bob, &id).await?, due)?;
    cast.alice.leave(&id).await?;
    Ok(())
}

#[tokio::test]
async fn the_last_one_to_leave_deletes_the_group() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.alice.create_group("group", &["bob"]).await?.conversation_id;
    cast.bob.leave(&id).await?;
    let last = cast.alice.leave(&id).await?;
    equal(cast.alice.all_conversations().await?.len(), 0)?;
    // One command is one event: that nobody is left follows from it.
    let (events, head) = cast.alice.events_after(&id, 0, 100).await?;
    equal((events.len() as u64, head), (last, last))
}

#[tokio::test]
async fn an_inbox_tells_joins_leaves_and_reads_in_order() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let seq = cast.alice.send(&id, "hello").await?.seq;
    cast.bob.mark_read(&id, seq).await?;
    let removed = cast.alice.remove_participant(&id, "bob").await?;
    let events = inbox(&cast.bob).await?;
    let numbers: Vec<_> = events.iter().map(|event| event.inbox_seq).collect();
    equal(numbers, vec![1, 2, 3])?;
    let told: Vec<_> = events
        .iter()
        .map(|event| match &event.kind {
            Some(Kind::Joined(joined)) => ("joined", joined.seq),
            Some(Kind::ReadCursorMoved(moved)) => ("read", moved.read_seq),
            Some(Kind::Left(left)) => ("left", left.seq),
            _ => ("something else", 0),
        })
        .collect();
    equal(told, vec![("joined", 1), ("read", seq), ("left", removed)])
}
