//! Reactions: added, counted, listed, taken back, bounded.

use confab_kit::error::Reason;
use confab_proto::messages::v1::{GetMessageRequest, ListReactionsRequest, ReactionCount};
use confab_tests::harness::Checked;

use super::{Cast, equal, refused};

async fn counts(
    client: &confab_client::Client,
    id: &str,
    message_seq: u64,
) -> Checked<Vec<ReactionCount>> {
    let request = GetMessageRequest { conversation_id: id.to_owned(), message_seq };
    Ok(client.call(request).await?.message.unwrap_or_default().reactions)
}

fn count(emoji: &str, count: u32, reacted: bool) -> ReactionCount {
    ReactionCount { emoji: emoji.to_owned(), count, reacted }
}

#[tokio::test]
async fn reactions_are_counted_and_each_reader_finds_their_own() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let seq = cast.alice.send(&id, "hello").await?.seq;
    cast.bob.react(&id, seq, "👍").await?;
    cast.carol.react(&id, seq, "👍").await?;
    cast.carol.react(&id, seq, "🎉").await?;
    refused(cast.carol.react(&id, seq, "🎉").await, Reason::ReactionExists)?;
    equal(counts(&cast.bob, &id, seq).await?, vec![count("👍", 2, true), count("🎉", 1, false)])?;
    cast.bob.unreact(&id, seq, "👍").await?;
    refused(cast.bob.unreact(&id, seq, "👍").await, Reason::ReactionNotFound)?;
    equal(counts(&cast.bob, &id, seq).await?, vec![count("👍", 1, false), count("🎉", 1, false)])
}

#[tokio::test]
async fn reactions_are_listed_by_user_in_pages() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let seq = cast.alice.send(&id, "hello").await?.seq;
    cast.carol.react(&id, seq, "🎉").await?;
    cast.bob.react(&id, seq, "👍").await?;
    cast.carol.react(&id, seq, "👍").await?;
    let mut request = ListReactionsRequest {
        conversation_id: id.clone(),
        message_seq: seq,
        page_size: 1,
        page_token: String::new(),
    };
    let mut found = Vec::new();
    loop {
        let page = cast.alice.call(request.clone()).await?;
        found.extend(page.reactions.into_iter().map(|of| (of.user_id, of.emoji.join(""))));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let due = [("bob", "👍"), ("carol", "🎉👍")];
    equal(found, due.map(|(user, emoji)| (user.to_owned(), emoji.to_owned())).to_vec())
}

#[tokio::test]
async fn distinct_emoji_are_bounded() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let seq = cast.alice.send(&id, "hello").await?.seq;
    for n in 0..10 {
        cast.bob.react(&id, seq, format!("e{n}")).await?;
    }
    refused(cast.bob.react(&id, seq, "e10").await, Reason::TooManyReactions)?;
    cast.carol.react(&id, seq, "e10").await?;
    refused(cast.carol.react(&id, seq, "two words").await, Reason::InvalidArgument)?;
    refused(cast.carol.react(&id, seq, "x".repeat(33)).await, Reason::InvalidArgument)?;
    Ok(())
}
