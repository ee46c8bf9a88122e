//! One budget over two processes, as long as they have a Redis to count in; without it
//! each counts by itself, and no call fails for that.

use std::time::Duration;

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::conversations::v1::ListConversationsRequest;
use confab_tests::harness::{
    Checked, Node, Violation,
    backends::{self, Redis},
    eventually,
};

use super::{caught, passes, refused};
use crate::{
    mesh::redis::over,
    promises::{WHOLE, once, program},
};

/// Calls an hour: in the time of a test none comes back.
const CALLS: u32 = 20;

/// Two processes that know nothing of each other but a Redis.
struct Pair {
    nodes: [Node; 2],
    clients: [Client; 2],
    _keys: tempfile::TempDir,
}

impl Pair {
    async fn new(redis: &Redis, mutant: Option<&str>) -> Checked<Self> {
        let keys = tempfile::tempdir().map_err(Violation::unable)?;
        let options = over(redis, program(mutant))
            .env("CONFAB_RATES__ENABLED", "true")
            .env("CONFAB_RATES__READ", &format!("{{per_minute=0,per_hour={CALLS}}}"))
            .keys_dir(keys.path());
        let nodes = [Node::start(options.clone()).await?, Node::start(options.clone()).await?];
        let clients =
            [nodes[0].client("acme", "alice").await?, nodes[1].client("acme", "alice").await?];
        Ok(Self { nodes, clients, _keys: keys })
    }

    /// How many calls pass in a process before one is refused.
    async fn use_up(&self, process: usize, most: u32) -> Checked<u32> {
        let client = &self.clients[process];
        for passed in 0..most {
            if let Err(error) = once(client, ListConversationsRequest::default()).await {
                let error = refused::<()>(Err(error), Reason::RateLimited)?;
                let delay = error.retry_after().unwrap_or_default();
                // One comes back every three minutes.
                let least = Duration::from_hours(1) / CALLS / 2;
                Violation::unless(delay > least && delay <= least * 2, || {
                    format!("refused for {delay:?}")
                })?;
                return Ok(passed);
            }
        }
        Ok(most)
    }

    /// Waits until both count in Redis, which the process says when it is back.
    async fn counts_together(&self) -> Checked {
        for node in &self.nodes {
            eventually(WHOLE, "shared budgets", || async {
                let up = node.scrape().await?.value("confab_budgets_shared");
                Ok((up > 0.0).then_some(()))
            })
            .await?;
        }
        Ok(())
    }
}

async fn check(mut redis: Redis, mutant: Option<&str>) -> Checked {
    let pair = Pair::new(&redis, mutant).await?;
    pair.counts_together().await?;
    let first = pair.use_up(0, CALLS / 2).await?;
    let second = pair.use_up(1, 2 * CALLS).await?;
    Violation::unless((first, second) == (CALLS / 2, CALLS / 2), || {
        format!("{first} calls passed here and {second} there, of {CALLS}")
    })?;
    let again = pair.use_up(0, 1).await?;
    Violation::unless(again == 0, || "what was spent there can be spent here")?;
    redis.server().kill9();
    // Each goes on with what it has let through itself.
    for process in [0, 1] {
        let passed = pair.use_up(process, 2 * CALLS).await?;
        Violation::unless(passed == CALLS / 2, || {
            format!("{passed} calls passed in process {process} without a Redis")
        })?;
    }
    // What was counted is gone, like after FLUSHALL: both have one whole budget again.
    redis.server().start().map_err(Violation::unable)?;
    pair.counts_together().await?;
    let last = pair.use_up(0, 2 * CALLS).await? + pair.use_up(1, 2 * CALLS).await?;
    Violation::unless(last == CALLS, || format!("{last} calls passed after a restart"))?;
    // Redis holds its connections and answers nothing: no call waits for it for long.
    redis.server().pause();
    let passed = pair.use_up(0, 2 * CALLS).await?;
    Violation::unless(passed < CALLS, || "a Redis that does not answer gives a budget")?;
    redis.server().resume();
    let Pair { nodes, .. } = pair;
    nodes.into_iter().try_for_each(Node::finish)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_have_one_budget_and_without_redis_one_each() {
    let test = "identity::shared_budgets::two_processes_have_one_budget_and_without_redis_one_each";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return };
    passes(check(redis, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_of_each_process_alone_are_caught() {
    let test = "identity::shared_budgets::budgets_of_each_process_alone_are_caught";
    let Some(redis) = backends::own_redis_or_skip(test).await else { return };
    caught("budgets-not-shared", check(redis, Some("budgets-not-shared"))).await;
}
