//! Replies, threads and pins.

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::messages::v1::{
    ListMessagesRequest, ListOrder, ListPinnedMessagesRequest, Message, SendMessageRequest,
    ThreadSummary, UnpinMessageRequest, event::Kind,
};
use confab_proto::participants::v1::Role;
use confab_tests::harness::Checked;

use super::{Cast, equal, get, refused};

/// The seqs of a thread's messages.
async fn thread(client: &Client, id: &str, thread_seq: u64, order: ListOrder) -> Checked<Vec<u64>> {
    let mut request = ListMessagesRequest {
        conversation_id: id.to_owned(),
        thread_seq,
        order: order.into(),
        page_size: 2,
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

async fn pinned(client: &Client, id: &str) -> Checked<Vec<Message>> {
    let request = ListPinnedMessagesRequest { conversation_id: id.to_owned() };
    Ok(client.call(request).await?.messages)
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

async fn unpin(client: &Client, id: &str, message_seq: u64) -> Result<u64, confab_client::Error> {
    let conversation_id = id.to_owned();
    let request = UnpinMessageRequest { conversation_id, message_seq, ..Default::default() };
    Ok(client.command(request).await?.seq)
}

#[tokio::test]
async fn a_reply_names_what_it_answers() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let question = cast.alice.send(&id, "tea?").await?.seq;
    let answer = cast.bob.reply(&id, question, "yes").await?;
    equal((answer.reply_to_seq, answer.thread_seq), (question, 0))?;
    equal(get(&cast.carol, &id, answer.seq).await?, answer.clone())?;
    let events = cast.carol.events_after(&id, 2, 10).await?.0;
    let said = events.into_iter().find_map(|event| match event.kind {
        Some(Kind::MessageCreated(message)) => Some(message.reply_to_seq),
        _ => None,
    });
    equal(said, Some(question))?;
    // The answer stays when the question goes; there is no other answer to it.
    cast.alice.delete(&id, question).await?;
    refused(cast.carol.reply(&id, question, "gone?").await, Reason::MessageDeleted)?;
    equal(get(&cast.carol, &id, answer.seq).await?.reply_to_seq, question)?;
    refused(cast.bob.reply(&id, 99, "?").await, Reason::MessageNotFound)?;
    refused(cast.bob.reply(&id, 1, "the creation is no message").await, Reason::MessageNotFound)?;
    Ok(())
}

#[tokio::test]
async fn a_thread_is_counted_at_its_first_message_and_listed() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let root = cast.alice.send(&id, "topic").await?.seq;
    let one = cast.bob.send_in_thread(&id, root, "one").await?;
    let beside = cast.carol.send(&id, "something else").await?.seq;
    let two = cast.carol.send_in_thread(&id, root, "two").await?.seq;
    let three = cast.bob.send_in_thread(&id, root, "three").await?.seq;
    equal(one.thread_seq, root)?;
    let all = vec![one.seq, two, three];
    equal(thread(&cast.alice, &id, root, ListOrder::OldestFirst).await?, all.clone())?;
    let newest = all.into_iter().rev().collect();
    equal(thread(&cast.alice, &id, root, ListOrder::NewestFirst).await?, newest)?;
    let due = ThreadSummary { reply_count: 3, last_reply_seq: three };
    equal(get(&cast.bob, &id, root).await?.thread, Some(due))?;
    // Deleted messages stay in the count, as they stay in the list.
    cast.bob.delete(&id, three).await?;
    equal(get(&cast.bob, &id, root).await?.thread, Some(due))?;
    equal(thread(&cast.alice, &id, root, ListOrder::OldestFirst).await?.len(), 3)?;
    // A thread begins with a message that is in none.
    let nested = cast.alice.send_in_thread(&id, two, "nested").await;
    refused(nested, Reason::NotAThreadRoot)?;
    refused(cast.alice.send_in_thread(&id, 99, "?").await, Reason::MessageNotFound)?;
    equal(thread(&cast.alice, &id, beside, ListOrder::OldestFirst).await?, Vec::new())
}

#[tokio::test]
async fn a_reply_within_a_thread_stays_within_it() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let root = cast.alice.send(&id, "topic").await?.seq;
    let inside = cast.bob.send_in_thread(&id, root, "one").await?.seq;
    let both = SendMessageRequest {
        conversation_id: id.clone(),
        content: Some(confab_client::text("answer")),
        reply_to_seq: inside,
        thread_seq: root,
        ..SendMessageRequest::default()
    };
    let sent = cast.carol.command(both).await?.message.unwrap_or_default();
    equal((sent.reply_to_seq, sent.thread_seq), (inside, root))
}

#[tokio::test]
async fn admins_pin_messages_for_everyone() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let first = cast.bob.send(&id, "first").await?.seq;
    let second = cast.bob.send(&id, "second").await?.seq;
    refused(cast.bob.pin(&id, first).await, Reason::RoleTooLow)?;
    cast.alice.set_role(&id, "carol", Role::Admin).await?;
    cast.carol.pin(&id, second).await?;
    cast.alice.pin(&id, first).await?;
    refused(cast.alice.pin(&id, first).await, Reason::NoChange)?;
    // In the order of the pinning.
    equal(seqs(&pinned(&cast.bob, &id).await?), vec![second, first])?;
    equal(cast.bob.get_conversation(&id).await?.0.pinned_seqs, vec![second, first])?;
    unpin(&cast.alice, &id, second).await?;
    refused(unpin(&cast.alice, &id, second).await, Reason::NoChange)?;
    equal(seqs(&pinned(&cast.bob, &id).await?), vec![first])?;
    // What is deleted is not pinned.
    cast.bob.delete(&id, first).await?;
    equal(pinned(&cast.bob, &id).await?.len(), 0)?;
    refused(cast.alice.pin(&id, first).await, Reason::MessageDeleted)?;
    Ok(())
}

#[tokio::test]
async fn either_side_of_a_direct_conversation_pins_and_50_is_the_end() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.alice.open_direct("bob").await?.conversation_id;
    let mut last = 0;
    for n in 0..51 {
        last = cast.alice.send(&id, format!("message {n}")).await?.seq;
        if n < 50 {
            cast.bob.pin(&id, last).await?;
        }
    }
    refused(cast.bob.pin(&id, last).await, Reason::TooManyPins)?;
    unpin(&cast.alice, &id, 2).await?;
    cast.bob.pin(&id, last).await?;
    equal(pinned(&cast.alice, &id).await?.len(), 50)
}
