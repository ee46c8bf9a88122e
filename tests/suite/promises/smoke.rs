//! The harness itself: a node starts, answers, is killed, and comes back.

use std::time::Duration;

use confab_client::{Client, ClientOptions};
use confab_tests::harness::{Checked, Node, Violation};

use super::program;

async fn run() -> Checked {
    let mut node = Node::start(program(None)).await?;
    let proxy = node.proxy().await?;
    let token = node.tokens()?.user("dev", "alice");
    let alice = Client::connect(ClientOptions::new(proxy.uri()).token(token)).await?;
    let id = alice.create_group("smoke", &["bob"]).await?.conversation_id;
    let first = alice.send(&id, "hello").await?;
    node.kill9();
    node.restart().await?;
    let (events, head) = alice.events_after(&id, 0, 100).await?;
    Violation::unless(head == first.seq && events.len() == 2, || format!("{events:?}"))?;
    node.terminate(Duration::from_secs(20)).await?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back() {
    run().await.unwrap_or_else(|violation| panic!("{violation}"));
}
