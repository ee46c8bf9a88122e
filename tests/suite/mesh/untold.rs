//! A process that dies between the append and the publish: an event stands in the log,
//! and nobody was told. Streams at other processes get it all the same, without anybody
//! sending or reading anything.

use std::time::Duration;

use confab_client::{EventStream, StreamOptions, Update};
use confab_kit::role::Role;
use confab_proto::realtime::v1::{Hello, connect_response::Frame};
use confab_tests::harness::{
    Checked, Deployment, Node, Shape, Violation, effort, eventually, must_be_caught, within,
};

use crate::promises::{
    WHOLE, among_kills, can_be_clustered, caught, once,
    p3_idempotent::send,
    raw_stream::{Brought, RawStream, Way},
};

/// Nothing that was appended is told of for more than a second with this one, which
/// breaks nothing: time to end the process.
const LATE: &str = "late-publish";
const HEAL_MS: &str = "1500";
/// To heal, on a machine that does other things, too.
const HEALED: Duration = Duration::from_secs(15);
/// Between two sweeps of a process are 90 s at most.
const SWEPT: Duration = Duration::from_mins(2);
const APPENDED: &str = "confab_messages_appended_total";

async fn appended(node: &Node) -> Checked<u64> {
    Ok(node.scrape().await?.count(APPENDED))
}

/// The event of this seq gets there. That each is the next one is the client's business.
async fn event(stream: &mut EventStream, seq: u64) -> Checked {
    let event = async {
        loop {
            match stream.next().await {
                Some(Ok(Update::Event(event))) if event.seq == seq => return Ok(()),
                Some(Ok(_)) => {}
                other => return Err(Violation::broken(format!("{other:?}"))),
            }
        }
    };
    within(HEALED, &format!("event {seq}"), event).await?
}

/// A stream at each process that has streams: of those who watch and read nothing else,
/// lest a read of theirs finds the event.
async fn streams(confab: &Deployment, id: &str) -> Checked<Vec<EventStream>> {
    let mut streams = Vec::new();
    for node in confab.entries() {
        let options = StreamOptions::default().watching(id, 0);
        let mut stream = node.client("dev", "alice").await?.stream(options);
        event(&mut stream, 1).await?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Sends through the process that will append it, whose end comes before it has told
/// anybody.
async fn die_untold(confab: &mut Deployment, id: &str) -> Checked {
    let node = appender(confab).await?;
    // Straight to it: any other entry would try again at the other one.
    let client = node.client("dev", "owner").await?;
    let before = appended(node).await?;
    let request = send(id, "untold", 0, "is anybody there?");
    let sending = tokio::spawn(async move { once(&client, request).await });
    eventually(WHOLE, "an append", || async { Ok((appended(node).await? > before).then_some(())) })
        .await?;
    node.kill9();
    match sending.await.map_err(Violation::unable)? {
        Err(_) => Ok(()),
        Ok(_) => Err(Violation::unable("it was told before it ended")),
    }
}

async fn late(mutant: Option<&str>) -> Checked<Deployment> {
    let mutants = mutant.map(|mutant| format!("{LATE},{mutant}"));
    // The program itself is late, too; its log is looked at.
    let options = among_kills(mutants.as_deref())
        .env("CONFAB_MUTANT", LATE)
        .env("CONFAB_LIMITS__HEAL_MS", HEAL_MS);
    Deployment::start(Shape::Cluster, options).await
}

/// The process that has appended messages so far: whose the only conversation is.
async fn appender(confab: &mut Deployment) -> Checked<&mut Node> {
    let mut appender = None;
    for node in confab.all_of_mut(Role::Messages) {
        if appended(node).await? > 0 {
            appender = Some(node);
        }
    }
    appender.ok_or_else(|| Violation::unable("nobody has appended"))
}

/// Streams that watch the conversation ask the log.
async fn watched(mutant: Option<&str>) -> Checked {
    let mut confab = late(mutant).await?;
    let owner = confab.client("dev", "owner").await?;
    let id = owner.create_group("untold", &["alice"]).await?.conversation_id;
    let mut streams = streams(&confab, &id).await?;
    let told = owner.send(&id, "told").await?.seq;
    for stream in &mut streams {
        event(stream, told).await?;
    }
    die_untold(&mut confab, &id).await?;
    for stream in &mut streams {
        event(stream, told + 1).await?;
    }
    confab.finish()
}

/// Of a conversation that nobody watches, whoever sweeps finds it.
async fn unwatched(mutant: Option<&str>) -> Checked {
    let mut confab = late(mutant).await?;
    let owner = confab.client("dev", "owner").await?;
    let id = owner.create_group("untold", &["bob"]).await?.conversation_id;
    let told = owner.send(&id, "told").await?.seq;
    // They come when all is told, and read nothing.
    let mut streams = Vec::new();
    for node in confab.entries() {
        let client = node.client("dev", "bob").await?;
        streams.push(RawStream::open(&client, Way::Connect, Hello::default()).await??);
    }
    die_untold(&mut confab, &id).await?;
    for stream in &mut streams {
        let head = async {
            loop {
                match stream.next().await? {
                    Brought::Other(frame) => match *frame {
                        Frame::Head(head) if head.seq > told => return Ok(()),
                        _ => {}
                    },
                    other => return Err(Violation::broken(format!("{other:?}"))),
                }
            }
        };
        within(SWEPT, "a head", head).await??;
    }
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_told_nobody_before_it_died_arrives() -> Checked {
    if can_be_clustered("mesh::untold::what_a_process_told_nobody_before_it_died_arrives").await {
        within(WHOLE, "an event that nobody was told of", Box::pin(watched(None))).await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_never_ask_are_caught() {
    if can_be_clustered("mesh::untold::streams_that_never_ask_are_caught").await {
        // Streams that are new may still look for what others said when they came.
        let mutant = "never-heals,heads-not-doubted";
        caught(mutant, watched(Some(mutant))).await;
    }
}

/// The long version: a sweep comes once a minute.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_was_told_of_or_watches_is_found_by_a_sweep() -> Checked {
    let test = "mesh::untold::what_nobody_was_told_of_or_watches_is_found_by_a_sweep";
    if effort() < 2 || !can_be_clustered(test).await {
        return Ok(());
    }
    within(2 * WHOLE, "a sweep", Box::pin(unwatched(None))).await??;
    let mutant = "never-heals,heads-not-doubted";
    must_be_caught(mutant, within(2 * WHOLE, mutant, Box::pin(unwatched(Some(mutant)))).await?);
    Ok(())
}
