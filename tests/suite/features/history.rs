//! What joiners see of what was said before, and what expires.

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{
        ConversationType, ConversationUpdate, CreateConversationRequest, HistoryVisibility,
        UpdateConversationRequest,
    },
    messages::v1::{
        GetMessageRequest, ListMessagesRequest, ListPinnedMessagesRequest, Message, Retention,
        event::Kind,
    },
};
use confab_tests::harness::{Checked, Violation, eventually};
use prost_types::FieldMask;

use super::{Cast, PATIENCE, equal, get, refused};

async fn group(owner: &Client, with: CreateConversationRequest) -> Checked<String> {
    let request = CreateConversationRequest {
        r#type: ConversationType::Group.into(),
        participant_ids: vec!["bob".to_owned()],
        title: "the group".to_owned(),
        ..with
    };
    Ok(owner.command(request).await?.conversation.unwrap_or_default().conversation_id)
}

async fn from_join(owner: &Client) -> Checked<String> {
    let history_visibility = HistoryVisibility::FromJoin.into();
    group(owner, CreateConversationRequest { history_visibility, ..Default::default() }).await
}

async fn messages(client: &Client, id: &str) -> Checked<Vec<Message>> {
    let request =
        ListMessagesRequest { conversation_id: id.to_owned(), ..ListMessagesRequest::default() };
    let mut messages = client.call(request).await?.messages;
    messages.reverse();
    Ok(messages)
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

fn get_request(id: &str, message_seq: u64) -> GetMessageRequest {
    GetMessageRequest { conversation_id: id.to_owned(), message_seq }
}

#[tokio::test]
async fn a_joiner_sees_everything_or_what_came_after_the_join() -> Checked {
    let cast = Cast::new().await?;
    let (open, closed) = (cast.group().await?, from_join(&cast.alice).await?);
    let dave = cast.client("dev", "dave").await?;
    for id in [&open, &closed] {
        cast.alice.send(id, "before").await?;
        cast.alice.add_participants(id, &["dave"]).await?;
        cast.bob.send(id, "after").await?;
    }
    equal(seqs(&messages(&dave, &open).await?), vec![2, 4])?;
    equal(seqs(&messages(&dave, &closed).await?), vec![4])?;
    equal(seqs(&messages(&cast.bob, &closed).await?), vec![2, 4])?;
    refused(dave.call(get_request(&closed, 2)).await, Reason::MessageNotFound)?;
    let (events, head) = dave.events_after(&closed, 0, 10).await?;
    let found: Vec<u64> = events.iter().map(|event| event.seq).collect();
    equal((found, head), (vec![3, 4], 4))?;
    // Nothing can be done to what cannot be seen.
    refused(dave.react(&closed, 2, "👍").await, Reason::MessageNotFound)?;
    refused(dave.reply(&closed, 2, "?").await, Reason::MessageNotFound)?;
    Ok(())
}

#[tokio::test]
async fn what_happens_to_a_hidden_message_says_nothing_of_it() -> Checked {
    let cast = Cast::new().await?;
    let id = from_join(&cast.alice).await?;
    let hidden = cast.alice.send(&id, "secret").await?.seq;
    cast.alice.add_participants(&id, &["carol"]).await?;
    let edit = cast.alice.edit(&id, hidden, "secret, too").await?;
    cast.alice.pin(&id, hidden).await?;
    cast.bob.reply(&id, hidden, "about it").await?;
    let (events, _) = cast.carol.events_after(&id, 0, 10).await?;
    let said = format!("{events:?}");
    Violation::unless(!said.contains("secret"), || said)?;
    let edited = events.into_iter().find(|event| event.seq == edit).and_then(|event| event.kind);
    match edited {
        Some(Kind::MessageEdited(edited)) => equal(edited.content, None)?,
        other => Violation::unless(false, || format!("no edit: {other:?}"))?,
    }
    let request = ListPinnedMessagesRequest { conversation_id: id.clone() };
    equal(cast.carol.call(request.clone()).await?.messages.len(), 0)?;
    equal(cast.bob.call(request).await?.messages.len(), 1)
}

#[tokio::test]
async fn whoever_was_away_sees_the_times_of_their_membership() -> Checked {
    let cast = Cast::new().await?;
    let id = from_join(&cast.alice).await?;
    cast.alice.send(&id, "2").await?;
    cast.bob.leave(&id).await?;
    cast.alice.send(&id, "4").await?;
    // Left, they see what they saw.
    equal(seqs(&messages(&cast.bob, &id).await?), vec![2])?;
    cast.alice.add_participants(&id, &["bob"]).await?;
    cast.alice.send(&id, "6").await?;
    equal(seqs(&messages(&cast.bob, &id).await?), vec![2, 6])?;
    // Whoever opens the history opens all of it.
    let update = UpdateConversationRequest {
        conversation_id: id.clone(),
        update: Some(ConversationUpdate {
            history_visibility: HistoryVisibility::Full.into(),
            ..ConversationUpdate::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["history_visibility".to_owned()] }),
        ..UpdateConversationRequest::default()
    };
    cast.alice.command(update).await?;
    equal(seqs(&messages(&cast.bob, &id).await?), vec![2, 4, 6])
}

#[tokio::test]
async fn messages_expire_when_there_are_too_many() -> Checked {
    let cast = Cast::with_quick_retention().await?;
    let (alice, bob) = (&cast.alice, &cast.bob);
    let keep = Retention { max_messages: 3, ..Retention::default() };
    let with = CreateConversationRequest { retention: Some(keep), ..Default::default() };
    let id = group(alice, with).await?;
    let kept = alice.create_group("kept", &["bob"]).await?.conversation_id;
    for n in 2..=8 {
        alice.send(&id, format!("message {n}")).await?;
        alice.send(&kept, format!("message {n}")).await?;
    }
    eventually(PATIENCE, "an expiry", || async {
        let conversation = bob.get_conversation(&id).await?.0;
        Ok((conversation.expired_through_seq >= 5).then_some(()))
    })
    .await?;
    let left = messages(bob, &id).await?;
    let said: Vec<_> = left.iter().filter_map(|message| message.content.clone()).collect();
    let texts: Vec<_> = said.iter().map(|content| content.text.as_str()).collect();
    equal(texts, vec!["message 6", "message 7", "message 8"])?;
    // The log keeps its numbers, and says what is gone.
    let (events, head) = bob.events_after(&id, 0, 100).await?;
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    equal(seqs, (1..=head).collect())?;
    let said = format!("{events:?}");
    Violation::unless(!said.contains("message 2") && said.contains("MessagesExpired"), || said)?;
    equal(messages(bob, &kept).await?.len(), 7)
}

#[tokio::test]
async fn what_is_expired_cannot_be_changed() -> Checked {
    let cast = Cast::with_quick_retention().await?;
    let (alice, bob) = (&cast.alice, &cast.bob);
    let keep = Retention { max_messages: 1, ..Retention::default() };
    let with = CreateConversationRequest { retention: Some(keep), ..Default::default() };
    let id = group(alice, with).await?;
    let first = alice.send(&id, "first").await?.seq;
    alice.send(&id, "second").await?;
    eventually(PATIENCE, "an expiry", || async {
        let message = get(bob, &id, first).await?;
        Ok(message.content.is_none().then_some(()))
    })
    .await?;
    refused(alice.edit(&id, first, "again").await, Reason::MessageDeleted)?;
    refused(bob.react(&id, first, "👍").await, Reason::MessageDeleted)?;
    refused(alice.pin(&id, first).await, Reason::MessageDeleted)?;
    Ok(())
}

#[tokio::test]
async fn a_retention_has_its_bounds() -> Checked {
    let cast = Cast::new().await?;
    let keep = Retention { max_age_seconds: 60, ..Retention::default() };
    let with = CreateConversationRequest {
        r#type: ConversationType::Group.into(),
        retention: Some(keep),
        ..Default::default()
    };
    refused(cast.alice.command(with.clone()).await, Reason::InvalidArgument)?;
    let direct = CreateConversationRequest {
        r#type: ConversationType::Direct.into(),
        participant_ids: vec!["bob".to_owned()],
        retention: Some(Retention { max_age_seconds: 86_400, ..Retention::default() }),
        ..Default::default()
    };
    refused(cast.alice.command(direct).await, Reason::InvalidArgument)?;
    Ok(())
}
