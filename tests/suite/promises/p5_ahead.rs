//! P5, for rows that are read ahead: an answer says which event it has seen last
//! (`as_of_seq`), and shows what every event up to there has made of its rows. Here
//! a message is edited while it is read, between the read of its row and the look.

use std::{future::Future, time::Duration};

use confab_client::{Client, Error};
use confab_proto::messages::v1::{GetMessageRequest, ListMessagesRequest, Message};
use confab_tests::harness::{Checked, Node, Seed, Violation, must_be_caught, within};
use rand::Rng as _;

use super::{
    program,
    support::{WHOLE, once, text_of},
};

const ROUNDS: u64 = 20;
/// A look comes some 40 ms late with this one, which breaks nothing.
const LATE: &str = "late-looks";

/// A message as it was read, and as of when.
type Seen = (Option<Message>, u64);

async fn get(client: &Client, id: &str, message_seq: u64) -> Result<Seen, Error> {
    let request = GetMessageRequest { conversation_id: id.to_owned(), message_seq };
    let answer = once(client, request).await?;
    Ok((answer.message, answer.as_of_seq))
}

/// The page that ends with it.
async fn list(client: &Client, id: &str, message_seq: u64) -> Result<Seen, Error> {
    let request = ListMessagesRequest {
        conversation_id: id.to_owned(),
        from_seq: message_seq + 1,
        ..ListMessagesRequest::default()
    };
    let answer = once(client, request).await?;
    Ok((answer.messages.into_iter().next(), answer.as_of_seq))
}

/// Edits the message while it is read, and holds the answer against what it says.
async fn edited_meanwhile(
    owner: &Client,
    (id, message): (&str, u64),
    (text, after): (&str, Duration),
    read: impl Future<Output = Result<Seen, Error>>,
) -> Checked<bool> {
    let edit = async {
        tokio::time::sleep(after).await;
        owner.edit(id, message, text).await
    };
    let ((seen, as_of), edited) = tokio::try_join!(read, edit)?;
    let shown = seen.as_ref().and_then(text_of);
    Violation::unless((as_of >= edited) == (shown == Some(text)), || {
        format!("edited by {edited}, but as of {as_of} it is {shown:?}")
    })?;
    Ok(as_of >= edited)
}

async fn run(mutant: Option<&str>) -> Checked {
    let mut random = Seed::of("p5 ahead").part(1);
    let node = Node::start(program(mutant)).await?;
    let owner = node.client("dev", "owner").await?;
    let reader = node.client("dev", "reader").await?;
    let id = owner.create_group("ahead", &["reader"]).await?.conversation_id;
    let message = owner.send(&id, "hello").await?.seq;
    owner.send(&id, "one more").await?;
    let (mut after, rounds) = (0, 2 * ROUNDS);
    let all = async {
        for round in 0..ROUNDS {
            let pause = Duration::from_millis(random.random_range(5..30));
            let text = format!("got {round}");
            let read = get(&reader, &id, message);
            let got = edited_meanwhile(&owner, (&id, message), (&text, pause), read).await?;
            let text = format!("listed {round}");
            let read = list(&reader, &id, message);
            let listed = edited_meanwhile(&owner, (&id, message), (&text, pause), read).await?;
            after += u64::from(got) + u64::from(listed);
        }
        Checked::Ok(())
    };
    within(WHOLE, "the reads", Box::pin(all)).await??;
    println!("{after} of {rounds} reads looked after the edit");
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_show_all_that_they_say_they_have_seen() {
    run(Some(LATE)).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_the_look_are_caught() {
    let mutant = "late-looks,ahead-unproven";
    must_be_caught(mutant, run(Some(mutant)).await);
}
