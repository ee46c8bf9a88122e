//! The long version: three CQL servers with three replicas of everything, one of which
//! is killed under load. Two are a quorum: nothing has to wait for it, and nothing that
//! was acknowledged depends on it.
//!
//! No mutant of ours breaks this: what a quorum holds is the servers' promise, and that
//! we ask for a quorum is what fails here when we do not (`store.cql.preset` has no say
//! in it). That the check itself sees what is lost or done twice, the same crowd shows
//! on mutants beside this (`cql_away`, `parted`).

use confab_tests::harness::{
    Checked, Deployment, Seed, Violation,
    backends::{self, Cassandra},
    effort, skipped, within,
};
use tokio::task::block_in_place;

use super::crowd::Crowd;
use crate::promises::{WHOLE, among_kills};

const REPLICATION: &str = "{'class': 'SimpleStrategy', 'replication_factor': 3}";

async fn run(servers: &mut Cassandra) -> Checked {
    // The driver tells of each try to connect, and whoever sweeps that it could not.
    let options = among_kills(None)
        .allow("scylla::")
        .allow("the sweep did not end")
        .env("CONFAB_STORE__CQL__REQUEST_TIMEOUT_MS", "20000")
        .env("CONFAB_STORE__CQL__REPLICATION", &format!("\"{REPLICATION}\""));
    let confab = Deployment::cluster_on(&servers.addresses(), options).await?;
    let mut crowd = Crowd::gather(&confab, Seed::of("replicas")).await?;
    crowd.answered(100).await?;
    for killed in [2, 1] {
        servers.node(killed).kill9();
        crowd.answered(200).await?;
        block_in_place(|| servers.node(killed).start()).map_err(Violation::unable)?;
        crowd.answered(100).await?;
        confab.meet().await?;
    }
    crowd.check().await?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_servers_is_killed_and_nothing_is_lost() -> Checked {
    // Three servers take a minute to start: CONTRIBUTING.md says how to run it.
    if effort() < 2 {
        return Ok(());
    }
    let test = "mesh::replicas::one_of_three_servers_is_killed_and_nothing_is_lost";
    if backends::redis_or_skip(test).await.is_none() {
        return Ok(());
    }
    match block_in_place(|| Cassandra::start_to_be_killed(3)) {
        Ok(mut servers) => within(4 * WHOLE, "a server less", Box::pin(run(&mut servers))).await?,
        Err(why) => {
            skipped(test, &why);
            Ok(())
        }
    }
}
