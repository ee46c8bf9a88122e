//! P5: folding the event stream equals reading the state. Users do whatever comes
//! to their minds, by a seed; clients fold what their streams bring onto snapshots
//! taken at any time in between; whenever it is quiet, all hold what a fresh read
//! returns. And whoever reads after an acknowledgement finds what was acknowledged.

use std::sync::{Arc, atomic::AtomicU64};

use confab_client::{Client, EventStream, StreamOptions, Update, fold::ConversationState};
use confab_proto::{
    conversations::v1::{ConversationType, CreateConversationRequest, HistoryVisibility},
    messages::v1::Retention,
    participants::v1::{InboxEvent, ListInboxEventsRequest, Role, inbox_event::Kind as InboxKind},
};
use confab_tests::harness::{
    Checked, Deployment, Node, Seed, Shape, Violation, effort, must_be_caught, within,
};
use tokio::task::JoinSet;

use super::{
    can_be_clustered,
    people::{CHURN, Person},
    program,
    raw_stream::SILENCE,
    support::{WHOLE, all_ended, text_of},
};

const ROUNDS: u64 = 6;
/// Deeds of one user in one round.
const DEEDS: u64 = 14;
/// Messages that a closed group keeps.
const KEPT: u64 = 25;
const ALL: usize = 100_000;
/// A bus that loses every tenth event. It breaks no promise.
const LOSSY: &str = "publish-drops";

/// A client that folds what its stream brings.
struct Folder {
    client: Client,
    name: String,
    state: ConversationState,
    stream: EventStream,
}

impl Folder {
    /// Begins with a snapshot of the newest messages, or with nothing.
    async fn begin(client: Client, user: &str, id: &str, messages: Option<usize>) -> Checked<Self> {
        let state = match messages {
            Some(messages) => {
                ConversationState::from_snapshot(client.snapshot(id, messages).await?, user)
            }
            None => ConversationState::new(id, user),
        };
        let name = format!("{user} from {} with {messages:?} messages", state.applied_seq());
        let stream = client.stream(StreamOptions::default().watching(id, state.applied_seq()));
        Ok(Self { client, name, state, stream })
    }

    /// Folds up to the head and compares with a fresh read.
    async fn catch_up(mut self, mut head: u64) -> Checked<Self> {
        let id = self.state.conversation_id().to_owned();
        let snapshot = loop {
            self.fold(head).await?;
            let snapshot = self.client.snapshot(&id, ALL).await?;
            // Messages may have expired meanwhile.
            let (_, now) = self.client.get_conversation(&id).await?;
            if now == head {
                break snapshot;
            }
            head = now;
        };
        let fresh = ConversationState::from_snapshot(snapshot, self.state.reader_id());
        let differences = self.state.diff(&fresh);
        Violation::unless(differences.is_empty(), || {
            format!("{} holds what a read does not return: {differences:#?}", self.name)
        })?;
        Ok(self)
    }

    async fn fold(&mut self, head: u64) -> Checked {
        while self.state.applied_seq() < head {
            let what = format!("the events of {} up to {head}", self.name);
            match within(SILENCE, &what, self.stream.next()).await? {
                Some(Ok(Update::Event(event))) => {
                    self.state.apply(&event).map_err(|e| Violation::broken(e.to_string()))?;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Violation::broken("a stream ended")),
            }
        }
        Ok(())
    }
}

/// What is folded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Everybody sees everything.
    Open,
    /// Who joins late sees what came since, and old messages expire.
    Closed,
}

/// A group of all who do something.
async fn group(owner: &Client, kind: Group) -> Checked<String> {
    let closed = kind == Group::Closed;
    let request = CreateConversationRequest {
        r#type: ConversationType::Group.into(),
        participant_ids: ["admin", "reader"].iter().chain(CHURN).map(ToString::to_string).collect(),
        title: "folded".to_owned(),
        history_visibility: if closed { HistoryVisibility::FromJoin.into() } else { 0 },
        retention: closed.then_some(Retention { max_messages: KEPT, ..Retention::default() }),
        ..CreateConversationRequest::default()
    };
    let made = owner.command(request).await?.conversation.unwrap_or_default();
    owner.set_role(&made.conversation_id, "admin", Role::Admin).await?;
    Ok(made.conversation_id)
}

async fn people(confab: &Deployment, id: &str, looks: bool) -> Checked<Vec<Person>> {
    let seed = Seed::of("p5");
    let head = Arc::new(AtomicU64::new(2));
    let mut people = Vec::new();
    for (part, name) in (0..).zip(["owner", "admin", "reader"].iter().chain(CHURN)) {
        let client = confab.client("dev", name).await?;
        let (id, head) = (id.to_owned(), Arc::clone(&head));
        people.push(Person { client, name, id, head, looks, random: seed.part(part) });
    }
    Ok(people)
}

async fn run(kind: Group, rounds: u64, looks: bool, mutant: Option<&str>) -> Checked {
    run_on(Shape::Single, kind, rounds, looks, mutant).await
}

async fn run_on(
    shape: Shape,
    kind: Group,
    rounds: u64,
    looks: bool,
    mutant: Option<&str>,
) -> Checked {
    let options = program(mutant).env("CONFAB_LIMITS__RETENTION_SECONDS", "1");
    let confab = Deployment::start(shape, options).await?;
    let owner = confab.client("dev", "owner").await?;
    let id = group(&owner, kind).await?;
    let mut people = people(&confab, &id, looks).await?;
    let reader = confab.client("dev", "reader").await?;
    let mut folders = vec![
        Folder::begin(reader.clone(), "reader", &id, None).await?,
        Folder::begin(owner.clone(), "owner", &id, Some(ALL)).await?,
    ];
    for round in 0..rounds {
        let mut living = JoinSet::new();
        for person in people.drain(..) {
            living.spawn(person.live(DEEDS));
        }
        // In the middle of it all.
        let messages = [ALL, 5, 0, 30][usize::try_from(round % 4).unwrap_or(0)];
        folders.push(Folder::begin(reader.clone(), "reader", &id, Some(messages)).await?);
        folders.push(Folder::begin(owner.clone(), "owner", &id, Some(ALL)).await?);
        if kind == Group::Closed {
            let name = format!("late{round}");
            owner.add_participants(&id, &[&name]).await?;
            let late = confab.client("dev", &name).await?;
            folders.push(Folder::begin(late, &name, &id, Some(ALL)).await?);
        }
        people = all_ended(living, WHOLE, "the people").await?;
        let (_, mut now) = reader.get_conversation(&id).await?;
        if mutant == Some(LOSSY) && now.is_multiple_of(10) {
            // What the bus lost last is found by what comes next, or by a look at
            // the heads within half a minute, for which there is no time here.
            now = owner.send(&id, "one more").await?.seq;
        }
        let mut catching_up = JoinSet::new();
        for folder in folders.drain(..) {
            catching_up.spawn(folder.catch_up(now));
        }
        folders = all_ended(catching_up, WHOLE, "the folders").await?;
    }
    let texts = folders[0].state.messages().filter(|m| text_of(m).is_some()).count();
    let (events, count) = (folders[0].state.applied_seq(), folders.len());
    println!("{events} events, {texts} messages, {count} folders");
    for folder in folders {
        folder.stream.close().await;
    }
    confab.finish()
}

/// Who was added finds it in the inbox and in the list, at once.
async fn lists(mutant: Option<&str>) -> Checked {
    let mut node = Node::start(program(None)).await?;
    let owner = node.client("dev", "owner").await?;
    let id = owner.create_group("lists", &[]).await?.conversation_id;
    node.mutate(mutant);
    node.restart().await?;
    let owner = node.client("dev", "owner").await?;
    let guest = node.client("dev", "guest").await?;
    for round in 0..15_u64 {
        let joined = owner.add_participants(&id, &["guest"]).await?;
        let inbox = inbox_of(&guest).await?;
        let last = inbox.last().and_then(|event| event.kind.clone());
        let told = matches!(&last, Some(InboxKind::Joined(j)) if j.seq == joined);
        Violation::unless(told, || format!("added by {joined}, but the inbox ends with {last:?}"))?;
        let listed = guest.all_conversations().await?.len();
        Violation::unless(listed == 1, || format!("added, but {listed} conversations are listed"))?;
        owner.remove_participant(&id, "guest").await?;
        let count = inbox_of(&guest).await?.len() as u64;
        Violation::unless(count == 2 * (round + 1), || format!("{count} inbox events"))?;
        let listed = guest.all_conversations().await?.len();
        Violation::unless(listed == 0, || format!("removed, but {listed} are listed"))?;
    }
    node.finish()
}

async fn inbox_of(client: &Client) -> Checked<Vec<InboxEvent>> {
    let request = ListInboxEventsRequest { after_inbox_seq: 0, page_size: 500 };
    Ok(client.call(request).await?.events)
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading() {
    run(Group::Open, ROUNDS * u64::from(effort()), true, None)
        .await
        .unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_for_who_joins_late_and_what_expires() {
    let run = run(Group::Closed, ROUNDS, true, None).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_in_a_mesh() {
    let run = run_on(Shape::Mesh, Group::Closed, 3, true, None).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_in_a_cluster() {
    if can_be_clustered("promises::p5_fold::folding_equals_reading_in_a_cluster").await {
        let run = run_on(Shape::Cluster, Group::Closed, 3, true, None).await;
        run.unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_forget_what_changed_them_are_caught_in_a_mesh() {
    let mutant = "applied-seq-forgotten";
    let run = run_on(Shape::Mesh, Group::Open, ROUNDS, false, Some(mutant)).await;
    must_be_caught(mutant, run);
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_with_two_appenders() {
    let run = run(Group::Open, 3, true, Some("two-drivers,late-effects,late-reads")).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_lists_reflect_acknowledged_writes() {
    lists(None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_over_a_lossy_bus() {
    let run = run(Group::Open, 3, true, Some(LOSSY)).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_forget_what_changed_them_are_caught() {
    let mutant = "applied-seq-forgotten";
    must_be_caught(mutant, run(Group::Open, ROUNDS, false, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_event_is_caught() {
    let mutant = "realtime-drop-event";
    must_be_caught(mutant, run(Group::Open, ROUNDS, false, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_effects_is_caught() {
    let mutant = "ack-before-effects";
    must_be_caught(mutant, lists(Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_without_a_look_is_caught() {
    let mutant = "two-drivers,read-without-look";
    must_be_caught(mutant, run(Group::Open, ROUNDS, true, Some(mutant)).await);
}
