//! Who is here, in two processes that have nothing in common but a Redis: each has all
//! roles and a store of its own, and the same two people in a conversation.

use std::{collections::BTreeMap, time::Duration};

use confab_client::Client;
use confab_proto::realtime::v1::{
    Hello, Presence, PresenceStatus, SetPresenceRequest, connect_response::Frame,
};
use confab_tests::harness::{
    Checked, Node, Violation,
    backends::{self, Redis},
    eventually, within,
};
use tokio::time::sleep;

use super::redis::{flush, over};
use crate::promises::{
    WHOLE, caught, once, program,
    raw_stream::{Brought, RawStream, Way},
};

use PresenceStatus::{Away, Offline, Online};

/// A process that was killed is gone after 20 s; one that was forgotten writes all
/// again after 5 s.
const KILLED: Duration = Duration::from_mins(1);
const FORGOTTEN: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

struct Pair {
    nodes: [Node; 2],
    _keys: tempfile::TempDir,
}

impl Pair {
    async fn new(redis: &Redis, mutant: Option<&str>) -> Checked<Self> {
        let keys = tempfile::tempdir().map_err(Violation::unable)?;
        let options = over(redis, program(mutant)).keys_dir(keys.path());
        let nodes = [Node::start(options.clone()).await?, Node::start(options).await?];
        for node in &nodes {
            shares(node).await?;
            node.client("dev", "alice").await?.open_direct("bob").await?;
        }
        Ok(Self { nodes, _keys: keys })
    }

    async fn bob(&self, process: usize) -> Checked<Client> {
        self.nodes[process].client("dev", "bob").await
    }

    /// Bob is here until this is dropped.
    async fn arrive(&self, process: usize) -> Checked<RawStream> {
        let bob = self.bob(process).await?;
        Ok(Box::pin(RawStream::watch(&bob, &BTreeMap::new())).await??)
    }

    /// A stream of alice's that watches bob, and how he looks at first.
    async fn watch(&self, process: usize) -> Checked<(RawStream, Presence)> {
        let alice = self.nodes[process].client("dev", "alice").await?;
        let hello = Hello { presence: vec!["bob".to_owned()], ..Hello::default() };
        let mut stream = Box::pin(RawStream::open(&alice, Way::Connect, hello)).await??;
        let seen = shown(&mut stream).await?;
        Ok((stream, seen))
    }

    async fn looks(&self, process: usize, status: PresenceStatus, text: &str) -> Checked {
        let (_, seen) = Box::pin(self.watch(process)).await?;
        is(&seen, status, text)
    }

    async fn comes_to_look(
        &self,
        limit: Duration,
        process: usize,
        status: PresenceStatus,
        text: &str,
    ) -> Checked {
        let what = format!("bob is {status:?} at process {process}");
        eventually(limit, &what, || async {
            let (_, seen) = Box::pin(self.watch(process)).await?;
            let right = is(&seen, status, text).is_ok();
            if !right {
                sleep(PAUSE).await;
            }
            Ok(right.then_some(()))
        })
        .await
    }

    async fn says(&self, process: usize, status: PresenceStatus, text: &str) -> Checked {
        let request = SetPresenceRequest { status: status.into(), text: text.to_owned() };
        let set = once(&self.bob(process).await?, request).await?.presence.unwrap_or_default();
        is(&set, status, text)
    }
}

/// Waits until the process shares what it knows.
async fn shares(node: &Node) -> Checked {
    eventually(WHOLE, "shared rooms", || async {
        Ok((node.scrape().await?.value("confab_rooms_shared") > 0.0).then_some(()))
    })
    .await
}

/// The next that is shown of bob.
async fn shown(stream: &mut RawStream) -> Checked<Presence> {
    let looking = async {
        loop {
            match stream.next().await? {
                Brought::Other(frame) => {
                    if let Frame::Presence(presence) = *frame {
                        return Ok(presence);
                    }
                }
                Brought::Event(_) => {}
                other => return Err(Violation::broken(format!("{other:?}"))),
            }
        }
    };
    within(WHOLE, "presence", looking).await?
}

fn is(seen: &Presence, status: PresenceStatus, text: &str) -> Checked {
    let right = seen.status() == status && seen.text == text;
    Violation::unless(right, || format!("{seen:?} is not {status:?} {text:?}"))
}

/// Bob is at the first process, and is seen and speaks at the second; Redis forgets it.
async fn seen_and_flushed(pair: &Pair, redis: &Redis) -> Checked<RawStream> {
    let bob = pair.arrive(0).await?;
    pair.looks(1, Online, "").await?;
    pair.says(1, Away, "lunch").await?;
    pair.looks(0, Away, "lunch").await?;
    let (mut alice, seen) = pair.watch(1).await?;
    is(&seen, Away, "lunch")?;
    pair.says(0, Online, "back").await?;
    is(&shown(&mut alice).await?, Online, "back")?;
    flush(redis).await?;
    pair.comes_to_look(FORGOTTEN, 1, Online, "back").await?;
    Ok(bob)
}

async fn forgets(redis: &Redis, mutant: &str) -> Checked {
    let pair = Pair::new(redis, Some(mutant)).await?;
    seen_and_flushed(&pair, redis).await.map(drop)
}

async fn run(redis: &mut Redis) -> Checked {
    let mut pair = Pair::new(redis, None).await?;
    let bob = seen_and_flushed(&pair, redis).await?;
    // At both; then only at the second one, for who watches at either.
    let _second = pair.arrive(1).await?;
    drop(bob);
    eventually(WHOLE, "nobody at the first process", || async {
        let present = pair.nodes[0].scrape().await?.value("confab_users_present");
        Ok((present == 0.0).then_some(()))
    })
    .await?;
    pair.looks(0, Online, "back").await?;
    pair.looks(1, Online, "back").await?;
    // A process that says nothing more takes its users with it.
    pair.nodes[1].kill9();
    pair.looks(0, Online, "back").await?;
    pair.comes_to_look(KILLED, 0, Offline, "").await?;
    pair.nodes[1].restart().await?;
    shares(&pair.nodes[1]).await?;
    // Without a Redis each process knows its own, and no call fails.
    redis.server().kill9();
    let _bob = pair.arrive(0).await?;
    pair.says(0, Away, "lunch").await?;
    pair.looks(0, Away, "lunch").await?;
    pair.looks(1, Offline, "").await?;
    redis.server().start().map_err(Violation::unable)?;
    pair.comes_to_look(FORGOTTEN, 1, Away, "lunch").await?;
    pair.nodes.into_iter().try_for_each(Node::finish)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_show_the_same_people() -> Checked {
    let test = "mesh::presence::two_processes_show_the_same_people";
    let Some(mut redis) = backends::own_redis_or_skip(test).await else { return Ok(()) };
    within(WHOLE, test, Box::pin(run(&mut redis))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_know_only_their_own_are_caught() {
    let test = "mesh::presence::processes_that_know_only_their_own_are_caught";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return };
    for mutant in ["room-forgets-others", "room-not-rebuilt"] {
        caught(mutant, forgets(&redis, mutant)).await;
    }
}
