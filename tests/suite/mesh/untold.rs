//! A process that dies between the append and the publish: an event stands in the log,
//! and nobody was told. Streams at other processes get it all the same, without anybody
//! sending or reading anything.

use std::time::Duration;

use confab_client::{Client, EventStream, StreamOptions, Update};
use confab_kit::role::Role;
use confab_tests::harness::{Checked, Deployment, Node, Shape, Violation, eventually, within};

use crate::promises::{WHOLE, among_kills, can_be_clustered, caught, once, p3_idempotent::send};

/// Nothing that was appended is told of for more than a second with this one, which
/// breaks nothing: time to end the process.
const LATE: &str = "late-publish";
const HEAL_MS: &str = "1500";
/// To heal, on a machine that does other things, too.
const HEALED: Duration = Duration::from_secs(15);
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
async fn die_untold(node: &mut Node, client: Client, id: &str) -> Checked {
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

async fn run(mutant: Option<&str>) -> Checked {
    let mutants = mutant.map(|mutant| format!("{LATE},{mutant}"));
    // The program itself is late, too; its log is looked at.
    let options = among_kills(mutants.as_deref())
        .env("CONFAB_MUTANT", LATE)
        .env("CONFAB_LIMITS__HEAL_MS", HEAL_MS);
    let mut confab = Deployment::start(Shape::Cluster, options).await?;
    let owner = confab.client("dev", "owner").await?;
    let id = owner.create_group("untold", &["alice"]).await?.conversation_id;
    let mut streams = streams(&confab, &id).await?;

    // Whose the conversation is shows by who appends.
    let told = owner.send(&id, "told").await?.seq;
    for stream in &mut streams {
        event(stream, told).await?;
    }
    let mut appender = None;
    for node in confab.all_of_mut(Role::Messages) {
        if appended(node).await? > 0 {
            appender = Some(node);
        }
    }
    let node = appender.ok_or_else(|| Violation::unable("nobody has appended"))?;
    // Straight to it: any other entry would try again at the other one.
    let client = node.client("dev", "owner").await?;
    die_untold(node, client, &id).await?;

    for stream in &mut streams {
        event(stream, told + 1).await?;
    }
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_told_nobody_before_it_died_arrives() -> Checked {
    if can_be_clustered("mesh::untold::what_a_process_told_nobody_before_it_died_arrives").await {
        within(WHOLE, "an event that nobody was told of", Box::pin(run(None))).await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_never_ask_are_caught() {
    if can_be_clustered("mesh::untold::streams_that_never_ask_are_caught").await {
        // Streams that are new may still look for what others said when they came.
        let mutant = "never-heals,heads-not-doubted";
        caught(mutant, run(Some(mutant))).await;
    }
}
