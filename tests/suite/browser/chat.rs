//! The web client as people use it: two of them in two browsers, through crashes, short
//! tokens, many tabs and long conversations, and for everybody who cannot see or use a
//! mouse.

use super::{Script, program, tools_or_skip};

/// Runs a script against a node of its own.
async fn run(test: &str, file: &str) {
    let Some(tools) = tools_or_skip(test).await else { return };
    let script = Script { line: &[file], environment: [].into() };
    let report = script.run(&tools, program(None)).await;
    report.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat() {
    run("browser::chat::two_people_chat", "chat.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_through_kills() {
    run("browser::chat::nothing_is_lost_or_doubled_through_kills", "restart.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_in_the_middle_of_a_conversation() {
    run("browser::chat::a_token_ends_in_the_middle_of_a_conversation", "tokens.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_tabs_are_live_over_http_1() {
    run("browser::chat::eight_tabs_are_live_over_http_1", "tabs.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_is_for_everybody_in_both_themes() {
    run("browser::chat::every_screen_is_for_everybody_in_both_themes", "access.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_scrolls_without_a_jump() {
    run("browser::chat::a_long_conversation_scrolls_without_a_jump", "scroll.mjs").await;
}
