//! A node that fetches its keys from an issuer: which is away when it starts,
//! rotates its keys, and is away again.

use std::time::Duration;

use confab_client::{Client, ClientOptions};
use confab_kit::{error::Reason, identity::DEV_ISSUER};
use confab_proto::conversations::v1::ListConversationsRequest;
use confab_tests::harness::{Checked, Node, NodeOptions, Violation, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    caught,
    issuer::{Issuer, Key},
    passes, refused,
};
use crate::promises::{once, program};

const PATIENCE: Duration = Duration::from_secs(20);

fn options(mutant: Option<&str>, issuer: &Issuer) -> NodeOptions {
    program(mutant)
        .env("CONFAB_AUTH__ISSUER", DEV_ISSUER)
        .env("CONFAB_AUTH__JWKS_URL", issuer.url())
        .env("CONFAB_AUTH__JWKS_MIN_INTERVAL_SECONDS", "0")
        .allow("the issuer's keys cannot be fetched")
        .allow("dependency is lost")
}

/// Asks the operations port.
async fn ask(node: &Node, path: &str) -> Checked<String> {
    let mut stream = TcpStream::connect(node.ops()).await.map_err(Violation::unable)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(Violation::unable)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(Violation::unable)?;
    Ok(answer)
}

fn holds(text: &str, part: &str) -> Checked {
    Violation::unless(text.contains(part), || format!("no {part:?} in {text:?}"))
}

async fn client(node: &Node, token: String) -> Checked<Client> {
    Ok(Client::connect(ClientOptions::new(node.uri()).token(token)).await?)
}

/// One call with the token.
async fn call(node: &Node, token: String) -> Checked<Result<(), confab_client::Error>> {
    let client = client(node, token).await?;
    Ok(once(&client, ListConversationsRequest::default()).await.map(drop))
}

/// The node has started; nothing is sent to it before the keys are there.
async fn check_start(node: &Node, issuer: &Issuer, old: &Key) -> Checked {
    let ready = ask(node, "/readyz").await?;
    holds(&ready, "503")?;
    holds(&ready, r#"{"name":"jwks","status":"unhealthy""#)?;
    refused(call(node, old.token("acme", "alice")?).await?, Reason::StoreUnavailable)?;
    issuer.publishes(&[old])?;
    eventually(PATIENCE, "readiness once the keys are there", || async {
        Ok(ask(node, "/readyz").await?.contains("200 OK").then_some(()))
    })
    .await
}

async fn check(mutant: Option<&str>) -> Checked {
    let issuer = Issuer::start().await?;
    let (old, new, unknown) = (Key::new("old"), Key::new("new"), Key::new("unknown"));
    let node = Node::start(options(mutant, &issuer)).await?;
    check_start(&node, &issuer, &old).await?;
    let token = old.token("acme", "alice")?;
    let alice = client(&node, token.clone()).await?;
    let group = alice.create_group("group", &["bob"]).await?.conversation_id;

    // A key that was added is found by the first token that names it.
    issuer.publishes(&[&old, &new])?;
    let bob = client(&node, new.token("acme", "bob")?).await?;
    bob.send(&group, "hello, alice").await?;
    alice.send(&group, "hello, bob").await?;

    // One that was taken away ends at the next fetch, tokens and all.
    issuer.publishes(&[&new])?;
    refused(call(&node, unknown.token("acme", "eve")?).await?, Reason::InvalidToken)?;
    refused(call(&node, token).await?, Reason::InvalidToken)?;
    refused(call(&node, old.token("acme", "alice")?).await?, Reason::InvalidToken)?;

    // Without the issuer those that are known go on.
    issuer.is_away();
    refused(call(&node, unknown.token("acme", "eve")?).await?, Reason::StoreUnavailable)?;
    call(&node, new.token("acme", "carol")?).await??;
    bob.send(&group, "still here").await?;
    check_operations(&node).await?;
    node.finish()
}

async fn check_operations(node: &Node) -> Checked {
    holds(&ask(node, "/readyz").await?, "200 OK")?;
    let metrics = ask(node, "/metrics").await?;
    for due in [
        "confab_jwks_keys 1",
        r#"confab_jwks_fetches_total{outcome="ok"}"#,
        r#"confab_jwks_fetches_total{outcome="status"}"#,
        "confab_jwks_fetched_timestamp_seconds",
        r#"confab_auth_seconds_count{cached="true"}"#,
        r#"confab_auth_seconds_count{cached="false"}"#,
    ] {
        holds(&metrics, due)?;
    }
    // No key of its own, where an issuer has them.
    let absent = !node.data_dir().join("dev-key.pem").exists();
    Violation::unless(absent, || "a dev key beside an issuer")?;
    holds(&ask(node, "/.well-known/jwks.json").await?, "404")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_the_issuer_and_go_with_it() {
    passes(Box::pin(check(None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn believing_a_remembered_token_after_its_key_is_caught() {
    caught("token-outlives-key", Box::pin(check(Some("token-outlives-key")))).await;
}

/// In dev mode others can verify the tokens that Confab itself signs.
async fn check_dev_mode() -> Checked {
    let node = Node::start(program(None)).await?;
    let shown = ask(&node, "/.well-known/jwks.json").await?;
    let (_, body) = shown.split_once("\r\n\r\n").unwrap_or_default();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(body).map_err(Violation::unable)?;
    let jwk = set.find("dev").ok_or_else(|| Violation::broken(format!("no key in {shown}")))?;
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).map_err(Violation::unable)?;
    let token = node.tokens()?.user("dev", "alice");
    let mut wanted = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    wanted.set_audience(&[confab_kit::identity::DEFAULT_AUDIENCE]);
    let verified = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &wanted);
    let verified = verified.map_err(|error| Violation::broken(error.to_string()))?;
    Violation::unless(verified.claims["sub"] == "alice", || format!("{:?}", verified.claims))?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_mode_shows_its_key_to_operators() {
    passes(Box::pin(check_dev_mode())).await;
}
