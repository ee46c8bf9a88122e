//! P6: a slow reader hurts only itself. Readers that stop in every way that
//! HTTP/2 knows: one stream among others, alone on a connection, byte by byte,
//! and the whole socket. Each gets its goodbye tried and is reset, with its
//! memory, while whoever reads gets every event in order, on the same connection too.

use std::time::Duration;

use confab_client::Client;
use confab_kit::{error::Reason, role::Role};
use confab_proto::{
    messages::v1::ListMessagesRequest,
    realtime::v1::{Hello, connect_request, connect_response::Frame},
};
use confab_tests::harness::{
    Checked, Deployment, Node, Shape, Violation, eventually, must_be_caught, within,
};
use tokio::task::JoinHandle;

use super::{can_be_clustered, program, support::WHOLE};
use crate::raw::{Connection, Door, PATIENCE, Reader, Taken, Windows, hello, watching};

/// May wait for one reader. Windows and the server's own buffers come to it.
const QUEUE_BYTES: &str = "65536";
/// Of one message.
const TEXT_BYTES: usize = 15_000;
/// More than a reader's window, its queue and all buffers hold.
const MESSAGES: usize = 40;
/// Users, and slow streams of each.
const USERS: [&str; 4] = ["bob", "carol", "dave", "erin"];
const STREAMS: usize = 40;
/// What the log may have grown by. Readers of whole sockets cost 7 MB and more.
const KEPT_BYTES: f64 = 4e6;
/// Beyond this a write that waits ends its connection.
const STALL_SECONDS: &str = "2";
/// Goodbye is tried for a second, and a test that looks for it may be late.
const GOODBYE_TRIES: usize = 5;

/// Where everybody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// At the process that has the streams.
    Streams,
    /// At its gateway.
    Gateway,
    /// At a process that passes streams on.
    Elsewhere,
}

/// One conversation, and somebody who reads all of it.
struct Scene {
    confab: Deployment,
    entry: Entry,
    alice: Client,
    id: String,
    healthy: Reader,
    /// On which the healthy stream is.
    shared: Connection,
    seq: u64,
}

impl Scene {
    /// What waits for too long when it is written: a `WRITE` or an `ANSWER`.
    async fn new(
        (shape, entry): (Shape, Entry),
        stall: &str,
        mutant: Option<&str>,
    ) -> Checked<Self> {
        let options = program(mutant)
            .env("CONFAB_LIMITS__STREAM_QUEUE_BYTES", QUEUE_BYTES)
            .env(&format!("CONFAB_LIMITS__{stall}_STALL_SECONDS"), STALL_SECONDS);
        let confab = Deployment::start(shape, options).await?;
        let alice = confab.client("acme", "alice").await?;
        let id = alice.create_group("slow", &USERS).await?.conversation_id;
        let shared = connect(&confab, entry, "alice", Windows::USUAL).await?;
        let mut healthy = shared.watch(hello(&[&id])).await?;
        let seq = synced(&mut healthy, &id).await?;
        Ok(Self { confab, entry, alice, id, healthy, shared, seq })
    }

    async fn connect(&self, user: &str, windows: Windows) -> Checked<Connection> {
        connect(&self.confab, self.entry, user, windows).await
    }

    /// Many large messages, each of which the healthy stream has before the next.
    async fn storm(&mut self) -> Checked {
        for _ in 0..MESSAGES {
            self.say(&"x".repeat(TEXT_BYTES)).await?;
        }
        Ok(())
    }

    async fn say(&mut self, text: &str) -> Checked {
        let sent = self.alice.send(&self.id, text).await?.seq;
        while self.seq < sent {
            let event =
                |frame| if let Frame::Event(event) = frame { Some(event.seq) } else { None };
            let seq = self.healthy.until(event).await?;
            Violation::unless(seq == self.seq + 1, || {
                format!("a healthy stream brings event {seq} after event {}", self.seq)
            })?;
            self.seq = seq;
        }
        Ok(())
    }

    /// A hello with the cursor at the head: what a reader has to catch up with is
    /// read at its own pace and makes it no slow one.
    fn hello_at_head(&self) -> connect_request::Frame {
        let watch = vec![watching(&self.id, self.seq)];
        connect_request::Frame::Hello(Hello { watch, ..Hello::default() })
    }

    async fn value(&self, series: &str) -> Checked<f64> {
        Ok(reading(&self.confab).scrape().await?.value(series))
    }

    async fn becomes(&self, series: &str, what: impl Fn(f64) -> bool) -> Checked {
        let text = format!("{series} becomes what it should be");
        let looked = eventually(PATIENCE, &text, || async {
            Ok(what(self.value(series).await?).then_some(()))
        });
        looked.await
    }
}

async fn connect(
    confab: &Deployment,
    entry: Entry,
    user: &str,
    windows: Windows,
) -> Checked<Connection> {
    let token = confab.tokens()?.user("acme", user);
    let (door, address) = match entry {
        Entry::Streams => (Door::Public, reading(confab).public()),
        Entry::Gateway => (Door::Gateway, reading(confab).gateway()),
        Entry::Elsewhere => (Door::Public, confab.of(Role::Conversations).public()),
    };
    Connection::open_at(door, address, &token, windows).await
}

/// Who has the streams.
fn reading(confab: &Deployment) -> &Node {
    confab.of(Role::Realtime)
}

/// Reads until the stream has all that stands in the log.
async fn synced(reader: &mut Reader, id: &str) -> Checked<u64> {
    let synced = |frame| match frame {
        Frame::Synced(synced) if synced.conversation_id == id => Some(synced.seq),
        _ => None,
    };
    reader.until(synced).await
}

/// Streams beside the healthy one, on its connection, that stop after they are synced.
async fn beside_others(scene: &mut Scene) -> Checked {
    let mut slow = Vec::new();
    for _ in 0..STREAMS {
        let mut reader = scene.shared.watch(scene.hello_at_head()).await?;
        synced(&mut reader, &scene.id).await?;
        slow.push(reader);
    }
    scene.storm().await?;
    for reader in &mut slow {
        reader.reset().await?;
    }
    scene.say("still here").await
}

/// A connection with nothing but one reader that stops; afterwards it is as good as new.
async fn alone(scene: &mut Scene) -> Checked {
    let connection = scene.connect("bob", Windows::USUAL).await?;
    let mut slow = connection.watch(scene.hello_at_head()).await?;
    synced(&mut slow, &scene.id).await?;
    scene.storm().await?;
    slow.reset().await?;
    let mut again = connection.watch(hello(&[&scene.id])).await?;
    let seq = synced(&mut again, &scene.id).await?;
    Violation::unless(seq == scene.seq, || {
        format!("resumed up to event {seq}, the head is {}", scene.seq)
    })
}

/// Whoever reads again within the second finds the goodbye at the end.
async fn told(scene: &mut Scene) -> Checked {
    let goodbyes = "confab_stream_goodbyes_total{reason=\"SLOW_CONSUMER\"}";
    for _ in 0..GOODBYE_TRIES {
        let connection = scene.connect("bob", Windows::USUAL).await?;
        let mut slow = connection.watch(scene.hello_at_head()).await?;
        synced(&mut slow, &scene.id).await?;
        let before = scene.value(goodbyes).await?;
        scene.storm().await?;
        scene.becomes(goodbyes, |now| now > before).await?;
        let mut reason = None;
        // It is reset where we come too late.
        while let Ok(Some(frame)) = slow.next().await {
            if let Frame::Goodbye(goodbye) = frame {
                reason = goodbye.failure.map(|failure| failure.reason());
            }
        }
        if let Some(reason) = reason {
            return Violation::unless(reason == Reason::SlowConsumer, || {
                format!("a slow reader is said goodbye to with {reason:?}")
            });
        }
    }
    Err(Violation::broken("no slow reader finds a goodbye"))
}

/// A window of one byte, opened again once a second.
async fn byte_by_byte(scene: &mut Scene) -> Checked {
    let windows = Windows { stream: 1, ..Windows::USUAL };
    let connection = scene.connect("carol", windows).await?;
    let mut slow = connection.watch(scene.hello_at_head()).await?;
    synced(&mut slow, &scene.id).await?;
    let reading: JoinHandle<Checked<Taken>> = tokio::spawn(async move {
        loop {
            match slow.read().await? {
                Taken::Data => tokio::time::sleep(Duration::from_secs(1)).await,
                ended => return Ok(ended),
            }
        }
    });
    scene.storm().await?;
    let ended = within(PATIENCE, "the reset of a reader of bytes", reading).await?;
    let ended = ended.map_err(Violation::unable)??;
    Violation::unless(ended == Taken::Reset, || format!("a reader of bytes ends with {ended:?}"))
}

/// Large answers to unary calls, of which nobody takes more than the window holds.
async fn answers(scene: &mut Scene) -> Checked {
    let used = "confab_allocator_allocated_bytes";
    scene.storm().await?;
    let bytes = scene.value(used).await?;
    let connection = scene.connect("dave", Windows::USUAL).await?;
    let list = ListMessagesRequest {
        conversation_id: scene.id.clone(),
        page_size: 200,
        ..ListMessagesRequest::default()
    };
    let mut answers = Vec::new();
    for _ in 0..STREAMS {
        answers.push(connection.call(&list).await?);
    }
    let waiting = format!("{STREAMS} answers wait");
    Violation::unless(scene.value(used).await? > bytes + 2.0 * KEPT_BYTES, || waiting)?;
    for answer in &mut answers {
        answer.reset().await?;
    }
    scene.becomes(used, |now| now < bytes + KEPT_BYTES).await?;
    scene.say("still here").await
}

/// Clients that stop reading their sockets, with many streams each: not even
/// resets can be told, so their connections end.
async fn whole_sockets(scene: &mut Scene) -> Checked {
    let open = "confab_connections{port=\"public\"}";
    let closed = "confab_connections_closed_total{port=\"public\",cause=\"takes nothing\"}";
    let used = "confab_allocator_allocated_bytes";
    let connections = scene.value(open).await?;
    let streams = scene.value("confab_streams_active").await?;
    let bytes = scene.value(used).await?;
    let windows = Windows { stream: 16 << 20, socket: 4096, ..Windows::USUAL };
    let mut frozen = Vec::new();
    for user in USERS {
        let connection = scene.connect(user, windows).await?;
        for _ in 0..STREAMS {
            let mut reader = connection.watch(scene.hello_at_head()).await?;
            synced(&mut reader, &scene.id).await?;
            frozen.push(reader);
        }
        connection.freeze();
        std::mem::forget(connection);
    }
    scene.storm().await?;
    scene.becomes(open, |now| now <= connections).await?;
    scene.becomes("confab_streams_active", |now| now <= streams).await?;
    scene.becomes(closed, |now| now >= 4.0).await?;
    scene.becomes(used, |now| now < bytes + KEPT_BYTES).await?;
    scene.say("still here").await
}

/// The ways to read slowly that a check goes through.
#[derive(Clone, Copy)]
enum Way {
    Stream,
    Answer,
    Socket,
    Goodbye,
}

async fn check(shape: Shape, mutant: Option<&str>, ways: &[Way]) -> Checked {
    check_at((shape, Entry::Streams), mutant, ways).await
}

async fn check_at(place: (Shape, Entry), mutant: Option<&str>, ways: &[Way]) -> Checked {
    // Streams that are reset for their queue must not be reset for this before.
    let is_answer = |way: &Way| matches!(way, Way::Answer);
    let stall = if ways.iter().any(is_answer) { "ANSWER" } else { "WRITE" };
    let mut scene = Scene::new(place, stall, mutant).await?;
    for way in ways {
        match way {
            Way::Stream => {
                beside_others(&mut scene).await?;
                alone(&mut scene).await?;
                byte_by_byte(&mut scene).await?;
            }
            Way::Socket => whole_sockets(&mut scene).await?,
            Way::Answer => answers(&mut scene).await?,
            Way::Goodbye => told(&mut scene).await?,
        }
        scene.becomes("confab_streams_active", |now| now <= 1.0).await?;
    }
    drop(scene.alice);
    scene.confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_hurts_only_itself() {
    let checked = check(Shape::Single, None, &[Way::Stream, Way::Socket, Way::Goodbye]);
    let checked = within(WHOLE, "slow readers", checked).await;
    checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_are_reset() {
    let checked = within(WHOLE, "answers", check(Shape::Single, None, &[Way::Answer])).await;
    checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_hurts_only_itself_in_a_cluster() {
    let test = "promises::p6_slow_reader::a_slow_reader_hurts_only_itself_in_a_cluster";
    if can_be_clustered(test).await {
        let ways = [Way::Stream, Way::Socket, Way::Goodbye];
        let checked = within(WHOLE, test, Box::pin(check(Shape::Cluster, None, &ways))).await;
        checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_elsewhere_hurts_only_itself() {
    let place = (Shape::Mesh, Entry::Elsewhere);
    let checked = check_at(place, None, &[Way::Stream]);
    let checked = within(WHOLE, "slow readers elsewhere", checked).await;
    checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
    let mutant = "reset-not-passed-on";
    must_be_caught(mutant, check_at(place, Some(mutant), &[Way::Stream]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_browser_hurts_only_itself() {
    let place = (Shape::Single, Entry::Gateway);
    let checked = check_at(place, None, &[Way::Stream]);
    let checked = within(WHOLE, "slow browsers", checked).await;
    checked.flatten().unwrap_or_else(|violation| panic!("{violation}"));
    let mutant = "unbounded-outbox";
    must_be_caught(mutant, check_at(place, Some(mutant), &[Way::Stream]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_a_bound_is_caught() {
    let mutant = "unbounded-outbox";
    must_be_caught(mutant, check(Shape::Single, Some(mutant), &[Way::Stream]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_never_reset_are_caught() {
    let mutant = "slow-no-reset";
    must_be_caught(mutant, check(Shape::Single, Some(mutant), &[Way::Stream]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn resetting_the_wrong_stream_is_caught() {
    let mutant = "reset-wrong-stream";
    must_be_caught(mutant, check(Shape::Single, Some(mutant), &[Way::Stream]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_for_ever_are_caught() {
    let mutant = "stall-unnoticed";
    must_be_caught(mutant, check(Shape::Single, Some(mutant), &[Way::Answer]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_take_nothing_for_ever_are_caught() {
    let mutant = "stall-unnoticed";
    must_be_caught(mutant, check(Shape::Single, Some(mutant), &[Way::Socket]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_is_not_told_is_caught() {
    let mutant = "slow-no-goodbye";
    must_be_caught(mutant, check(Shape::Single, Some(mutant), &[Way::Goodbye]).await);
}
