//! The web client as people use it: two of them in two browsers, through crashes, short
//! tokens, many tabs and long conversations, and for everybody who cannot see or use a
//! mouse.

use confab_kit::identity::DEV_ISSUER;
use confab_tests::harness::Checked;

use super::{Script, Tools, program, tools_or_skip};
use crate::identity::issuer::{Issuer, Key};

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

/// Of a team that has an identity provider.
async fn tokens(tools: &Tools) -> Checked<String> {
    let (issuer, key) = (Issuer::start().await?, Key::new("team"));
    issuer.publishes(&[&key])?;
    let environment =
        [("ALICE", key.token("acme", "alice")?), ("BOB", key.token("acme", "bob")?)].into();
    let options = program(None)
        .env("CONFAB_AUTH__ISSUER", DEV_ISSUER)
        .env("CONFAB_AUTH__JWKS_URL", issuer.url());
    Script { line: &["signin.mjs"], environment }.run(tools, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_with_tokens_of_their_team() {
    let test = "browser::chat::people_sign_in_with_tokens_of_their_team";
    let Some(tools) = tools_or_skip(test).await else { return };
    let report = tokens(&tools).await;
    report.unwrap_or_else(|violation| panic!("{violation}"));
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
