//! The README's first conversation, as it is written there, with a gRPC client
//! that is not ours: `buf curl`, over reflection.

use std::{process::Stdio, time::Duration};

use confab_tests::harness::{Checked, Node, Violation, skipped, within};
use tokio::process::Command;

use super::promises::program;

const TEST: &str = "first_conversation::the_first_conversation_of_the_readme_works";
const README: &str = include_str!("../../README.md");
const MARK: &str = "<!-- test: first_conversation -->";

/// The block of commands below the mark.
fn commands() -> Checked<&'static str> {
    let below = README.split_once(MARK).map(|(_, below)| below);
    let block = below.and_then(|below| below.split_once("```sh\n")).map(|(_, block)| block);
    let block = block.and_then(|block| block.split_once("\n```")).map(|(block, _)| block);
    block.ok_or_else(|| Violation::broken(format!("README.md has no block below {MARK}")))
}

async fn has_buf() -> bool {
    let version = Command::new("buf").arg("--version").stdout(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}

async fn run() -> Checked {
    let node = Node::start(program(None)).await?;
    let tokens = node.tokens()?;
    let shell = Command::new("sh")
        .args(["-e", "-u", "-c", commands()?])
        .env("CONFAB", node.public().to_string())
        .env("ALICE", tokens.user("dev", "alice"))
        .env("BOB", tokens.user("dev", "bob"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = within(Duration::from_mins(1), "the README's commands", shell).await?;
    let output = output.map_err(Violation::unable)?;
    let said = String::from_utf8_lossy(&output.stdout).replace(' ', "");
    let complained = String::from_utf8_lossy(&output.stderr);
    Violation::unless(output.status.success(), || {
        format!("the commands end with {}: {complained}\n{said}", output.status)
    })?;
    // Alice's message, Bob's list, Bob's answer, and Alice's stream with all of it.
    for (text, times) in [
        ("\"text\":\"hello,bob\"", 3),
        ("\"unreadCount\":\"1\"", 1),
        ("\"text\":\"hello,alice\"", 2),
        ("\"welcome\":", 1),
        ("\"conversationCreated\":", 1),
        ("\"messageCreated\":", 2),
        ("\"synced\":", 2),
    ] {
        let found = said.matches(text).count();
        Violation::unless(found == times, || {
            format!("{text} is there {found} times, not {times}:\n{said}")
        })?;
    }
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_conversation_of_the_readme_works() {
    if !has_buf().await {
        return skipped(TEST, "buf is not installed (npm package @bufbuild/buf)");
    }
    run().await.unwrap_or_else(|violation| panic!("{violation}"));
}
