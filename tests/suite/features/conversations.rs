//! Creating, describing, archiving, deleting conversations.

use confab_client::{Client, SendOptions};
use confab_kit::error::Reason;
use confab_proto::conversations::v1::{
    ArchiveConversationRequest, Conversation, ConversationType, ConversationUpdate,
    CreateConversationRequest, DeleteConversationRequest, RestoreConversationRequest,
    UnarchiveConversationRequest, UpdateConversationRequest,
};
use confab_tests::harness::{Checked, Violation};
use prost_types::FieldMask;

use super::{Cast, equal, refused};

async fn get(client: &Client, id: &str) -> Checked<Conversation> {
    Ok(client.get_conversation(id).await?.0)
}

fn update(
    id: &str,
    etag: &str,
    changes: ConversationUpdate,
    mask: &[&str],
) -> UpdateConversationRequest {
    let paths = mask.iter().map(ToString::to_string).collect();
    UpdateConversationRequest {
        conversation_id: id.to_owned(),
        etag: etag.to_owned(),
        update: Some(changes),
        update_mask: Some(FieldMask { paths }),
        ..UpdateConversationRequest::default()
    }
}

#[tokio::test]
async fn a_direct_conversation_exists_once_per_pair() -> Checked {
    let cast = Cast::new().await?;
    let first = cast.alice.open_direct("bob").await?;
    equal(first.r#type(), ConversationType::Direct)?;
    let id = first.conversation_id;
    equal(cast.bob.open_direct("alice").await?.conversation_id, id.clone())?;
    let other = cast.alice.open_direct("carol").await?.conversation_id;
    Violation::unless(other != id, || "two pairs share a conversation")?;
    let delete = DeleteConversationRequest { conversation_id: id.clone(), ..Default::default() };
    cast.bob.command(delete).await?;
    refused(cast.alice.send(&id, "hello").await, Reason::ConversationDeleted)?;
    // Opened again it is restored.
    let again = cast.alice.open_direct("bob").await?;
    equal((again.conversation_id.clone(), again.delete_time), (id.clone(), None))?;
    cast.alice.send(&id, "hello").await?;
    Ok(())
}

#[tokio::test]
async fn creating_is_idempotent() -> Checked {
    let cast = Cast::new().await?;
    let create = |title: &str| CreateConversationRequest {
        r#type: ConversationType::Group.into(),
        participant_ids: vec!["bob".to_owned()],
        title: title.to_owned(),
        ..CreateConversationRequest::default()
    };
    let named = SendOptions { request_id: Some("once".to_owned()), ..SendOptions::default() };
    let first = cast.alice.command_with(create("one"), named.clone()).await?;
    let again = cast.alice.command_with(create("one"), named.clone()).await?;
    equal(&again, &first)?;
    refused(cast.alice.command_with(create("two"), named.clone()).await, Reason::RequestIdReused)?;
    let bobs = cast.bob.command_with(create("one"), named).await;
    let bobs = bobs?.conversation.unwrap_or_default();
    Violation::unless(Some(&bobs) != first.conversation.as_ref(), || "ids are the creator's own")
}

#[tokio::test]
async fn a_conversation_carries_what_describes_it() -> Checked {
    let cast = Cast::new().await?;
    let request = CreateConversationRequest {
        r#type: ConversationType::Group.into(),
        participant_ids: vec!["bob".to_owned()],
        title: "Title".to_owned(),
        description: "Description".to_owned(),
        avatar_url: "https://example.com/a.png".to_owned(),
        metadata: [("colour".to_owned(), "blue".to_owned())].into(),
        ..CreateConversationRequest::default()
    };
    let made = cast.alice.command(request.clone()).await?.conversation.unwrap_or_default();
    let read = get(&cast.bob, &made.conversation_id).await?;
    equal(&read, &made)?;
    equal((read.title.as_str(), read.description.as_str()), ("Title", "Description"))?;
    equal((read.avatar_url, read.metadata), (request.avatar_url, request.metadata))?;
    equal((read.creator_id.as_str(), read.participant_count), ("alice", 2))
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names_and_needs_the_current_etag() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let before = get(&cast.alice, &id).await?;
    let changes = ConversationUpdate {
        title: "new".to_owned(),
        description: "not named".to_owned(),
        ..ConversationUpdate::default()
    };
    cast.alice.command(update(&id, &before.etag, changes.clone(), &["title"])).await?;
    let after = get(&cast.bob, &id).await?;
    equal((after.title.as_str(), after.description.as_str()), ("new", ""))?;
    Violation::unless(after.etag != before.etag, || "the etag stayed")?;
    let stale = cast.alice.command(update(&id, &before.etag, changes.clone(), &["title"])).await;
    let error = refused(stale, Reason::EtagMismatch)?;
    equal(error.metadata("etag"), Some(after.etag.as_str()))?;
    let by_member = cast.bob.command(update(&id, "", changes.clone(), &["title"])).await;
    refused(by_member, Reason::RoleTooLow)?;
    // Without an etag it changes whatever is there.
    cast.alice.command(update(&id, "", changes, &["description"])).await?;
    equal(get(&cast.bob, &id).await?.description, "not named".to_owned())
}

#[tokio::test]
async fn messages_do_not_move_the_etag() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let before = get(&cast.alice, &id).await?.etag;
    cast.bob.send(&id, "hello").await?;
    equal(get(&cast.alice, &id).await?.etag, before)
}

#[tokio::test]
async fn an_archived_conversation_is_read_only() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let archive =
        || ArchiveConversationRequest { conversation_id: id.clone(), ..Default::default() };
    refused(cast.bob.command(archive()).await, Reason::RoleTooLow)?;
    cast.alice.command(archive()).await?;
    refused(cast.alice.command(archive()).await, Reason::NoChange)?;
    refused(cast.bob.send(&id, "hello").await, Reason::ConversationArchived)?;
    let read = get(&cast.bob, &id).await?;
    Violation::unless(read.archive_time.is_some(), || format!("no archive time: {read:?}"))?;
    let unarchive =
        UnarchiveConversationRequest { conversation_id: id.clone(), ..Default::default() };
    cast.alice.command(unarchive).await?;
    cast.bob.send(&id, "hello").await?;
    equal(get(&cast.bob, &id).await?.archive_time, None)
}

#[tokio::test]
async fn a_deleted_conversation_can_be_restored_by_its_owner() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.bob.send(&id, "hello").await?;
    let delete = || DeleteConversationRequest { conversation_id: id.clone(), ..Default::default() };
    refused(cast.bob.command(delete()).await, Reason::RoleTooLow)?;
    cast.alice.command(delete()).await?;
    refused(cast.bob.send(&id, "hello").await, Reason::ConversationDeleted)?;
    equal(cast.bob.all_conversations().await?.len(), 0)?;
    let restore = RestoreConversationRequest { conversation_id: id.clone(), ..Default::default() };
    refused(cast.bob.command(restore.clone()).await, Reason::RoleTooLow)?;
    cast.alice.command(restore).await?;
    equal(cast.bob.all_conversations().await?.len(), 1)?;
    equal(cast.bob.send(&id, "again").await?.seq, 5)
}
