//! The whole program on a real CQL server: two users write to each other, the
//! process is killed, and another one on an empty data folder goes on.

use std::time::Duration;

use confab_tests::harness::{Checked, Node, NodeOptions, Violation, backends, within};

use super::new_name;
use crate::promises::program;

/// A program on a keyspace of its own.
fn on(addresses: &backends::CqlAddresses, keyspace: &str) -> NodeOptions {
    let points = format!("[{}]", addresses.0.join(","));
    program(None)
        .env("CONFAB_STORE__KIND", "cql")
        .env("CONFAB_STORE__CQL__CONTACT_POINTS", &points)
        .env("CONFAB_STORE__CQL__KEYSPACE", keyspace)
        // The whole suite runs beside it.
        .env("CONFAB_STORE__CQL__REQUEST_TIMEOUT_MS", "20000")
        .env("CONFAB_STORE__CQL__PARTITION_ROWS", "4")
}

async fn run(addresses: &backends::CqlAddresses) -> Checked {
    let mut node = Node::start(on(addresses, &new_name())).await?;
    let (alice, bob) = (node.client("dev", "alice").await?, node.client("dev", "bob").await?);
    let id = alice.create_group("tea", &["bob"]).await?.conversation_id;
    for number in 0..6 {
        alice.send(&id, format!("from alice {number}")).await?;
        bob.send(&id, format!("from bob {number}")).await?;
    }
    let before = alice.events_after(&id, 0, 100).await?;
    Violation::unless(before.1 == 13, || format!("{before:?}"))?;
    node.kill9();
    node.restart().await?;
    let alice = node.client("dev", "alice").await?;
    let after = alice.events_after(&id, 0, 100).await?;
    Violation::unless(before == after, || format!("{before:?}\n{after:?}"))?;
    let next = alice.send(&id, "back").await?;
    Violation::unless(next.seq == 14, || format!("{next:?}"))?;
    node.terminate(Duration::from_secs(20)).await?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_on_a_cql_server_outlives_its_process() {
    let test = "stores::smoke::a_chat_on_a_cql_server_outlives_its_process";
    let Some(addresses) = backends::cql_or_skip(test).await else { return };
    let checked = within(Duration::from_mins(3), "the chat", run(&addresses)).await;
    checked.and_then(|checked| checked).unwrap_or_else(|violation| panic!("{violation}"));
}
