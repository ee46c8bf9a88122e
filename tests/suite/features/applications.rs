//! A team's own backend: owner's rights in its tenant, and a voice where it is
//! a participant.

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{ConversationType, CreateConversationRequest, ListConversationsRequest},
    participants::v1::{ListParticipantsRequest, Role},
};
use confab_tests::harness::Checked;

use super::{Cast, equal, refused};

fn create(kind: ConversationType, participants: &[&str], owner: &str) -> CreateConversationRequest {
    CreateConversationRequest {
        r#type: kind.into(),
        participant_ids: participants.iter().map(ToString::to_string).collect(),
        owner_id: owner.to_owned(),
        ..CreateConversationRequest::default()
    }
}

#[tokio::test]
async fn it_sets_up_conversations_for_users() -> Checked {
    let cast = Cast::new().await?;
    let group = create(ConversationType::Group, &["bob", "carol"], "alice");
    let made = cast.app.command(group).await?.conversation.unwrap_or_default();
    equal((made.owner_id.as_str(), made.participant_count), ("alice", 3))?;
    equal(cast.bob.all_conversations().await?.len(), 1)?;
    cast.alice.set_role(&made.conversation_id, "bob", Role::Admin).await?;
    let pair = create(ConversationType::Direct, &["bob", "carol"], "");
    let direct = cast.app.command(pair).await?.conversation.unwrap_or_default();
    equal(cast.bob.open_direct("carol").await?.conversation_id, direct.conversation_id)?;
    // Users own what they create.
    let foreign = create(ConversationType::Group, &["bob"], "carol");
    refused(cast.alice.command(foreign).await, Reason::InvalidArgument)?;
    let own = create(ConversationType::Group, &["bob"], "");
    let own = cast.app.command(own).await?.conversation.unwrap_or_default();
    equal((own.owner_id.as_str(), own.participant_count), ("backend", 2))
}

#[tokio::test]
async fn it_moderates_without_being_a_participant_and_writes_only_as_one() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let seq = cast.bob.send(&id, "rude").await?.seq;
    let (conversation, _) = cast.app.get_conversation(&id).await?;
    equal(conversation.participant_count, 3)?;
    equal(cast.app.events_after(&id, 0, 10).await?.1, seq)?;
    cast.app.delete(&id, seq).await?;
    cast.app.set_role(&id, "bob", Role::Admin).await?;
    cast.app.remove_participant(&id, "carol").await?;
    refused(cast.app.send(&id, "hello").await, Reason::NotAParticipant)?;
    cast.app.add_participants(&id, &["backend"]).await?;
    let said = cast.app.send(&id, "hello").await?;
    equal(said.sender_id.as_str(), "backend")?;
    let request = ListParticipantsRequest { conversation_id: id, ..Default::default() };
    let people = cast.alice.call(request).await?.participants;
    let ids: Vec<_> = people.iter().map(|one| one.user_id.as_str()).collect();
    equal(ids, vec!["alice", "backend", "bob"])
}

#[tokio::test]
async fn it_is_of_its_tenant_and_has_no_inbox() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let other = cast.application("other", "backend").await?;
    refused(other.get_conversation(&id).await, Reason::ConversationNotFound)?;
    refused(other.delete(&id, 1).await, Reason::ConversationNotFound)?;
    refused(cast.app.call(ListConversationsRequest::default()).await, Reason::CallerNotAllowed)?;
    Ok(())
}
