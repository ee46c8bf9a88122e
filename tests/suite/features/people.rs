//! Profiles, blocks, and what users arrange for themselves alone.

use confab_client::Client;
use confab_kit::{clock, error::Reason};
use confab_proto::{
    conversations::v1::{
        ArchiveConversationRequest, DeleteConversationRequest, ListConversationsRequest, ListView,
        RestoreConversationRequest,
    },
    participants::v1::{
        BatchGetUsersRequest, ConversationSettings, GetUserRequest, ListBlockedUsersRequest,
        ListUsersRequest, UpdateConversationSettingsRequest, UpdateUserRequest, User,
    },
};
use confab_tests::harness::{Checked, eventually};
use prost_types::FieldMask;

use super::{Cast, PATIENCE, equal, refused};

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(ToString::to_string).collect() }
}

fn profile(user_id: &str, display_name: &str) -> UpdateUserRequest {
    UpdateUserRequest {
        user: Some(User {
            user_id: user_id.to_owned(),
            display_name: display_name.to_owned(),
            ..User::default()
        }),
        update_mask: Some(mask(&["display_name"])),
    }
}

fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.display_name.as_str()).collect()
}

#[tokio::test]
async fn users_have_profiles_that_they_and_applications_write() -> Checked {
    let cast = Cast::new().await?;
    let who = |user_id: &str| GetUserRequest { user_id: user_id.to_owned() };
    refused(cast.bob.call(who("alice")).await, Reason::UserNotFound)?;
    let made = cast.alice.call(profile("", "Alice")).await?.user.unwrap_or_default();
    equal((made.user_id.as_str(), made.display_name.as_str()), ("alice", "Alice"))?;
    equal(cast.bob.call(who("alice")).await?.user, Some(made.clone()))?;
    // Only what the mask names changes.
    let avatar = UpdateUserRequest {
        user: Some(User { avatar_url: "https://example.com/a.png".to_owned(), ..User::default() }),
        update_mask: Some(mask(&["avatar_url"])),
    };
    let changed = cast.alice.call(avatar).await?.user.unwrap_or_default();
    equal(changed.display_name, "Alice".to_owned())?;
    equal(changed.create_time, made.create_time)?;
    refused(cast.bob.call(profile("alice", "Mallory")).await, Reason::CallerNotAllowed)?;
    cast.app.call(profile("zoe", "Zoë")).await?;
    cast.app.call(profile("bob", "Bob")).await?;
    let ids = ["zoe", "nobody", "alice"].map(str::to_owned).to_vec();
    let batch = cast.carol.call(BatchGetUsersRequest { user_ids: ids }).await?.users;
    equal(names(&batch), vec!["Zoë", "Alice"])?;
    let page = ListUsersRequest { page_size: 2, ..ListUsersRequest::default() };
    let first = cast.carol.call(page.clone()).await?;
    equal(names(&first.users), vec!["Alice", "Bob"])?;
    let rest = ListUsersRequest { page_token: first.next_page_token, ..page };
    equal(names(&cast.carol.call(rest).await?.users), vec!["Zoë"])?;
    let query = ListUsersRequest { query: "ZO".to_owned(), ..ListUsersRequest::default() };
    equal(names(&cast.carol.call(query).await?.users), vec!["Zoë"])?;
    // Another tenant's people are other people.
    let eve = cast.client("other", "eve").await?;
    refused(eve.call(who("alice")).await, Reason::UserNotFound)?;
    equal(eve.call(ListUsersRequest::default()).await?.users.len(), 0)
}

#[tokio::test]
async fn neither_side_of_a_block_writes_or_opens_and_groups_go_on() -> Checked {
    let cast = Cast::new().await?;
    let direct = cast.alice.open_direct("bob").await?.conversation_id;
    let seq = cast.alice.send(&direct, "hello").await?.seq;
    let group = cast.group().await?;
    cast.bob.set_blocked("alice", true).await?;
    // Again changes nothing.
    cast.bob.set_blocked("alice", true).await?;
    refused(cast.alice.send(&direct, "still there?").await, Reason::Blocked)?;
    refused(cast.bob.send(&direct, "no").await, Reason::Blocked)?;
    refused(cast.alice.edit(&direct, seq, "HELLO").await, Reason::Blocked)?;
    refused(cast.alice.react(&direct, seq, "👋").await, Reason::Blocked)?;
    // Nor is the other side bothered in any other way.
    refused(cast.alice.pin(&direct, seq).await, Reason::Blocked)?;
    let conversation_id = || direct.clone();
    let archive =
        ArchiveConversationRequest { conversation_id: conversation_id(), ..Default::default() };
    refused(cast.alice.command(archive).await, Reason::Blocked)?;
    let delete =
        DeleteConversationRequest { conversation_id: conversation_id(), ..Default::default() };
    refused(cast.alice.command(delete.clone()).await, Reason::Blocked)?;
    cast.bob.command(delete).await?;
    let restore =
        RestoreConversationRequest { conversation_id: conversation_id(), ..Default::default() };
    refused(cast.alice.command(restore.clone()).await, Reason::Blocked)?;
    cast.bob.command(restore).await?;
    let read = cast.alice.get_conversation(&direct).await?.0;
    equal(read.blocked_by_ids, vec!["bob".to_owned()])?;
    cast.alice.send(&group, "in the group").await?;
    let other = cast.alice.create_group("another", &["bob"]).await;
    refused(other, Reason::Blocked)?;
    let third = cast.alice.create_group("third", &["carol"]).await?.conversation_id;
    refused(cast.alice.add_participants(&third, &["bob"]).await, Reason::Blocked)?;
    let blocked = cast.bob.call(ListBlockedUsersRequest::default()).await?.users;
    equal(blocked.iter().map(|user| user.user_id.as_str()).collect(), vec!["alice"])?;
    // Whom somebody has blocked is nobody else's business.
    equal(cast.alice.call(ListBlockedUsersRequest::default()).await?.users.len(), 0)?;
    cast.bob.set_blocked("alice", false).await?;
    cast.alice.send(&direct, "again").await?;
    equal(cast.alice.get_conversation(&direct).await?.0.blocked_by_ids, Vec::new())
}

#[tokio::test]
async fn a_block_holds_for_a_direct_conversation_that_is_opened_later() -> Checked {
    let cast = Cast::new().await?;
    cast.bob.set_blocked("alice", true).await?;
    refused(cast.alice.open_direct("bob").await, Reason::Blocked)?;
    refused(cast.bob.open_direct("alice").await, Reason::Blocked)?;
    cast.bob.set_blocked("alice", false).await?;
    let id = cast.alice.open_direct("bob").await?.conversation_id;
    cast.alice.send(&id, "hello").await?;
    // Both block; both must lift it.
    cast.alice.set_blocked("bob", true).await?;
    cast.bob.set_blocked("alice", true).await?;
    cast.alice.set_blocked("bob", false).await?;
    refused(cast.alice.send(&id, "hello?").await, Reason::Blocked)?;
    cast.bob.set_blocked("alice", false).await?;
    cast.alice.send(&id, "hello!").await?;
    refused(cast.alice.set_blocked("alice", true).await, Reason::TargetIsCaller)?;
    Ok(())
}

fn settings(
    id: &str,
    settings: ConversationSettings,
    paths: &[&str],
) -> UpdateConversationSettingsRequest {
    UpdateConversationSettingsRequest {
        conversation_id: id.to_owned(),
        settings: Some(settings),
        update_mask: Some(mask(paths)),
    }
}

async fn view(client: &Client, view: ListView) -> Checked<Vec<(String, ConversationSettings)>> {
    let request = ListConversationsRequest { view: view.into(), ..Default::default() };
    let items = client.call(request).await?.conversations;
    let of = |item: confab_proto::conversations::v1::ConversationListItem| {
        (item.conversation.unwrap_or_default().title, item.settings.unwrap_or_default())
    };
    Ok(items.into_iter().map(of).collect())
}

fn titles(items: &[(String, ConversationSettings)]) -> Vec<&str> {
    items.iter().map(|(title, _)| title.as_str()).collect()
}

#[tokio::test]
async fn a_user_arranges_their_list_for_themselves_alone() -> Checked {
    let cast = Cast::new().await?;
    let work = cast.alice.create_group("work", &["bob"]).await?.conversation_id;
    let home = cast.alice.create_group("home", &["bob"]).await?.conversation_id;
    let archived = ConversationSettings { archived: true, ..Default::default() };
    let favourite = ConversationSettings { favourite: true, ..Default::default() };
    cast.bob.call(settings(&work, archived, &["archived"])).await?;
    cast.bob.call(settings(&home, favourite, &["favourite"])).await?;
    equal(titles(&view(&cast.bob, ListView::Unspecified).await?), vec!["home"])?;
    equal(titles(&view(&cast.bob, ListView::Archive).await?), vec!["work"])?;
    equal(titles(&view(&cast.bob, ListView::Favourites).await?), vec!["home"])?;
    equal(titles(&view(&cast.bob, ListView::All).await?), vec!["home", "work"])?;
    equal(titles(&view(&cast.alice, ListView::Unspecified).await?), vec!["home", "work"])?;
    // What is put away comes back by hand, and can be written in meanwhile.
    cast.alice.send(&work, "hello").await?;
    equal(titles(&view(&cast.bob, ListView::Archive).await?), vec!["work"])?;
    cast.bob.call(settings(&work, ConversationSettings::default(), &["archived"])).await?;
    eventually(PATIENCE, "both in the order of their activity", || async {
        let seen = view(&cast.bob, ListView::Unspecified).await?;
        Ok((titles(&seen) == ["work", "home"]).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_mute_may_end_by_itself() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let until = clock::timestamp(clock::now_micros() + 3_600_000_000);
    let muted = ConversationSettings { muted: true, mute_until: Some(until), ..Default::default() };
    let answer = cast.bob.call(settings(&id, muted, &["muted", "mute_until"])).await?;
    equal(answer.settings, Some(muted))?;
    equal(view(&cast.bob, ListView::All).await?[0].1, muted)?;
    let off = cast.bob.call(settings(&id, ConversationSettings::default(), &["muted"])).await?;
    equal(off.settings, Some(ConversationSettings::default()))?;
    let none = cast.bob.call(settings(&id, muted, &[])).await;
    refused(none, Reason::InvalidArgument)?;
    let unknown = cast.bob.call(settings(&id, muted, &["colour"])).await;
    refused(unknown, Reason::InvalidArgument)?;
    Ok(())
}
