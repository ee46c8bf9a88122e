//! A clock that was wrong once: what stays of it, and who is told.

use confab_kit::{clock, error::Reason};
use confab_proto::participants::v1::MuteParticipantRequest;
use confab_tests::harness::{Checked, Node, Violation, eventually};

use super::{PATIENCE, operations::holds, refused};
use crate::promises::program;

const HOUR: i64 = 3_600_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_is_told_of() -> Checked {
    let options = program(Some("clock-a-day-ahead")).allow("far ahead of the clock");
    let mut node = Node::start(options).await?;
    let alice = node.client("dev", "alice").await?;
    let id = alice.create_group("group", &["bob"]).await?.conversation_id;
    let ahead = alice.send(&id, "from tomorrow").await?.create_time.unwrap_or_default();
    node.mutate(None);
    node.restart().await?;

    let alice = node.client("dev", "alice").await?;
    let mute = |until: i64| MuteParticipantRequest {
        conversation_id: id.clone(),
        user_id: "bob".to_owned(),
        until: Some(clock::timestamp(until)),
        ..Default::default()
    };
    let now = clock::now_micros();
    let error = refused(alice.command(mute(now + HOUR)).await, Reason::InvalidArgument)?;
    holds(&error.to_string(), &format!("the conversation's time is {ahead}"))?;
    let told = || async {
        let told = |line: &String| {
            line.contains("\"WARN\"") && line.contains(&id) && line.contains("ahead_seconds")
        };
        Ok(node.log().lines().iter().any(told).then_some(()))
    };
    Violation::unless(told().await?.is_none(), || "it was told before anything was appended")?;
    alice.command(mute(now + 25 * HOUR)).await?;
    eventually(PATIENCE, "a warning", told).await?;
    node.finish()
}
