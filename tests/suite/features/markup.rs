//! What a message says besides its text: HTML, entities, mentions, directions.

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::messages::v1::{Content, Entity, entity::Kind};
use confab_tests::harness::Checked;

use super::{Cast, equal, get, refused};

fn entity(start: u32, end: u32, kind: Kind) -> Entity {
    Entity { start, end, kind: Some(kind) }
}

fn mention(start: u32, end: u32, user: &str) -> Entity {
    entity(start, end, Kind::Mention(user.to_owned()))
}

fn content(text: &str) -> Content {
    Content { text: text.to_owned(), ..Content::default() }
}

/// What the user's list says of the conversation: what is unread, what mentions them.
async fn unread(client: &Client, id: &str) -> Checked<(u64, u32)> {
    let items = client.all_conversations().await?;
    let heads = items.into_iter().filter_map(|item| item.head);
    let head = heads.into_iter().find(|head| head.conversation_id == id).unwrap_or_default();
    Ok((head.unread_count, head.mention_count))
}

#[tokio::test]
async fn html_is_kept_as_far_as_the_allow_list_knows_it() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let html = "<b onclick=\"x\">hi</b><script>alert(1)</script> \
                <a href=\"javascript:alert(1)\">a</a><img src=x onerror=alert(1)>";
    let rich = Content { html: html.to_owned(), ..content("hi a") };
    let sent = cast.alice.send(&id, rich.clone()).await?;
    let due = "<b>hi</b> <a rel=\"noopener noreferrer nofollow\">a</a>";
    let kept = |content: Option<Content>| content.unwrap_or_default().html;
    equal(kept(sent.content), due.to_owned())?;
    equal(kept(get(&cast.bob, &id, sent.seq).await?.content), due.to_owned())?;
    cast.alice.edit(&id, sent.seq, Content { html: "<i>x".to_owned(), ..rich }).await?;
    equal(kept(get(&cast.bob, &id, sent.seq).await?.content), "<i>x</i>".to_owned())?;
    let alone = Content { html: "<b>only</b>".to_owned(), ..content("") };
    refused(cast.alice.send(&id, alone).await, Reason::InvalidArgument)?;
    Ok(())
}

#[tokio::test]
async fn links_hashtags_and_mentions_are_found_in_the_text() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let text = "@bob see https://example.com/a?b=1, é #Tea_Time";
    let sent = cast.alice.send(&id, text).await?.content.unwrap_or_default();
    let due = vec![
        mention(0, 4, "bob"),
        entity(9, 34, Kind::Link("https://example.com/a?b=1".to_owned())),
        entity(39, 48, Kind::Hashtag("tea_time".to_owned())),
    ];
    equal(sent.entities, due)?;
    // A mention of the client's own, by whatever name people read.
    let named = Content { entities: vec![mention(3, 10, "carol")], ..content("hi Caroline!") };
    let sent = cast.alice.send(&id, named).await?;
    equal(sent.content.unwrap_or_default().entities, vec![mention(3, 10, "carol")])?;
    // Edited, it is looked through again.
    cast.alice.edit(&id, sent.seq, "no more").await?;
    let edited = get(&cast.bob, &id, sent.seq).await?.content.unwrap_or_default();
    equal(edited.entities, Vec::new())
}

#[tokio::test]
async fn mentions_are_counted_while_they_are_unread() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let first = cast.alice.send(&id, "hello @bob").await?.seq;
    cast.alice.send(&id, "hello all").await?;
    let third = cast.carol.send(&id, "@bob and @carol").await?.seq;
    equal(unread(&cast.bob, &id).await?, (3, 2))?;
    // One's own mention of oneself is none.
    equal(unread(&cast.carol, &id).await?, (3, 0))?;
    cast.bob.mark_read(&id, first).await?;
    equal(unread(&cast.bob, &id).await?, (2, 1))?;
    // An edit takes a mention back, or makes one.
    cast.carol.edit(&id, third, "never mind").await?;
    equal(unread(&cast.bob, &id).await?, (2, 0))?;
    cast.carol.edit(&id, third, "or do, @bob").await?;
    equal(unread(&cast.bob, &id).await?, (2, 1))?;
    cast.carol.delete(&id, third).await?;
    equal(unread(&cast.bob, &id).await?, (2, 0))
}

#[tokio::test]
async fn the_count_of_mentions_ends_at_100() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    for _ in 0..103 {
        cast.alice.send(&id, "@bob").await?;
    }
    equal(unread(&cast.bob, &id).await?, (103, 100))
}

#[tokio::test]
async fn a_direction_that_is_left_open_is_closed() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let sent = cast.alice.send(&id, "a\u{202e}b").await?.content.unwrap_or_default();
    equal(sent.text, "a\u{202e}b\u{202c}".to_owned())?;
    let hebrew = cast.alice.send(&id, "שלום").await?.content.unwrap_or_default();
    equal(hebrew.text, "שלום".to_owned())?;
    refused(cast.alice.send(&id, "\u{202e}".repeat(101)).await, Reason::InvalidArgument)?;
    Ok(())
}
