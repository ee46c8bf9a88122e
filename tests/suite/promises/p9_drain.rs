//! P9: SIGTERM loses nobody. Thousands of streams, some of which do not read,
//! or never said hello, or are on connections that take nothing; calls in
//! flight, alone and on streams. Readiness turns false, every stream that reads gets
//! its goodbye with a delay of its own, what has begun is answered, nothing new
//! is taken, and the process ends well inside its deadline.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use confab_client::text;
use confab_kit::{error::Reason, role::Role};
use confab_proto::{
    messages::v1::{EditMessageRequest, event::Kind},
    realtime::v1::{Goodbye, Hello, connect_request, connect_response::Frame, result::Outcome},
};
use confab_tests::harness::{
    Checked, Deployment, Node, Shape, Violation, effort, eventually, must_be_caught, within,
};
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    can_be_clustered, program,
    support::{WHOLE, all_ended},
};
use crate::raw::{
    Connection, PATIENCE, Raw, Reader, Refused, Windows, call, reason_name, watching,
};

const DRAIN_SECONDS: u64 = 20;
/// Users, each with one connection and so many streams on it. The effort
/// multiplies the users, up to 10,000 streams.
const USERS: u32 = 50;
const MOST_USERS: u32 = 250;
/// Enough to see that a promise is broken.
const FEW_USERS: u32 = 3;
const STREAMS: u32 = 40;
/// Named in one request.
const ADDED: usize = 50;
/// Connections of each kind that does not behave.
const ODD: usize = 3;
/// Changes that are being made when the signal comes, alone and on streams.
const CALLS: usize = 30;
/// Each change of a message takes about 40 ms with this one, which breaks nothing.
const SLOWLY: &str = "late-effects";

/// A conversation that everybody watches, and one whose messages are
/// being changed.
struct Scene {
    confab: Deployment,
    users: u32,
    id: String,
    head: u64,
    changed: String,
    messages: Vec<u64>,
}

impl Scene {
    async fn new(shape: Shape, users: u32, mutant: Option<&str>) -> Checked<Self> {
        let mutants = mutant.map(|mutant| format!("{SLOWLY},{mutant}"));
        // The program itself takes its time too; its log is looked at.
        let options = program(mutants.as_deref())
            .env("CONFAB_MUTANT", SLOWLY)
            .env("CONFAB_DRAIN_SECONDS", &DRAIN_SECONDS.to_string())
            .env("CONFAB_LIMITS__HELLO_TIMEOUT_MS", "60000");
        let confab = Deployment::start(shape, options).await?;
        let alice = confab.client("acme", "alice").await?;
        let id = alice.create_group("drain", &[]).await?.conversation_id;
        let names: Vec<String> = (0..users).map(user).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for names in names.chunks(ADDED) {
            alice.add_participants(&id, names).await?;
        }
        let head = alice.send(&id, "the last word").await?.seq;
        // Another one, because thousands of streams would have to hear of it.
        let changed = alice.create_group("changed", &[]).await?.conversation_id;
        let mut messages = Vec::new();
        for number in 0..2 * CALLS {
            messages.push(alice.send(&changed, format!("{number}")).await?.seq);
        }
        Ok(Self { confab, users, id, head, changed, messages })
    }

    /// The process that is told to end: streams and calls come to it.
    fn node(&self) -> &Node {
        self.confab.of(Role::Realtime)
    }

    fn hello(&self) -> connect_request::Frame {
        let watch = vec![watching(&self.id, self.head)];
        connect_request::Frame::Hello(Hello { watch, ..Hello::default() })
    }

    async fn connect(&self, user: &str) -> Checked<Connection> {
        let token = self.confab.tokens()?.user("acme", user);
        Connection::open(self.node().public(), &token, Windows::USUAL).await
    }

    /// A stream that has everything up to the head.
    async fn stream(&self, connection: &Connection) -> Checked<Reader> {
        let mut reader = connection.watch(self.hello()).await?;
        let id = &self.id;
        let synced = |frame| match frame {
            Frame::Synced(synced) if synced.conversation_id == *id => Some(()),
            _ => None,
        };
        reader.until(synced).await?;
        Ok(reader)
    }

    fn edit(&self, number: usize) -> EditMessageRequest {
        EditMessageRequest {
            conversation_id: self.changed.clone(),
            message_seq: self.messages[number],
            request_id: format!("edit-{number}"),
            content: Some(text(format!("edited {number}"))),
            ..EditMessageRequest::default()
        }
    }
}

fn user(number: u32) -> String {
    format!("user-{number}")
}

/// What stays open until the end and must not hold it up.
struct Odd {
    _connections: Vec<Connection>,
    _streams: Vec<Reader>,
    _sockets: Vec<TcpStream>,
}

async fn odd_ones(scene: &Scene) -> Checked<Odd> {
    let (mut connections, mut streams, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ODD {
        let deaf = scene.connect("alice").await?;
        streams.push(scene.stream(&deaf).await?);
        let mute = scene.connect("alice").await?;
        streams.push(mute.mute().await?);
        let frozen = scene.connect("alice").await?;
        streams.push(scene.stream(&frozen).await?);
        frozen.freeze();
        connections.extend([deaf, mute, frozen]);
        sockets.push(TcpStream::connect(scene.node().public()).await.map_err(Violation::unable)?);
    }
    Ok(Odd { _connections: connections, _streams: streams, _sockets: sockets })
}

/// Streams that read to their end; how each was said goodbye to.
async fn many_streams(scene: &Scene) -> Checked<JoinSet<Checked<Goodbye>>> {
    let mut streams = JoinSet::new();
    for number in 0..scene.users {
        let connection = Arc::new(scene.connect(&user(number)).await?);
        for _ in 0..STREAMS {
            let (reader, connection) = (scene.stream(&connection).await?, Arc::clone(&connection));
            streams.spawn(async move {
                let goodbye = goodbye_of(reader).await;
                drop(connection);
                goodbye
            });
        }
    }
    Ok(streams)
}

async fn goodbye_of(reader: Reader) -> Checked<Goodbye> {
    let (frames, status) = reader.ending().await?;
    let Some(Frame::Goodbye(goodbye)) = frames.last() else {
        return Err(Violation::broken(format!("a stream ends with {:?}", frames.last())));
    };
    let said = goodbye.failure.as_ref().map(confab_kit::error::Failure::reason);
    let status = status.ok_or_else(|| Violation::broken("a stream without a status"))?;
    let told = Refused::of(&status)?.reason;
    let right = said == Some(Reason::Draining) && told == reason_name(Reason::Draining);
    Violation::unless(right, || format!("a stream is drained with {said:?}, {told}"))?;
    Ok(goodbye.clone())
}

/// Changes that have reached the node; how each is answered.
async fn calls_in_flight(scene: &Scene, calls: &mut JoinSet<Checked>) -> Checked {
    let token = scene.confab.tokens()?.user("acme", "alice");
    for number in 0..CALLS {
        let raw = Raw::connect(scene.node().uri()).await?.token(&token);
        let edit = scene.edit(number);
        calls.spawn(async move {
            let answer = raw.unary(&edit).await?;
            Violation::unless(answer.is_ok(), || format!("a call in flight: {answer:?}"))
        });
    }
    let connection = scene.connect("alice").await?;
    let mut stream = scene.stream(&connection).await?;
    for number in CALLS..2 * CALLS {
        stream.say(call(number as u64, &scene.edit(number)))?;
    }
    calls.spawn(async move {
        let (frames, _) = stream.ending().await?;
        drop(connection);
        let answered = frames.iter().filter(|frame| {
            let Frame::Result(result) = frame else { return false };
            matches!(result.outcome, Some(Outcome::Response(_)))
        });
        let answered = answered.count();
        let last = matches!(frames.last(), Some(Frame::Goodbye(_)));
        Violation::unless(answered == CALLS && last, || {
            format!("{answered} of {CALLS} calls on a stream are answered; goodbye: {last}")
        })
    });
    // Each has begun, and most have not ended.
    let method = "method=\"/confab.messages.v1.MessagesService/EditMessage\"";
    let open = format!("confab_rpc_in_flight{{{method}}}");
    let ended = format!("confab_rpc_requests_total{{{method},code=\"OK\",reason=\"\"}}");
    let all = f64::from(u32::try_from(2 * CALLS).unwrap_or(u32::MAX));
    eventually(PATIENCE, "every change in flight", || async {
        let scrape = scene.node().scrape().await?;
        let open = scrape.value(&open);
        Ok((open + scrape.value(&ended) >= all).then_some(open))
    })
    .await
    .and_then(|open| Violation::unless(open > 1.0, || "nothing is in flight any more"))
}

/// Delays that send everybody back at different moments.
fn spread(goodbyes: &[Goodbye]) -> Checked {
    let mut delays = BTreeSet::new();
    for goodbye in goodbyes {
        let after = goodbye.retry_after.ok_or_else(|| Violation::broken("no retry_after"))?;
        delays.insert((after.seconds, after.nanos));
    }
    let millis = |delay: Option<&(i64, i32)>| {
        delay.map_or(0, |(seconds, nanos)| seconds * 1000 + i64::from(nanos / 1_000_000))
    };
    let width = millis(delays.last()) - millis(delays.first());
    let spread = delays.len() > goodbyes.len() / 2 && width >= 1000;
    Violation::unless(spread, || {
        format!("{} delays for {} streams, {width} ms apart", delays.len(), goodbyes.len())
    })
}

/// While something is open, operators see that it drains.
async fn is_draining(scene: &Scene) -> Checked {
    let ask = async |path| {
        let answer = scene.node().get(path).await;
        answer.map_err(|gone| Violation::broken(format!("{path} while draining: {gone}")))
    };
    eventually(PATIENCE, "readiness turns false", || async {
        let (status, body) = ask("/readyz").await?;
        Ok((status == 503 && body.contains("draining")).then_some(()))
    })
    .await?;
    let (alive, _) = ask("/healthz").await?;
    Violation::unless(alive == 200, || format!("/healthz answers {alive} while draining"))?;
    eventually(PATIENCE, "no new connections", || async {
        Ok(TcpStream::connect(scene.node().public()).await.is_err().then_some(()))
    })
    .await
}

async fn check(shape: Shape, users: u32, mutant: Option<&str>) -> Checked {
    let mut scene = Scene::new(shape, users, mutant).await?;
    let odd = odd_ones(&scene).await?;
    let streams = many_streams(&scene).await?;
    let mut calls = JoinSet::new();
    calls_in_flight(&scene, &mut calls).await?;

    let begun = Instant::now();
    scene.node().sigterm()?;
    let calls = all_ended(calls, PATIENCE, "the calls in flight");
    let (calls, draining) = tokio::join!(calls, is_draining(&scene));
    calls.and(draining)?;
    let goodbyes = all_ended(streams, PATIENCE, "the goodbyes").await?;
    spread(&goodbyes)?;
    scene.confab.of_mut(Role::Realtime).ended(Duration::from_secs(DRAIN_SECONDS + 5)).await?;
    println!("{} streams said goodbye to, ended in {:?}", goodbyes.len(), begun.elapsed());
    drop(odd);

    // What was answered stands.
    scene.confab.of_mut(Role::Realtime).restart().await?;
    let alice = scene.node().client("acme", "alice").await?;
    let head = *scene.messages.last().unwrap_or(&0);
    let (events, _) = alice.events_after(&scene.changed, head, 500).await?;
    let edits = events.iter().filter(|event| matches!(event.kind, Some(Kind::MessageEdited(_))));
    let edits = edits.count();
    Violation::unless(edits == 2 * CALLS, || format!("{edits} of {} changes stand", 2 * CALLS))?;
    scene.confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_loses_nobody() {
    let users = USERS.saturating_mul(effort()).min(MOST_USERS);
    // To open the streams takes longest.
    let longest = WHOLE * users.div_ceil(USERS);
    let checked = within(longest, "a drain", check(Shape::Single, users, None)).await;
    checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_loses_nobody_in_a_cluster() {
    let test = "promises::p9_drain::sigterm_loses_nobody_in_a_cluster";
    if can_be_clustered(test).await {
        let drain = Box::pin(check(Shape::Cluster, FEW_USERS, None));
        let checked = within(WHOLE, "a drain", drain).await;
        checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_without_a_goodbye_are_caught() {
    let mutant = "drain-no-goodbye";
    must_be_caught(mutant, check(Shape::Single, FEW_USERS, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_calls_in_flight_is_caught() {
    let mutant = "drain-drops-calls";
    must_be_caught(mutant, check(Shape::Single, FEW_USERS, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delay_for_all_is_caught() {
    let mutant = "drain-same-retry";
    must_be_caught(mutant, check(Shape::Single, FEW_USERS, Some(mutant)).await);
}
