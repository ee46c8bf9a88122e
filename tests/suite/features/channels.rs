//! Channels: admins write, members read and react, anyone joins a public one.

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{
        Conversation, ConversationType, ConversationUpdate, CreateConversationRequest,
        ListPublicChannelsRequest, UpdateConversationRequest,
    },
    participants::v1::{BanParticipantRequest, Role},
};
use confab_tests::harness::Checked;
use prost_types::FieldMask;

use super::{Cast, equal, refused};

pub(super) async fn channel(owner: &Client, title: &str, public: bool) -> Checked<String> {
    let request = CreateConversationRequest {
        r#type: ConversationType::Channel.into(),
        title: title.to_owned(),
        public,
        ..CreateConversationRequest::default()
    };
    Ok(owner.command(request).await?.conversation.unwrap_or_default().conversation_id)
}

/// All public channels whose title contains this, by pages of one.
async fn public(client: &Client, title_query: &str) -> Checked<Vec<Conversation>> {
    let title_query = title_query.to_owned();
    let mut request = ListPublicChannelsRequest { page_size: 1, title_query, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = client.call(request.clone()).await?;
        found.extend(page.conversations);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            found.sort_by(|a, b| a.title.cmp(&b.title));
            return Ok(found);
        }
    }
}

fn titles(found: &[Conversation]) -> Vec<&str> {
    found.iter().map(|conversation| conversation.title.as_str()).collect()
}

fn set_public(id: &str, public: bool) -> UpdateConversationRequest {
    UpdateConversationRequest {
        conversation_id: id.to_owned(),
        update: Some(ConversationUpdate { public, ..ConversationUpdate::default() }),
        update_mask: Some(FieldMask { paths: vec!["public".to_owned()] }),
        ..UpdateConversationRequest::default()
    }
}

#[tokio::test]
async fn admins_write_and_members_read_and_react() -> Checked {
    let cast = Cast::new().await?;
    let id = channel(&cast.alice, "news", false).await?;
    cast.alice.add_participants(&id, &["bob", "carol"]).await?;
    let seq = cast.alice.send(&id, "welcome").await?.seq;
    refused(cast.bob.send(&id, "me too").await, Reason::RoleTooLow)?;
    refused(cast.bob.send_in_thread(&id, seq, "nor here").await, Reason::RoleTooLow)?;
    cast.bob.react(&id, seq, "🎉").await?;
    cast.bob.mark_read(&id, seq).await?;
    cast.alice.set_role(&id, "bob", Role::Admin).await?;
    cast.bob.send(&id, "now").await?;
    equal(cast.carol.get_conversation(&id).await?.0.r#type(), ConversationType::Channel)
}

#[tokio::test]
async fn anyone_of_the_tenant_joins_a_public_channel() -> Checked {
    let cast = Cast::new().await?;
    let open = channel(&cast.alice, "open", true).await?;
    let closed = channel(&cast.alice, "closed", false).await?;
    cast.alice.send(&open, "before").await?;
    let seq = cast.bob.join(&open).await?;
    refused(cast.bob.join(&open).await, Reason::AlreadyAParticipant)?;
    let (events, head) = cast.bob.events_after(&open, 0, 10).await?;
    equal((events.len(), head), (3, seq))?;
    equal(cast.bob.all_conversations().await?.len(), 1)?;
    cast.bob.leave(&open).await?;
    cast.bob.join(&open).await?;
    // What is not public is, to a stranger, not there.
    refused(cast.bob.join(&closed).await, Reason::ConversationNotFound)?;
    let group = cast.alice.create_group("group", &["carol"]).await?.conversation_id;
    refused(cast.bob.join(&group).await, Reason::ConversationNotFound)?;
    let eve = cast.client("other", "eve").await?;
    refused(eve.join(&open).await, Reason::ConversationNotFound)?;
    let ban = BanParticipantRequest {
        conversation_id: open.clone(),
        user_id: "carol".to_owned(),
        ..BanParticipantRequest::default()
    };
    cast.alice.command(ban).await?;
    refused(cast.carol.join(&open).await, Reason::Banned)?;
    Ok(())
}

#[tokio::test]
async fn public_channels_are_listed_to_the_tenant() -> Checked {
    let cast = Cast::new().await?;
    let cats = channel(&cast.alice, "Cats", true).await?;
    channel(&cast.bob, "Dogs", true).await?;
    let birds = channel(&cast.bob, "Birds", false).await?;
    equal(titles(&public(&cast.carol, "").await?), vec!["Cats", "Dogs"])?;
    equal(titles(&public(&cast.carol, "cAt").await?), vec!["Cats"])?;
    let eve = cast.client("other", "eve").await?;
    equal(titles(&public(&eve, "").await?), Vec::new())?;
    // It is in the list while it is public.
    cast.alice.command(set_public(&cats, false)).await?;
    cast.bob.command(set_public(&birds, true)).await?;
    equal(titles(&public(&cast.carol, "").await?), vec!["Birds", "Dogs"])?;
    refused(cast.carol.join(&cats).await, Reason::ConversationNotFound)?;
    let group = cast.group().await?;
    refused(cast.alice.command(set_public(&group, true)).await, Reason::InvalidArgument)?;
    Ok(())
}
