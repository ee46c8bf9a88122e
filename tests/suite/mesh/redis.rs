//! A mesh with a Redis that is flushed, killed and stopped under load: calls go on,
//! nothing is lost on the way to a stream, and all of it heals by itself.

use std::{collections::BTreeMap, time::Duration};

use confab_client::{Client, StreamOptions, Update};
use confab_kit::role::Role;
use confab_tests::harness::{
    Checked, Deployment, NodeOptions, Seed, Shape, Violation,
    backends::{self, Redis},
    eventually, ops, within,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use super::crowd::Crowd;
use crate::promises::{WHOLE, all_ended, among_kills, caught};

/// A stream looks at the log by itself 15 s after its beginning, not before.
const BEFORE_ANY_LOOK: Duration = Duration::from_secs(12);

fn options(redis: &Redis, mutant: Option<&str>) -> NodeOptions {
    over(redis, among_kills(mutant))
}

/// The same, over a Redis that does not stay as it is.
pub(crate) fn over(redis: &Redis, options: NodeOptions) -> NodeOptions {
    let url = format!("redis://{}", redis.address());
    let options = options.env("CONFAB_REDIS__URL", &url);
    let complaints =
        ["redis is lost", "dependency is lost", "budgets are not shared", "rooms are not shared"];
    complaints.into_iter().fold(options, NodeOptions::allow)
}

pub(super) async fn flush(redis: &Redis) -> Checked {
    let answer = command(&redis.address().to_string(), &[b"FLUSHALL"]).await?;
    Violation::unless(answer == "+OK", || format!("{answer:?} to FLUSHALL"))
}

/// A command, and the first line of its answer.
pub(crate) async fn command(address: &str, words: &[&[u8]]) -> Checked<String> {
    let stream = TcpStream::connect(address).await.map_err(Violation::unable)?;
    let mut stream = BufReader::new(stream);
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend(format!("${}\r\n", word.len()).into_bytes());
        command.extend([word, &b"\r\n"[..]].concat());
    }
    stream.write_all(&command).await.map_err(Violation::unable)?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await.map_err(Violation::unable)?;
    let refused = answer.starts_with('-');
    Violation::unless(!refused, || format!("{answer:?} to {words:?}"))?;
    Ok(answer.trim_end().to_owned())
}

/// What a process says of itself, and of its Redis.
async fn status(confab: &Deployment, role: Role, status: &str) -> Checked {
    let (what, ops) = (format!("{role} is {status}"), confab.of(role).ops());
    let sought = format!("\"status\":\"{status}\",\"checks\"");
    eventually(WHOLE, &what, || async {
        let report = ops::get(ops, "/readyz").await?;
        let ready = report.starts_with("HTTP/1.1 200");
        Violation::unless(ready, || format!("{role} is not ready: {report}"))?;
        Ok(report.contains(&sought).then_some(()))
    })
    .await
}

/// Follows conversations until all events up to the heads have come, each in its turn.
async fn follow(
    client: Client,
    ids: Vec<String>,
    mut heads: watch::Receiver<Option<BTreeMap<String, u64>>>,
) -> Checked {
    let mut options = StreamOptions::default();
    for id in &ids {
        options = options.watching(id, 0);
    }
    let mut stream = client.stream(options);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let all = |seen: &BTreeMap<String, u64>, heads: &Option<BTreeMap<String, u64>>| {
        let reached = |(id, head): (&String, &u64)| seen.get(id) >= Some(head);
        heads.as_ref().is_some_and(|heads| heads.iter().all(reached))
    };
    while !all(&seen, &heads.borrow()) {
        let update = tokio::select! {
            update = stream.next() => update,
            _ = heads.changed() => continue,
        };
        let Some(update) = update else {
            return Err(Violation::broken("the stream has ended"));
        };
        let Update::Event(event) = update? else { continue };
        let cursor = seen.entry(event.conversation_id.clone()).or_default();
        Violation::unless(event.seq == *cursor + 1, || {
            format!("event {} comes after {cursor}", event.seq)
        })?;
        *cursor = event.seq;
    }
    Ok(())
}

async fn storm(redis: &mut Redis) -> Checked {
    let confab = Deployment::start(Shape::Mesh, options(redis, None)).await?;
    let mut crowd = Crowd::gather(&confab, Seed::of("redis")).await?;
    let ids = crowd.load.conversations.clone();
    let (tell, heads) = watch::channel(None);
    let mut readers = JoinSet::new();
    for name in ["alice", "bob"] {
        let client = confab.of(Role::Realtime).client("dev", name).await?;
        readers.spawn(follow(client, ids.clone(), heads.clone()));
    }
    crowd.answered(50).await?;
    flush(redis).await?;
    crowd.answered(50).await?;
    redis.server().kill9();
    for role in Role::ALL {
        status(&confab, role, "degraded").await?;
    }
    crowd.answered(50).await?;
    redis.server().start().map_err(Violation::unable)?;
    confab.meet().await?;
    crowd.answered(50).await?;
    redis.server().pause();
    status(&confab, Role::Realtime, "degraded").await?;
    crowd.answered(50).await?;
    redis.server().resume();
    confab.meet().await?;
    crowd.answered(50).await?;
    let owner = crowd.owner.clone();
    crowd.check().await?;
    let mut last = BTreeMap::new();
    for id in ids {
        let (_, head) = owner.events_after(&id, 0, 1).await?;
        last.insert(id, head);
    }
    tell.send_replace(Some(last));
    all_ended(readers, WHOLE, "streams that have everything").await?;
    let heard = confab.of(Role::Realtime).scrape().await?.count("confab_bus_received_total");
    Violation::unless(heard > 0, || "nothing came over Redis")?;
    confab.finish()
}

/// The last message before a silence, sent while Redis is away: nothing follows it that
/// would show the hole.
async fn silence(redis: &mut Redis, mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(Shape::Mesh, options(redis, mutant)).await?;
    let owner = confab.of(Role::Messages).client("dev", "owner").await?;
    let id = owner.create_group("silence", &["alice"]).await?.conversation_id;
    let (tell, heads) = watch::channel(None);
    let reader = confab.of(Role::Realtime).client("dev", "alice").await?;
    let reading = tokio::spawn(follow(reader, vec![id.clone()], heads));
    let (role, opened) = (Role::Realtime, "confab_streams_active");
    eventually(WHOLE, "a stream", || async {
        let streams = confab.of(role).scrape().await?.value(opened);
        Ok((streams > 0.0).then_some(()))
    })
    .await?;
    redis.server().kill9();
    status(&confab, Role::Realtime, "degraded").await?;
    status(&confab, Role::Messages, "degraded").await?;
    let sent = owner.send(&id, "is anybody there?").await?;
    redis.server().start().map_err(Violation::unable)?;
    tell.send_replace(Some(BTreeMap::from([(id, sent.seq)])));
    let read = within(BEFORE_ANY_LOOK, "the last message before a silence", reading).await?;
    read.map_err(Violation::unable)??;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_flushed_killed_and_stopped_costs_nothing() -> Checked {
    let test = "mesh::redis::a_redis_that_is_flushed_killed_and_stopped_costs_nothing";
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, Box::pin(storm(&mut redis))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_before_a_silence_arrives() -> Checked {
    let test = "mesh::redis::the_last_message_before_a_silence_arrives";
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, Box::pin(silence(&mut redis, None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_signals_in_silence_is_caught() {
    let test = "mesh::redis::losing_signals_in_silence_is_caught";
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return };
    let mutant = "bus-reconnects-silently,bus-hides-losses";
    caught(mutant, silence(&mut redis, Some(mutant))).await;
}
