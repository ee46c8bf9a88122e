//! P5: folding the event stream equals reading the state. Users do whatever comes
//! to their minds, by a seed; clients fold what their streams bring onto snapshots
//! taken at any time in between; whenever it is quiet, all hold what a fresh read
//! returns. And whoever reads after an acknowledgement finds what was acknowledged.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use confab_client::{Client, Error, EventStream, StreamOptions, Update, fold::ConversationState};
use confab_proto::{
    conversations::v1::{
        ArchiveConversationRequest, ConversationUpdate, GetConversationRequest,
        UnarchiveConversationRequest, UpdateConversationRequest,
    },
    errors::v1::Reason,
    messages::v1::GetMessageRequest,
    participants::v1::{
        BanParticipantRequest, InboxEvent, KickParticipantRequest, ListInboxEventsRequest,
        MuteParticipantRequest, Role, UnbanParticipantRequest, UnmuteParticipantRequest,
        inbox_event::Kind as InboxKind,
    },
};
use confab_tests::harness::{Checked, Node, Seed, Violation, effort, must_be_caught, within};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::task::JoinSet;

use super::{
    program,
    raw_stream::SILENCE,
    support::{WHOLE, text_of},
};

/// Those who come and go.
const CHURN: &[&str] = &["carol", "dave", "erin", "frank"];
const EMOJI: &[&str] = &["+1", "heart", "smile"];
const ROUNDS: u64 = 6;
/// Deeds of one user in one round.
const DEEDS: u64 = 14;
/// The messages up to here are changed the most and never deleted.
const HOT: u64 = 6;
const ALL: usize = 100_000;
/// A bus that loses every tenth event. It breaks no promise.
const LOSSY: &str = "publish-drops";

/// One user with ideas.
struct Person {
    client: Client,
    name: &'static str,
    id: String,
    /// The highest seq that anybody heard of.
    head: Arc<AtomicU64>,
    /// Reads after each acknowledgement.
    looks: bool,
    random: StdRng,
}

/// What an acknowledged deed changed, to be looked for at once.
enum Changed {
    Message(u64),
    Participant(String),
    Conversation,
}

impl Person {
    async fn live(mut self, deeds: u64) -> Checked<Self> {
        for _ in 0..deeds {
            match self.deed().await {
                Ok((seq, changed)) => {
                    self.head.fetch_max(seq, Ordering::Relaxed);
                    if self.looks {
                        self.look(seq, &changed).await?;
                    }
                }
                Err(error) if is_coded(&error) => {}
                Err(error) => {
                    let text = format!("{} got no coded answer: {error}", self.name);
                    return Err(Violation::broken(text));
                }
            }
        }
        Ok(self)
    }

    fn whom(&mut self) -> String {
        (*CHURN.choose(&mut self.random).unwrap_or(&"carol")).to_owned()
    }

    async fn deed(&mut self) -> Result<(u64, Changed), Error> {
        let head = self.head.load(Ordering::Relaxed).max(1);
        // Half of it happens to the same few messages.
        let hot = self.random.random_ratio(1, 2);
        let message = self.random.random_range(1..=if hot { head.min(HOT) } else { head });
        let kind = self.random.random_range(0..24);
        let (client, id) = (self.client.clone(), self.id.clone());
        let body = format!("{} {kind} {message}", self.name);
        match kind {
            0..8 => {
                let sent = client.send(&id, body).await?;
                Ok((sent.seq, Changed::Message(sent.seq)))
            }
            8..11 => Ok((client.edit(&id, message, body).await?, Changed::Message(message))),
            11 if message > HOT => {
                Ok((client.delete(&id, message).await?, Changed::Message(message)))
            }
            11..15 => {
                let emoji = EMOJI[self.random.random_range(0..EMOJI.len())];
                Ok((client.react(&id, message, emoji).await?, Changed::Message(message)))
            }
            15 => {
                let emoji = EMOJI[self.random.random_range(0..EMOJI.len())];
                Ok((client.unreact(&id, message, emoji).await?, Changed::Message(message)))
            }
            16..20 => self.change_members(kind).await,
            _ => self.moderate(kind).await,
        }
    }

    async fn change_members(&mut self, kind: u32) -> Result<(u64, Changed), Error> {
        let (client, id, user) = (self.client.clone(), self.id.clone(), self.whom());
        let seq = match kind {
            16 | 17 => client.add_participants(&id, &[&user]).await?,
            18 => client.remove_participant(&id, &user).await?,
            _ if CHURN.contains(&self.name) && self.random.random_ratio(1, 2) => {
                // Nobody who is gone can look.
                let seq = client.leave(&id).await?;
                return Ok((seq, Changed::Participant(String::new())));
            }
            _ => {
                let role = [Role::Member, Role::Admin][self.random.random_range(0..2)];
                client.set_role(&id, &user, role).await?
            }
        };
        Ok((seq, Changed::Participant(user)))
    }

    async fn moderate(&mut self, kind: u32) -> Result<(u64, Changed), Error> {
        let (client, conversation_id) = (self.client.clone(), self.id.clone());
        let user_id = self.whom();
        let user = user_id.clone();
        let seq = match (kind, self.random.random_range(0..4)) {
            (20, 0) => {
                let request =
                    KickParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (20, 1) => {
                let request =
                    BanParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (20, _) => {
                let request =
                    UnbanParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (21, 0 | 1) => {
                let request =
                    MuteParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (21, _) => {
                let request =
                    UnmuteParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (22, 0) => {
                let request = ArchiveConversationRequest {
                    conversation_id: conversation_id.clone(),
                    ..Default::default()
                };
                let archived = client.command(request).await?.seq;
                self.head.fetch_max(archived, Ordering::Relaxed);
                let request =
                    UnarchiveConversationRequest { conversation_id, ..Default::default() };
                let seq = client.command(request).await?.seq;
                return Ok((seq, Changed::Conversation));
            }
            _ => return self.describe().await,
        };
        Ok((seq, Changed::Participant(user)))
    }

    /// A new title, resting on what is there.
    async fn describe(&mut self) -> Result<(u64, Changed), Error> {
        let (conversation, _) = self.client.get_conversation(&self.id).await?;
        let title = format!("title {}", self.random.random_range(0..1000));
        let request = UpdateConversationRequest {
            conversation_id: self.id.clone(),
            update: Some(ConversationUpdate {
                title,
                metadata: [("by".to_owned(), self.name.to_owned())].into(),
                ..ConversationUpdate::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["title".to_owned(), "metadata".to_owned()],
            }),
            etag: conversation.etag,
            ..UpdateConversationRequest::default()
        };
        Ok((self.client.command(request).await?.seq, Changed::Conversation))
    }

    /// A read after an acknowledged write reflects it.
    async fn look(&self, seq: u64, changed: &Changed) -> Checked {
        let conversation_id = self.id.clone();
        let found = match changed {
            Changed::Message(message_seq) => {
                let message_seq = *message_seq;
                let request = GetMessageRequest { conversation_id, message_seq };
                let read = self.client.call(request).await;
                read.map(|read| (read.as_of_seq, read.message.map_or(0, |m| m.applied_seq)))
            }
            Changed::Conversation => {
                let read = self.client.call(GetConversationRequest { conversation_id }).await;
                read.map(|read| (read.as_of_seq, read.conversation.map_or(0, |c| c.applied_seq)))
            }
            Changed::Participant(user) => {
                let rows = self.client.all_participants(&self.id).await;
                rows.map(|rows| {
                    // Who is gone is not listed.
                    let row = rows.into_iter().find(|row| row.user_id == *user);
                    (seq, row.map_or(seq, |row| row.applied_seq))
                })
            }
        };
        let (as_of, applied) = match found {
            Ok(found) => found,
            // Removed meanwhile.
            Err(error) if error.reason() == Some(Reason::NotAParticipant) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        Violation::unless(as_of >= seq && applied >= seq, || {
            format!("{seq} was acknowledged, but a read is as of {as_of} and shows {applied}")
        })
    }
}

fn is_coded(error: &Error) -> bool {
    error.reason().is_some_and(|reason| {
        !matches!(reason, Reason::Unspecified | Reason::Internal | Reason::OutcomeUnknown)
    })
}

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
    async fn catch_up(mut self, head: u64) -> Checked<Self> {
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
        let id = self.state.conversation_id().to_owned();
        let snapshot = self.client.snapshot(&id, ALL).await?;
        let fresh = ConversationState::from_snapshot(snapshot, self.state.reader_id());
        let differences = self.state.diff(&fresh);
        Violation::unless(differences.is_empty(), || {
            format!("{} holds what a read does not return: {differences:#?}", self.name)
        })?;
        Ok(self)
    }
}

async fn run(rounds: u64, looks: bool, mutant: Option<&str>) -> Checked {
    let seed = Seed::of("p5");
    let node = Node::start(program(mutant)).await?;
    let owner = node.client("dev", "owner").await?;
    let mut members = vec!["admin", "reader"];
    members.extend(CHURN);
    let id = owner.create_group("folded", &members).await?.conversation_id;
    owner.set_role(&id, "admin", Role::Admin).await?;
    let head = Arc::new(AtomicU64::new(2));
    let mut people = Vec::new();
    for (part, name) in (0..).zip(["owner", "admin", "reader"].iter().chain(CHURN)) {
        let client = node.client("dev", name).await?;
        let (id, head) = (id.clone(), Arc::clone(&head));
        people.push(Person { client, name, id, head, looks, random: seed.part(part) });
    }
    let reader = node.client("dev", "reader").await?;
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
        while let Some(person) = within(WHOLE, "the people", living.join_next()).await? {
            people.push(person.map_err(Violation::unable)??);
        }
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
        while let Some(folder) = within(WHOLE, "the folders", catching_up.join_next()).await? {
            folders.push(folder.map_err(Violation::unable)??);
        }
    }
    let texts = folders[0].state.messages().filter(|m| text_of(m).is_some()).count();
    let count = folders.len();
    println!("{} events, {texts} messages, {count} folders", head.load(Ordering::Relaxed));
    for folder in folders {
        folder.stream.close().await;
    }
    node.finish()
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
        let last = inbox.last().and_then(|event| event.kind);
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
    run(ROUNDS * u64::from(effort()), true, None)
        .await
        .unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_with_two_appenders() {
    let run = run(3, true, Some("two-drivers,late-effects,late-reads")).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_lists_reflect_acknowledged_writes() {
    lists(None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_equals_reading_over_a_lossy_bus() {
    let run = run(3, true, Some(LOSSY)).await;
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_forget_what_changed_them_are_caught() {
    let mutant = "applied-seq-forgotten";
    must_be_caught(mutant, run(ROUNDS, false, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_event_is_caught() {
    let mutant = "realtime-drop-event";
    must_be_caught(mutant, run(ROUNDS, false, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_effects_is_caught() {
    let mutant = "ack-before-effects";
    must_be_caught(mutant, lists(Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_without_a_look_is_caught() {
    let mutant = "two-drivers,read-without-look";
    must_be_caught(mutant, run(ROUNDS, true, Some(mutant)).await);
}
