//! A CQL server that is stopped in its tracks, and killed, under load: whoever asks
//! meanwhile is told so, nothing acknowledged is lost, and everything goes on by itself.

use std::time::Duration;

use confab_client::{Client, Error};
use confab_proto::errors::v1::Reason;
use confab_tests::harness::{
    Checked, Deployment, Seed, Violation,
    backends::{self, Cassandra},
    eventually, skipped, within,
};
use futures_util::future::try_join_all;
use tokio::task::block_in_place;
use tonic::{Code, Request};

use super::crowd::Crowd;
use crate::promises::{WHOLE, among_kills, caught, p3_idempotent::send};

/// How long it may take to find out that a server is away.
const FOUND_OUT: Duration = Duration::from_secs(20);

/// Asked without a deadline that could end before the server's own patience.
const SENDS: usize = 3;
/// What they may be told while there is no server.
const TOLD: [Reason; 3] =
    [Reason::OutcomeUnknown, Reason::StoreUnavailable, Reason::PeerUnavailable];

/// Every process says that it cannot serve, and sends end with a reason that says
/// whether they may have happened.
async fn is_told(confab: &Deployment, client: &Client, id: &str, name: &str) -> Checked {
    let unready = confab.nodes().map(|node| {
        eventually(FOUND_OUT, "not ready", async || {
            let (status, report) = node.get("/readyz").await?;
            Ok((status == 503 && report.contains("unhealthy")).then_some(()))
        })
    });
    let sends = (0..SENDS).map(async |number| {
        let mut request = Request::new(send(id, &format!("{name}-{number}"), 0, "to nobody"));
        request.set_timeout(WHOLE);
        let answer = client.messages().send_message(request).await.map_err(Error::from);
        let error = answer.as_ref().err();
        let reason = error.and_then(Error::reason);
        let told = error.and_then(Error::code) == Some(Code::Unavailable)
            && reason.is_some_and(|reason| TOLD.contains(&reason));
        Violation::unless(told, || format!("without a server a send got {answer:?}"))
    });
    tokio::try_join!(try_join_all(unready), try_join_all(sends)).map(drop)
}

/// The server is paused, and then killed; under a mutant only paused, and more often: not
/// every pause leaves open whether something was done.
async fn run(server: &mut Cassandra, mutant: Option<&str>) -> Checked {
    // The driver tells of each try to connect, and whoever sweeps that it could not.
    let options = among_kills(mutant).allow("scylla::").allow("the sweep did not end");
    let confab = Deployment::cluster_on(&server.addresses(), options).await?;
    let mut crowd = Crowd::gather(&confab, Seed::of("cql-away")).await?;
    let client = confab.lasting_client("dev", "late").await?;
    let id = client.create_group("late", &[]).await?.conversation_id;
    crowd.answered(50).await?;
    let pauses = if mutant.is_some() { 3 } else { 1 };
    for number in 0..pauses {
        server.node(0).pause();
        is_told(&confab, &client, &id, &format!("paused-{number}")).await?;
        server.node(0).resume();
        crowd.answered(50).await?;
    }
    if mutant.is_none() {
        server.node(0).kill9();
        is_told(&confab, &client, &id, "killed").await?;
        block_in_place(|| server.node(0).start()).map_err(Violation::unable)?;
        crowd.answered(50).await?;
    }
    confab.meet().await?;
    crowd.check().await?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cql_server_that_is_away_costs_answers_and_nothing_else() -> Checked {
    let test = "mesh::cql_away::a_cql_server_that_is_away_costs_answers_and_nothing_else";
    if backends::redis_or_skip(test).await.is_none() {
        return Ok(());
    }
    let mut server = match block_in_place(|| Cassandra::start_to_be_killed(1)) {
        Ok(server) => server,
        Err(why) => {
            skipped(test, &why);
            return Ok(());
        }
    };
    within(WHOLE, "a server that is away", Box::pin(run(&mut server, None))).await??;
    // On the same server: to start one takes longer than all the rest.
    let mutant = "no-id-lookup";
    caught(mutant, run(&mut server, Some(mutant))).await;
    Ok(())
}
