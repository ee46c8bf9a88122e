//! The web client's files, as a browser asks for them.

use confab_tests::harness::{Checked, Node, Violation};
use http::Version;

use super::wire::{ask, request, whole};
use crate::promises::program;

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_comes_with_a_strict_policy_and_is_asked_for_once() -> Checked {
    let node = Node::start(program(None)).await?;
    let at = node.gateway();
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let asked = request(at, path);
        let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value));
        ask(at, Version::HTTP_11, asked.body(whole("")).map_err(Violation::unable)?).await
    };
    let page = get("/", &[]).await?;
    let policy = page.header("content-security-policy").to_owned();
    for rule in ["default-src 'self'", "script-src 'self'", "frame-ancestors 'none'"] {
        Violation::unless(policy.split(';').any(|part| part.trim() == rule), || policy.clone())?;
    }
    Violation::unless(!policy.contains("unsafe"), || policy.clone())?;
    let (kind, sniff) = (page.header("content-type"), page.header("x-content-type-options"));
    Violation::unless(kind.starts_with("text/html") && sniff == "nosniff", || "html")?;
    let html = String::from_utf8_lossy(&page.body).into_owned();
    Violation::unless(html.contains("<title>"), || html.clone())?;
    // Nothing in the page that the policy would refuse, and nothing from elsewhere.
    let inline = ["<style", "style=", "onclick", "javascript:", "src=\"http", "href=\"http"];
    let found = inline.iter().find(|part| html.contains(**part));
    Violation::unless(found.is_none(), || format!("{found:?} in the page"))?;
    let etag = page.header("etag").to_owned();
    let known = get("/", &[("if-none-match", &etag)]).await?;
    let known = (known.status.as_u16(), known.body.len());
    Violation::unless(known == (304, 0), || format!("{known:?}"))?;
    let other = get("/", &[("if-none-match", "\"other\"")]).await?;
    Violation::unless(other.body == page.body, || "another file")?;
    for path in ["/nothing", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/dist/index.html"] {
        let missing = get(path, &[]).await?;
        Violation::unless(missing.status == 404, || format!("{path}: {}", missing.status))?;
    }
    node.finish()
}
