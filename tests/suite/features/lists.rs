//! Users' lists of conversations, and what moved since a device looked.

use confab_client::Client;
use confab_proto::conversations::v1::{
    ArchiveConversationRequest, CompareHeadsRequest, ConversationCursor, ConversationType,
    ListConversationsRequest,
};
use confab_tests::harness::Checked;

use super::{Cast, equal};

/// The titles of a list, by pages of two; a direct one is called by its id.
async fn titles(client: &Client, mut request: ListConversationsRequest) -> Checked<Vec<String>> {
    request.page_size = 2;
    let mut found = Vec::new();
    loop {
        let page = client.call(request.clone()).await?;
        for item in page.conversations {
            let conversation = item.conversation.unwrap_or_default();
            let direct = conversation.r#type() == ConversationType::Direct;
            found.push(if direct { conversation.conversation_id } else { conversation.title });
        }
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn conversations_are_listed_by_activity_with_filters() -> Checked {
    let cast = Cast::new().await?;
    let direct = cast.alice.open_direct("bob").await?.conversation_id;
    let cats = cast.alice.create_group("Cats", &["bob"]).await?.conversation_id;
    let dogs = cast.alice.create_group("Dogs", &["bob"]).await?.conversation_id;
    let birds = cast.alice.create_group("Birds and CATS", &["bob"]).await?.conversation_id;
    for id in [&birds, &direct, &dogs, &cats] {
        cast.alice.send(id, "hello").await?;
    }
    let archive = ArchiveConversationRequest { conversation_id: dogs, ..Default::default() };
    cast.alice.command(archive).await?;
    let all = ListConversationsRequest::default();
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    equal(titles(&cast.bob, all.clone()).await?, names(&["Cats", &direct, "Birds and CATS"]))?;
    let groups = ListConversationsRequest { r#type: ConversationType::Group.into(), ..all.clone() };
    equal(titles(&cast.bob, groups).await?, names(&["Cats", "Birds and CATS"]))?;
    let query = ListConversationsRequest { title_query: "cats".to_owned(), ..all.clone() };
    equal(titles(&cast.bob, query).await?, names(&["Cats", "Birds and CATS"]))?;
    let archived = ListConversationsRequest { include_archived: true, ..all };
    // Archiving was the newest event.
    let due = names(&["Dogs", "Cats", &direct, "Birds and CATS"]);
    equal(titles(&cast.bob, archived).await?, due)
}

#[tokio::test]
async fn each_row_has_the_last_message_and_what_is_unread() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.alice.send(&id, "one").await?;
    cast.alice.send(&id, "two").await?;
    cast.bob.mark_read(&id, 2).await?;
    let mut items = cast.bob.all_conversations().await?;
    let head = items.pop().and_then(|item| item.head).unwrap_or_default();
    equal((head.seq, head.unread_count, head.read_seq), (3, 1, 2))?;
    let said = head.last_message.and_then(|message| message.content).map(|content| content.text);
    equal(said.as_deref(), Some("two"))
}

#[tokio::test]
async fn a_returning_device_learns_only_what_moved() -> Checked {
    let cast = Cast::new().await?;
    let moved = cast.group().await?;
    let still = cast.alice.open_direct("bob").await?.conversation_id;
    let foreign = cast.alice.open_direct("carol").await?.conversation_id;
    let cursors = [&moved, &still, &foreign]
        .map(|id| ConversationCursor { conversation_id: id.clone(), seq: 1 })
        .to_vec();
    cast.alice.send(&moved, "hello").await?;
    cast.alice.send(&foreign, "not for bob").await?;
    let answer = cast.bob.call(CompareHeadsRequest { cursors }).await?;
    let found: Vec<_> = answer.moved.iter().map(|head| (&head.conversation_id, head.seq)).collect();
    equal(found, vec![(&moved, 2)])
}
