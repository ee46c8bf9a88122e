//! What a scenario is played on: conversations, who is in them, who sends, and
//! the look at the logs when it is over.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use confab_client::{Rpc, text};
use confab_kit::random;
use confab_proto::{
    conversations::v1::{ConversationType, CreateConversationRequest},
    messages::v1::{ListEventsRequest, SendMessageRequest},
    participants::v1::AddParticipantsRequest,
};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::Instant;

use super::{
    check::{Findings, Ledger, Mark, Reader, mark_of},
    server::Server,
    stopwatch::Stopwatch,
    wire::Connection,
};
use crate::Failure;

/// Users that one request may name.
const NAMED: usize = 100;
/// Set-up calls under way at a time.
const AT_A_TIME: usize = 64;
/// A call that a busy server sends away is made again so often …
const TRIES: u32 = 100;
/// … after about so long.
const RETRY: Duration = Duration::from_millis(50);

/// Somebody with a connection, on one device.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) token: HeaderValue,
    pub(super) connection: Connection,
}

impl Person {
    /// A user with a connection of their own.
    pub(super) async fn connect(server: &Server, user: &str) -> Result<Self, Failure> {
        Self::on(Connection::open(server.authority()).await?, server, user)
    }

    /// A user on a connection that others use, too.
    pub(super) fn on(connection: Connection, server: &Server, user: &str) -> Result<Self, Failure> {
        let token = server.token(user, "device")?;
        Ok(Self { token, connection })
    }

    /// Makes a call, and again while a busy server sends it away. Commands
    /// carry their request id, so they happen once.
    pub(super) async fn call<R: Rpc>(&self, request: &R) -> Result<R::Response, Failure> {
        self.call_counting(request, &AtomicU64::new(0)).await
    }

    async fn call_counting<R: Rpc>(
        &self,
        request: &R,
        retries: &AtomicU64,
    ) -> Result<R::Response, Failure> {
        let mut tries = 1;
        loop {
            match self.connection.call(&self.token, request).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_passing() && tries < TRIES => {
                    tries += 1;
                    retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(random::jitter(RETRY)).await;
                }
                Err(error) => return Err(format!("{}: {error}", R::METHOD.path).into()),
            }
        }
    }
}

/// Connections that many share: whoever comes takes the next.
pub(super) async fn connections(server: &Server, count: usize) -> Result<Vec<Connection>, Failure> {
    let opening = (0..count.max(1)).map(|_| Connection::open(server.authority()));
    stream::iter(opening).buffered(AT_A_TIME).try_collect().await
}

/// A conversation of the run.
pub(super) struct Room {
    pub(super) id: String,
    /// The newest event before the run.
    base: u64,
    /// The newest event that was acknowledged, to anyone.
    head: AtomicU64,
    ledger: Mutex<Ledger>,
}

impl Room {
    /// Creates a group with so many members and the owner.
    pub(super) async fn create(owner: &Person, members: &[String]) -> Result<Self, Failure> {
        let (first, rest) = members.split_at(members.len().min(NAMED));
        let request = CreateConversationRequest {
            request_id: random::uuid(),
            r#type: ConversationType::Group.into(),
            participant_ids: first.to_vec(),
            ..CreateConversationRequest::default()
        };
        let created = owner.call(&request).await?.conversation.ok_or("no conversation came")?;
        let (id, mut head) = (created.conversation_id, created.applied_seq);
        for named in rest.chunks(NAMED) {
            let request = AddParticipantsRequest {
                conversation_id: id.clone(),
                request_id: random::uuid(),
                after_seq: head,
                user_ids: named.to_vec(),
            };
            head = owner.call(&request).await?.seq;
        }
        Ok(Self { id, base: head, head: AtomicU64::new(head), ledger: Mutex::default() })
    }

    /// Creates one for each list of members, several at a time.
    pub(super) async fn create_all(
        owner: &Person,
        members: Vec<Vec<String>>,
        made: impl Fn(),
    ) -> Result<Vec<Arc<Self>>, Failure> {
        let creating = members.into_iter().map(|members| async move {
            Ok::<_, Failure>(Arc::new(Self::create(owner, &members).await?))
        });
        stream::iter(creating).buffered(AT_A_TIME).inspect_ok(|_| made()).try_collect().await
    }

    /// The newest event before the run.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The newest event that was acknowledged.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    fn acknowledge(&self, seq: u64, mark: Mark) {
        self.head.fetch_max(seq, Ordering::Relaxed);
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(seq, mark);
    }

    /// Reads the log back and holds everything against it: what was
    /// acknowledged, and what readers saw. Says how many events there were.
    pub(super) async fn audit(
        &self,
        person: &Person,
        readers: Vec<Reader>,
    ) -> Result<(u64, Findings), Failure> {
        let mut log = Reader::after(format!("the log of {}", self.id), self.base);
        let mut marks = BTreeMap::new();
        loop {
            let request = ListEventsRequest {
                conversation_id: self.id.clone(),
                after_seq: log.cursor(),
                page_size: 500,
            };
            let page = person.call(&request).await?;
            let done = page.events.is_empty();
            for event in &page.events {
                log.see(event);
                marks.extend(mark_of(event).map(|mark| (event.seq, mark)));
            }
            if done || log.cursor() >= page.head_seq {
                break;
            }
        }
        let events = log.cursor().saturating_sub(self.base);
        let mut ledger =
            std::mem::take(&mut *self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
        ledger.compare(&self.id, &marks);
        let mut findings = ledger.findings;
        for mut reader in readers {
            reader.compare(&log);
            findings.absorb(reader.findings);
        }
        findings.absorb(log.findings);
        Ok((events, findings))
    }
}

/// Sends messages to one conversation, one after the other.
pub(super) struct Sender {
    person: Person,
    room: Arc<Room>,
    number: u32,
    sent: u64,
    text: String,
    stopwatch: Arc<Stopwatch>,
    retries: Arc<AtomicU64>,
}

impl Sender {
    /// Sender `number` of the run, whose messages have so many bytes of text.
    pub(super) fn new(
        person: Person,
        room: Arc<Room>,
        number: usize,
        text: String,
        run: &Run,
    ) -> Self {
        Self {
            person,
            room,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            sent: 0,
            text,
            stopwatch: Arc::clone(&run.stopwatch),
            retries: Arc::clone(&run.retries),
        }
    }

    /// Sends the next message, which was due then, and returns when it is
    /// settled. The latency counts from when it was due.
    pub(super) async fn send(&mut self, due: Instant) -> Result<(), Failure> {
        self.sent += 1;
        let due_micros = self.stopwatch.micros(due);
        let mark = Mark { sender: self.number, number: self.sent, due_micros };
        let request = SendMessageRequest {
            conversation_id: self.room.id.clone(),
            request_id: mark.request_id(),
            // A device that watches knows what is there.
            after_seq: self.room.head(),
            content: Some(text(self.text.as_str())),
            ..SendMessageRequest::default()
        };
        let answer = self.person.call_counting(&request, &self.retries).await?;
        let message = answer.message.ok_or("an answer without its message")?;
        self.room.acknowledge(message.seq, mark);
        Ok(())
    }
}

/// What all tasks of a run share.
pub(super) struct Run {
    pub(super) stopwatch: Arc<Stopwatch>,
    /// Calls that had to be made again.
    pub(super) retries: Arc<AtomicU64>,
}

impl Run {
    pub(super) fn start() -> Self {
        Self { stopwatch: Arc::new(Stopwatch::start()), retries: Arc::default() }
    }

    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// A text of so many bytes that does not compress to nothing.
pub(super) fn filler(seed: u64, size: usize) -> String {
    let mut random = SmallRng::seed_from_u64(seed);
    let letters = (0..size).map(|_| char::from(random.random_range(b'a'..=b'z')));
    letters.collect()
}

/// `reader-7` and the like.
pub(super) fn names(role: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{role}-{number}")).collect()
}
