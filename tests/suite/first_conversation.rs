//! The README's first conversation, as it is written there, with a gRPC client
//! that is not ours: `buf curl`, over reflection.

use std::{process::Stdio, time::Duration};

use confab_tests::harness::{Checked, Node, Violation, is_installed, skipped, within};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::promises::program;

const TEST: &str = "first_conversation::the_first_conversation_of_the_readme_works";
const TYPED: &str = "first_conversation::a_stream_can_be_typed_and_its_errors_can_be_read";
const README: &str = include_str!("../../README.md");
const MARK: &str = "<!-- test: first_conversation -->";

/// The block of commands below the mark.
fn commands() -> Checked<&'static str> {
    let below = README.split_once(MARK).map(|(_, below)| below);
    let block = below.and_then(|below| below.split_once("```sh\n")).map(|(_, block)| block);
    let block = block.and_then(|block| block.split_once("\n```")).map(|(block, _)| block);
    block.ok_or_else(|| Violation::broken(format!("README.md has no block below {MARK}")))
}

async fn run() -> Checked {
    let node = Node::start(program(None)).await?;
    let tokens = node.tokens()?;
    let shell = Command::new("sh")
        .args(["-e", "-u", "-c", commands()?])
        .env("CONFAB", node.public().to_string())
        .env("CAROL", tokens.user("dev", "carol"))
        .env("DAVE", tokens.user("dev", "dave"))
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
    // Carol's message, Dave's list, Dave's answer, and Carol's stream with all of it.
    for (text, times) in [
        ("\"text\":\"hello,dave\"", 3),
        ("\"unreadCount\":\"1\"", 1),
        ("\"text\":\"hello,carol\"", 2),
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

/// What the client shows of a stream on which these frames are typed.
async fn typed(node: &Node, frames: &str) -> Checked<String> {
    let token = node.tokens()?.user("dev", "carol");
    let mut client = Command::new("buf");
    client
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", "@-", "-H"])
        .arg(format!("authorization: Bearer {token}"))
        .arg(format!("{}/confab.realtime.v1.RealtimeService/Connect", node.uri()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut client = client.spawn().map_err(Violation::unable)?;
    let mut keyboard = client.stdin.take().ok_or_else(|| Violation::unable("no input"))?;
    keyboard.write_all(frames.as_bytes()).await.map_err(Violation::unable)?;
    drop(keyboard);
    let output = within(Duration::from_mins(1), "the stream", client.wait_with_output()).await?;
    let output = output.map_err(Violation::unable)?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).replace(' ', ""))
}

/// The frames that the README says can be typed, and a wrong one: what is in an
/// error can be read, because reflection knows it.
async fn run_typed() -> Checked {
    let node = Node::start(program(None)).await?;
    let said = typed(&node, "{\"hello\": {}}\n{\"ping\": {}}\n").await?;
    for frame in ["\"welcome\":", "\"synced\":", "\"heartbeat\":"] {
        Violation::unless(said.contains(frame), || format!("no {frame} in {said}"))?;
    }
    let said = typed(&node, "{\"ping\": {}}\n").await?;
    let told = said.contains("\"reason\":\"HELLO_EXPECTED\"") && !said.contains("unabletoresolve");
    Violation::unless(told, || format!("the error cannot be read: {said}"))?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_typed_and_its_errors_can_be_read() {
    if !is_installed("buf") {
        return skipped(TYPED, "buf is not installed (npm package @bufbuild/buf)");
    }
    run_typed().await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_conversation_of_the_readme_works() {
    if !is_installed("buf") {
        return skipped(TEST, "buf is not installed (npm package @bufbuild/buf)");
    }
    run().await.unwrap_or_else(|violation| panic!("{violation}"));
}
