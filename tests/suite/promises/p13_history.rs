//! P13, for what was said before: where history begins with the join, whoever
//! joined late never reads what came earlier; not in a page, not in a stream, not
//! by what happens later to old messages.

use std::collections::BTreeMap;

use confab_client::Client;
use confab_proto::{
    conversations::v1::{ConversationType, CreateConversationRequest, HistoryVisibility},
    errors::v1::Reason,
    messages::v1::{
        GetMessageRequest, ListMessagesRequest, ListPinnedMessagesRequest, ListReactionsRequest,
        event::Kind,
    },
};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, must_be_caught};

use super::{
    program,
    raw_stream::{Brought, RawStream},
    support::once,
};

const SECRET: &str = "before they came";
/// More messages than a node keeps in memory must not be needed; some are.
const BEFORE: usize = 20;

struct Scene {
    owner: Client,
    late: Client,
    id: String,
    /// Messages from before the join.
    hidden: Vec<u64>,
    join: u64,
}

impl Scene {
    async fn new(confab: &Deployment) -> Checked<Self> {
        let owner = confab.client("dev", "owner").await?;
        let late = confab.client("dev", "late").await?;
        let request = CreateConversationRequest {
            r#type: ConversationType::Group.into(),
            title: "closed".to_owned(),
            history_visibility: HistoryVisibility::FromJoin.into(),
            ..CreateConversationRequest::default()
        };
        let made = owner.command(request).await?.conversation.unwrap_or_default();
        let id = made.conversation_id;
        let mut hidden = Vec::new();
        for _ in 0..BEFORE {
            hidden.push(owner.send(&id, SECRET).await?.seq);
        }
        let join = owner.add_participants(&id, &["late"]).await?;
        Ok(Self { owner, late, id, hidden, join })
    }

    /// Things that happen to old messages; the last event.
    async fn touch(&self) -> Checked<u64> {
        let (first, second) = (self.hidden[0], self.hidden[1]);
        self.owner.edit(&self.id, first, format!("{SECRET}, edited")).await?;
        self.owner.pin(&self.id, first).await?;
        self.owner.react(&self.id, second, "👍").await?;
        self.owner.reply(&self.id, first, "an answer").await?;
        self.owner.send_in_thread(&self.id, second, "in its thread").await?;
        self.owner.delete(&self.id, second).await?;
        Ok(self.owner.send(&self.id, "after").await?.seq)
    }

    /// No answer to a read tells.
    async fn check_reads(&self) -> Checked {
        let conversation_id = self.id.clone();
        let list = ListMessagesRequest {
            conversation_id: conversation_id.clone(),
            page_size: 100,
            ..ListMessagesRequest::default()
        };
        let messages = once(&self.late, list.clone()).await?.messages;
        let early = messages.iter().find(|message| message.seq <= self.join);
        Violation::unless(early.is_none(), || format!("listed from before: {early:?}"))?;
        let thread = once(&self.late, ListMessagesRequest { thread_seq: self.hidden[1], ..list });
        let thread = thread.await;
        let events = self.late.events_after(&self.id, 0, 500).await?;
        let pinned = ListPinnedMessagesRequest { conversation_id: conversation_id.clone() };
        let pinned = once(&self.late, pinned).await?;
        let listed = self.late.all_conversations().await?;
        let told = format!("{messages:?} {thread:?} {events:?} {pinned:?} {listed:?}");
        Violation::unless(!told.contains(SECRET), || format!("what was before is told: {told}"))?;
        for &message_seq in &self.hidden {
            let get = GetMessageRequest { conversation_id: conversation_id.clone(), message_seq };
            self.not_found(&once(&self.late, get).await, message_seq)?;
            let reactions = ListReactionsRequest {
                conversation_id: conversation_id.clone(),
                message_seq,
                ..ListReactionsRequest::default()
            };
            self.not_found(&once(&self.late, reactions).await, message_seq)?;
        }
        Ok(())
    }

    fn not_found<T: std::fmt::Debug>(
        &self,
        answer: &Result<T, confab_client::Error>,
        message_seq: u64,
    ) -> Checked {
        let none = answer.as_ref().err().and_then(confab_client::Error::reason);
        Violation::unless(none == Some(Reason::MessageNotFound), || {
            format!("joined at {}, {message_seq} is answered with {answer:?}", self.join)
        })
    }

    /// A stream that was open all the time, and one from the beginning.
    async fn check_stream(&self, stream: &mut RawStream, from: u64, last: u64) -> Checked {
        let mut edits = 0;
        while stream.cursors.get(&self.id).is_none_or(|seq| *seq < last) {
            match stream.next().await? {
                Brought::Event(event) => {
                    let text = format!("{event:?}");
                    let old = event.seq < self.join;
                    Violation::unless(!old && !text.contains(SECRET), || {
                        format!("a stream from {from} tells {text}")
                    })?;
                    edits += usize::from(matches!(event.kind, Some(Kind::MessageEdited(_))));
                }
                Brought::Other(_) => {}
                other => return Err(Violation::broken(format!("{other:?}"))),
            }
        }
        Violation::unless(edits == 1, || format!("{edits} edits, 1 was made"))
    }
}

async fn run(mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Single, program(mutant)).await?;
    on(&confab).await?;
    confab.finish()
}

/// The whole check, on what runs already.
pub(super) async fn on(confab: &Deployment) -> Checked {
    let scene = Scene::new(confab).await?;
    let watch = |from: u64| BTreeMap::from([(scene.id.clone(), from)]);
    let mut live = RawStream::watch(&scene.late, &watch(scene.join)).await??;
    let last = scene.touch().await?;
    scene.check_reads().await?;
    scene.check_stream(&mut live, scene.join, last).await?;
    let mut whole = RawStream::watch(&scene.late, &watch(0)).await??;
    scene.check_stream(&mut whole, 0, last).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_late_never_reads_what_was_before() {
    run(None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_hide_nothing_are_caught() {
    let mutant = "history-hides-nothing";
    must_be_caught(mutant, run(Some(mutant)).await);
}
