//! Sending, reading, editing and deleting messages; cursors.

use confab_client::{Client, text};
use confab_kit::error::Reason;
use confab_proto::messages::v1::{
    Content, GetMessageRequest, ListMessagesRequest, ListOrder, ListReceiptsRequest,
    MarkDeliveredRequest, event::Kind,
};
use confab_tests::harness::{Checked, Violation};

use super::{Cast, equal, get, refused};

/// The seqs of all messages, by pages of three.
async fn list(client: &Client, id: &str, order: ListOrder, from_seq: u64) -> Checked<Vec<u64>> {
    let mut request = ListMessagesRequest {
        conversation_id: id.to_owned(),
        page_size: 3,
        order: order.into(),
        from_seq,
        ..ListMessagesRequest::default()
    };
    let mut seqs = Vec::new();
    loop {
        let page = client.call(request.clone()).await?;
        seqs.extend(page.messages.iter().map(|message| message.seq));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(seqs);
        }
    }
}

#[tokio::test]
async fn a_message_is_sent_and_read_by_the_others() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let attributes = [("client".to_owned(), "phone".to_owned())].into();
    let content = Content { text: "hello".to_owned(), attributes, ..Content::default() };
    let sent = cast.alice.send(&id, content.clone()).await?;
    let read = get(&cast.bob, &id, sent.seq).await?;
    equal(&read, &sent)?;
    equal(read.content, Some(content))?;
    equal((read.seq, read.ordinal, read.sender_id.as_str()), (2, 1, "alice"))?;
    // The event that created the conversation is not a message.
    let request = GetMessageRequest { conversation_id: id.clone(), message_seq: 1 };
    refused(cast.bob.call(request).await, Reason::MessageNotFound)?;
    Ok(())
}

#[tokio::test]
async fn messages_are_listed_both_ways_by_pages() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    for n in 0..8 {
        cast.alice.send(&id, format!("message {n}")).await?;
    }
    let all: Vec<u64> = (2..=9).collect();
    equal(list(&cast.bob, &id, ListOrder::OldestFirst, 0).await?, all.clone())?;
    equal(list(&cast.bob, &id, ListOrder::NewestFirst, 0).await?, all.into_iter().rev().collect())?;
    equal(list(&cast.bob, &id, ListOrder::OldestFirst, 6).await?, vec![7, 8, 9])?;
    equal(list(&cast.bob, &id, ListOrder::NewestFirst, 5).await?, vec![4, 3, 2])
}

#[tokio::test]
async fn only_its_sender_edits_a_message_and_100_times() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let sent = cast.bob.send(&id, "frist").await?;
    refused(cast.alice.edit(&id, sent.seq, "first").await, Reason::NotTheSender)?;
    let mut last = 0;
    for n in 1..=100 {
        last = cast.bob.edit(&id, sent.seq, format!("version {n}")).await?;
    }
    refused(cast.bob.edit(&id, sent.seq, "once more").await, Reason::TooManyEdits)?;
    let read = get(&cast.carol, &id, sent.seq).await?;
    equal(read.content.clone(), Some(text("version 100")))?;
    equal(read.applied_seq, last)?;
    Violation::unless(read.edit_time.is_some(), || format!("no edit time: {read:?}"))
}

#[tokio::test]
async fn a_deletion_erases_what_was_said_everywhere() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let sent = cast.bob.send(&id, "a secret").await?;
    cast.bob.edit(&id, sent.seq, "another secret").await?;
    refused(cast.carol.delete(&id, sent.seq).await, Reason::NotTheSender)?;
    let deleted = cast.alice.delete(&id, sent.seq).await?;
    let read = get(&cast.carol, &id, sent.seq).await?;
    equal((read.content.clone(), read.applied_seq), (None, deleted))?;
    Violation::unless(read.delete_time.is_some(), || format!("no delete time: {read:?}"))?;
    let (events, _) = cast.carol.events_after(&id, 0, 100).await?;
    equal(events.len(), 4)?;
    let told = format!("{events:?}");
    Violation::unless(!told.contains("secret"), || format!("content is left: {told}"))?;
    refused(cast.bob.edit(&id, sent.seq, "back").await, Reason::MessageDeleted)?;
    refused(cast.bob.react(&id, sent.seq, "👍").await, Reason::MessageDeleted)?;
    // Its sender may delete, too.
    let own = cast.bob.send(&id, "mine").await?;
    cast.bob.delete(&id, own.seq).await?;
    refused(cast.bob.delete(&id, own.seq).await, Reason::MessageDeleted)?;
    Ok(())
}

#[tokio::test]
async fn content_has_limits() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.alice.send(&id, "x".repeat(16 * 1024)).await?;
    let long = cast.alice.send(&id, "x".repeat(16 * 1024 + 1)).await;
    refused(long, Reason::InvalidArgument)?;
    refused(cast.alice.send(&id, "").await, Reason::InvalidArgument)?;
    let many = (0..33).map(|n| (format!("key-{n}"), String::new())).collect();
    let content = Content { attributes: many, ..text("hello") };
    refused(cast.alice.send(&id, content).await, Reason::InvalidArgument)?;
    let wide = [("key".to_owned(), "x".repeat(1025))].into();
    refused(
        cast.alice.send(&id, Content { attributes: wide, ..text("hello") }).await,
        Reason::InvalidArgument,
    )?;
    Ok(())
}

#[tokio::test]
async fn read_and_delivered_cursors_only_grow_and_count_what_is_unread() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    for n in 0..4 {
        cast.alice.send(&id, format!("message {n}")).await?;
    }
    let delivered = MarkDeliveredRequest { conversation_id: id.clone(), delivered_seq: 4 };
    let receipt = cast.bob.call(delivered).await?.receipt.unwrap_or_default();
    equal((receipt.delivered_seq, receipt.read_seq), (4, 1))?;
    let (receipt, unread) = cast.bob.mark_read(&id, 3).await?;
    equal((receipt.read_seq, receipt.delivered_seq, unread), (3, 4, 2))?;
    let (receipt, unread) = cast.bob.mark_read(&id, 2).await?;
    equal((receipt.read_seq, unread), (3, 2))?;
    // What is read has been delivered.
    let (receipt, unread) = cast.bob.mark_read(&id, 5).await?;
    equal((receipt.read_seq, receipt.delivered_seq, unread), (5, 5, 0))?;
    refused(cast.bob.mark_read(&id, 6).await, Reason::CursorAboveHead)?;
    let request = ListReceiptsRequest { conversation_id: id.clone(), ..Default::default() };
    let receipts = cast.alice.call(request).await?.receipts;
    let bob = receipts.iter().find(|receipt| receipt.user_id == "bob");
    equal(bob.map(|receipt| receipt.read_seq), Some(5))
}

#[tokio::test]
async fn sending_leaves_the_senders_read_cursor_alone() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let sent = cast.alice.send(&id, "hello").await?;
    let unread = cast.alice.head_of(&id).await?.map(|head| head.unread_count);
    equal(unread, Some(1))?;
    let (_, unread) = cast.alice.mark_read(&id, sent.seq).await?;
    equal(unread, 0)
}

#[tokio::test]
async fn a_retry_is_the_same_message_and_another_body_is_refused() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let options = confab_client::SendOptions {
        request_id: Some("try".to_owned()),
        after_seq: Some(1),
        deadline: None,
    };
    let first = cast.alice.send_with(&id, "hello", options.clone()).await?;
    let again = cast.alice.send_with(&id, "hello", options.clone()).await?;
    equal(&again, &first)?;
    // Ids are the sender's own.
    let bobs = cast.bob.send_with(&id, "hello", options.clone()).await?;
    equal(bobs.seq, 3)?;
    refused(cast.alice.send_with(&id, "bye", options).await, Reason::RequestIdReused)?;
    let (events, head) = cast.alice.events_after(&id, 0, 100).await?;
    let messages = events.iter().filter(|e| matches!(e.kind, Some(Kind::MessageCreated(_))));
    equal((messages.count(), head), (2, 3))
}
