//! P13, for reads that race with the removal: while somebody reads everything
//! there is to read, they are removed, and at once things happen that are none of
//! their business. No answer, however late, may tell of these.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use confab_client::{Client, Error};
use confab_proto::{
    conversations::v1::{
        CompareHeadsRequest, ConversationCursor, ConversationUpdate, GetConversationRequest,
        ListConversationsRequest, UpdateConversationRequest,
    },
    errors::v1::Reason,
    messages::v1::{
        GetMessageRequest, ListEventsRequest, ListMessagesRequest, ListReactionsRequest,
        ListReceiptsRequest, Message,
    },
    participants::v1::ListParticipantsRequest,
};
use confab_tests::harness::{Checked, Deployment, Seed, Shape, Violation, must_be_caught, within};
use rand::Rng as _;
use tokio::task::JoinSet;

use super::{
    program,
    support::{WHOLE, once, text_of},
};

const SECRET: &str = "secret";

/// What one answer told: of which events it knows, and how it looks.
#[derive(Debug)]
struct Told {
    newest: u64,
    answer: String,
}

/// Everything that can be read of a conversation.
#[derive(Clone, Copy, Debug)]
enum Question {
    Conversation,
    Participants,
    Message,
    Messages,
    Events,
    Reactions,
    Receipts,
    List,
    Heads,
}

const QUESTIONS: &[Question] = &[
    Question::Conversation,
    Question::Participants,
    Question::Message,
    Question::Messages,
    Question::Events,
    Question::Reactions,
    Question::Receipts,
    Question::List,
    Question::Heads,
];

fn newest<'a>(messages: impl IntoIterator<Item = &'a Message>) -> u64 {
    let told = messages.into_iter().map(|message| {
        // One that changed later is there, without what it says.
        let says = text_of(message).is_some() || !message.reactions.is_empty();
        if says { message.applied_seq.max(message.seq) } else { message.seq }
    });
    told.max().unwrap_or(0)
}

impl Question {
    async fn ask(self, client: &Client, id: &str, message_seq: u64) -> Result<Told, Error> {
        let conversation_id = id.to_owned();
        let (newest, answer) = match self {
            Self::Conversation => {
                let answer = once(client, GetConversationRequest { conversation_id }).await?;
                let newest = answer.conversation.as_ref().map_or(0, |c| c.applied_seq);
                (newest, format!("{answer:?}"))
            }
            Self::Participants => {
                let request = ListParticipantsRequest { conversation_id, ..Default::default() };
                let answer = once(client, request).await?;
                let newest = answer.participants.iter().map(|row| row.applied_seq).max();
                let all = answer.participants.iter().any(|row| row.user_id == "leaver");
                let newest = if all { newest.unwrap_or(0) } else { u64::MAX };
                (newest, format!("{answer:?}"))
            }
            Self::Message => {
                let request = GetMessageRequest { conversation_id, message_seq };
                let answer = once(client, request).await?;
                (newest(&answer.message), format!("{answer:?}"))
            }
            Self::Messages => {
                let request = ListMessagesRequest { conversation_id, ..Default::default() };
                let answer = once(client, request).await?;
                (newest(&answer.messages), format!("{answer:?}"))
            }
            Self::Events => {
                let request = ListEventsRequest { conversation_id, ..Default::default() };
                let answer = once(client, request).await?;
                (answer.head_seq.max(answer.events.len() as u64), format!("{answer:?}"))
            }
            Self::Reactions => {
                let request =
                    ListReactionsRequest { conversation_id, message_seq, ..Default::default() };
                (0, format!("{:?}", once(client, request).await?))
            }
            Self::Receipts => {
                let request = ListReceiptsRequest { conversation_id, ..Default::default() };
                let answer = once(client, request).await?;
                let newest = answer.receipts.iter().map(|row| row.read_seq).max();
                (newest.unwrap_or(0), format!("{answer:?}"))
            }
            Self::List => {
                let answer = once(client, ListConversationsRequest::default()).await?;
                let item = answer.conversations.iter().filter_map(|item| {
                    let applied = item.conversation.as_ref()?.applied_seq;
                    Some(item.head.as_ref()?.seq.max(applied))
                });
                (item.max().unwrap_or(0), format!("{answer:?}"))
            }
            Self::Heads => {
                let cursors = vec![ConversationCursor { conversation_id, seq: 0 }];
                let answer = once(client, CompareHeadsRequest { cursors }).await?;
                let newest = answer.moved.iter().map(|head| head.seq).max();
                (newest.unwrap_or(0), format!("{answer:?}"))
            }
        };
        Ok(Told { newest, answer })
    }

    /// Asks until it is refused, or told to stop.
    async fn ask_on(
        self,
        client: Client,
        id: String,
        message_seq: u64,
        stop: Arc<AtomicBool>,
    ) -> Checked<Vec<Told>> {
        let mut told = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match self.ask(&client, &id, message_seq).await {
                Ok(answer) => told.push(answer),
                Err(error) if error.reason() == Some(Reason::NotAParticipant) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(told)
    }
}

/// What is none of the victim's business.
async fn go_on(owner: &Client, leaver: &Client, id: &str, message: u64) -> Checked {
    let update = UpdateConversationRequest {
        conversation_id: id.to_owned(),
        update: Some(ConversationUpdate { title: SECRET.to_owned(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".to_owned()] }),
        ..UpdateConversationRequest::default()
    };
    let send_and_read = async {
        let sent = owner.send(id, SECRET).await?.seq;
        owner.mark_read(id, sent).await.map(drop)
    };
    tokio::try_join!(
        async { leaver.leave(id).await.map(drop) },
        async { owner.react(id, message, SECRET).await.map(drop) },
        async { owner.command(update).await.map(drop) },
        send_and_read
    )?;
    Ok(())
}

async fn run(rounds: u64, mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Single, program(mutant)).await?;
    on(&confab, rounds).await?;
    confab.finish()
}

/// The whole check, on what runs already: where nobody else has the victim in a
/// conversation.
pub(super) async fn on(confab: &Deployment, rounds: u64) -> Checked {
    let mut random = Seed::of("p13 reads").part(1);
    let owner = confab.client("dev", "owner").await?;
    let leaver = confab.client("dev", "leaver").await?;
    let mut answers = 0;
    for _ in 0..rounds {
        let id = owner.create_group("reads", &["victim", "leaver"]).await?.conversation_id;
        let message = owner.send(&id, "hello").await?.seq;
        let stop = Arc::new(AtomicBool::new(false));
        let mut asking = JoinSet::new();
        for question in QUESTIONS {
            let client = confab.client("dev", "victim").await?;
            let asked = question.ask_on(client, id.clone(), message, Arc::clone(&stop));
            asking.spawn(async move { (question, asked.await) });
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(10..40))).await;
        let at = owner.remove_participant(&id, "victim").await?;
        Box::pin(go_on(&owner, &leaver, &id, message)).await?;
        stop.store(true, Ordering::Relaxed);
        while let Some(asked) = within(WHOLE, "the questions", asking.join_next()).await? {
            let (question, told) = asked.map_err(Violation::unable)?;
            for told in told? {
                answers += 1;
                let silent = told.newest <= at && !told.answer.contains(SECRET);
                Violation::unless(silent, || {
                    format!("removed at {at}, {question:?} tells of {}", told.answer)
                })?;
            }
        }
        // Only this round's conversation is to be listed in the next one.
        owner.add_participants(&id, &["victim"]).await?;
        confab.client("dev", "victim").await?.leave(&id).await?;
    }
    println!("{answers} answers in {rounds} rounds");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_of_what_came_after_the_removal() {
    run(12, None).await.unwrap_or_else(|violation| panic!("{violation}"));
    let late = run(12, Some("late-reads")).await;
    late.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_after_one_look_only_is_caught() {
    let mutant = "late-reads,no-second-look";
    must_be_caught(mutant, run(12, Some(mutant)).await);
}
