//! The long version: three CQL servers with three replicas of everything, one of which
//! is killed under load. Two are a quorum: nothing has to wait for it, and nothing that
//! was acknowledged depends on it. The mutant asks all three. That the check itself sees
//! what is lost or done twice, the same crowd shows beside this (`cql_away`, `parted`).

use std::time::Duration;

use confab_tests::harness::{
    Checked, Deployment, Seed, Violation,
    backends::{self, Cassandra},
    effort, must_be_caught, skipped, within,
};
use tokio::task::block_in_place;

use super::crowd::Crowd;
use crate::promises::{WHOLE, among_kills};

const REPLICATION: &str = "{'class': 'SimpleStrategy', 'replication_factor': 3}";

/// For answers while a server is away: those that it was asked for come from others.
const WITHOUT_IT: Duration = Duration::from_mins(1);

async fn run(servers: &mut Cassandra, mutant: Option<&str>) -> Checked {
    // The driver tells of each try to connect, and whoever sweeps that it could not.
    let options = among_kills(mutant)
        .allow("scylla::")
        .allow("the sweep did not end")
        .env("CONFAB_STORE__CQL__REQUEST_TIMEOUT_MS", "20000")
        .env("CONFAB_STORE__CQL__REPLICATION", &format!("\"{REPLICATION}\""));
    let confab = Deployment::cluster_on(&servers.addresses(), options).await?;
    let mut crowd = Crowd::gather(&confab, Seed::of("replicas")).await?;
    crowd.answered(100).await?;
    for killed in [2, 1] {
        servers.node(killed).kill9();
        within(WITHOUT_IT, "answers without a server", crowd.answered(200)).await??;
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
        Ok(mut servers) => {
            let held = Box::pin(run(&mut servers, None));
            within(4 * WHOLE, "a server less", held).await??;
            let mutant = "ask-all-replicas";
            let held = Box::pin(run(&mut servers, Some(mutant)));
            must_be_caught(mutant, within(4 * WHOLE, mutant, held).await.flatten());
            Ok(())
        }
        Err(why) => {
            skipped(test, &why);
            Ok(())
        }
    }
}
