//! Other sites' pages get nothing: whatever a browser lets them send, under whatever
//! name they send it.

use std::{net::SocketAddr, path::Path};

use confab_proto::conversations::v1::ListConversationsRequest;
use confab_tests::harness::{Checked, Node, Violation, must_be_caught};
use http::Version;

use super::wire::{Answer, ask, call, framed, request, whole};
use crate::promises::program;

const LIST: &str = "/confab.conversations.v1.ConversationsService/ListConversations";
const ALLOWED: &str = "http://localhost:5173";

/// Somebody's request: the host that it names, and the page that it comes from.
#[derive(Clone, Copy, Debug)]
struct Sender<'a> {
    host: &'a str,
    origin: Option<&'a str>,
}

/// What all three kinds of request are answered with, as one status each: the sign-in,
/// a call, a file.
async fn statuses(at: SocketAddr, sender: Sender<'_>, token: &str) -> Checked<[u16; 3]> {
    let from = |builder: http::request::Builder| {
        let builder = builder.header("host", sender.host);
        sender.origin.into_iter().fold(builder, |builder, origin| builder.header("origin", origin))
    };
    let asked = |builder, body: &[u8]| {
        let body = whole(body.to_vec());
        from(builder).body(body).map_err(Violation::unable)
    };
    let sign_in = request(at, "/dev/token").method("POST");
    let sign_in =
        asked(sign_in.header("content-type", "application/json"), b"{\"user\":\"alice\"}")?;
    let list = asked(call(at, LIST, token), &framed(&ListConversationsRequest::default()))?;
    let file = asked(request(at, "/"), b"")?;
    let mut found = [0; 3];
    for (place, request) in found.iter_mut().zip([sign_in, list, file]) {
        let answer = ask(at, Version::HTTP_11, request).await?;
        check_cors(sender, &answer)?;
        *place = answer.status.as_u16();
    }
    Ok(found)
}

/// Only the allowed site's pages may read an answer from elsewhere.
fn check_cors(sender: Sender<'_>, answer: &Answer) -> Checked {
    let allows = answer.header("access-control-allow-origin");
    let is_right = if sender.origin == Some(ALLOWED) && answer.status == 200 {
        allows == ALLOWED
    } else {
        allows.is_empty()
    };
    Violation::unless(is_right, || format!("{sender:?} is allowed {allows:?}"))?;
    let credentials = answer.headers.contains_key("access-control-allow-credentials");
    Violation::unless(!credentials, || "browsers may send what they keep")
}

async fn others_get_nothing(mutant: Option<&str>) -> Checked {
    let options =
        program(mutant).env("CONFAB_GATEWAY__ALLOWED_ORIGINS", &format!("[\"{ALLOWED}\"]"));
    let node = Node::start(options).await?;
    let (at, token) = (node.gateway(), node.tokens()?.user("dev", "alice"));
    let own = at.to_string();
    let own_page = format!("http://{at}");
    let named = format!("localhost:{}", at.port());
    let named_page = format!("http://{named}");
    let rebound = format!("rebound.example:{}", at.port());
    let rebound_page = format!("http://{rebound}");
    let (good, bad) = ([200; 3], [403; 3]);
    for (host, origin, expected) in [
        (own.as_str(), None, good),
        (&own, Some(own_page.as_str()), good),
        (&named, Some(&named_page), good),
        ("localhost", None, good),
        (&own, Some(ALLOWED), good),
        // Pages of other sites, of other ports, of another name of this machine, of files.
        (&own, Some("http://evil.example"), bad),
        (&own, Some("http://127.0.0.1:1"), bad),
        (&own, Some(&named_page), bad),
        (&own, Some("http://localhost:5174"), bad),
        (&own, Some("null"), bad),
        (&own, Some(""), bad),
        // A name of theirs that leads here.
        (&rebound, None, bad),
        (&rebound, Some(&rebound_page), bad),
        ("evil.example", None, bad),
        ("", None, bad),
    ] {
        let sender = Sender { host, origin };
        let found = statuses(at, sender, &token).await?;
        Violation::unless(found == expected, || {
            format!("{sender:?}: {found:?}, not {expected:?}")
        })?;
    }
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_site_can_call_or_sign_in() -> Checked {
    others_get_nothing(None).await?;
    for mutant in ["gateway-any-origin", "gateway-dev-token-any-host"] {
        must_be_caught(mutant, others_get_nothing(Some(mutant)).await);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_allowed_sites_page_is_let_in_before_it_calls() -> Checked {
    let options = program(None).env("CONFAB_GATEWAY__ALLOWED_ORIGINS", &format!("[\"{ALLOWED}\"]"));
    let node = Node::start(options).await?;
    let at = node.gateway();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let preflight = |origin: &str| {
            request(at, LIST)
                .method("OPTIONS")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type,x-grpc-web")
                .body(whole(""))
                .map_err(Violation::unable)
        };
        let answer = ask(at, version, preflight(ALLOWED)?).await?;
        let told = answer.header("access-control-allow-headers").to_owned();
        Violation::unless(answer.status == 204 && told.contains("grpc-timeout"), || told)?;
        Violation::unless(answer.header("access-control-allow-origin") == ALLOWED, || "no origin")?;
        Violation::unless(answer.header("vary").contains("origin"), || "caches may mix sites")?;
        let answer = ask(at, version, preflight("https://evil.example")?).await?;
        let told: Vec<_> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        let lets = told.iter().any(|name| name.starts_with("access-control"));
        Violation::unless(answer.status == 403 && !lets, || format!("{told:?}"))?;
    }
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_dev_mode_nobody_signs_in_here() -> Checked {
    let pem = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/kit/src/identity/testdata/ec-public.pem");
    let key = format!("[{{kid=\"k\", algorithm=\"ES256\", pem_file=\"{}\"}}]", pem.display());
    let options = program(None)
        .env("CONFAB_AUTH__ISSUER", "https://id.example.com")
        .env("CONFAB_AUTH__KEYS", &key);
    let node = Node::start(options).await?;
    let at = node.gateway();
    let asked = |builder: http::request::Builder, body: &'static str| {
        builder.header("host", "chat.example.com").body(whole(body)).map_err(Violation::unable)
    };
    let dev = ask(at, Version::HTTP_11, asked(request(at, "/dev"), "")?).await?;
    let token = request(at, "/dev/token").method("POST").header("content-type", "application/json");
    let token = ask(at, Version::HTTP_11, asked(token, "{\"user\":\"alice\"}")?).await?;
    let page = ask(at, Version::HTTP_11, asked(request(at, "/"), "")?).await?;
    let found = [dev.status.as_u16(), token.status.as_u16(), page.status.as_u16()];
    Violation::unless(found == [404, 405, 200], || format!("{found:?}"))?;
    // Behind a proxy that ends TLS, the page's own origin is its host's all the same.
    for (origin, host, expected) in [
        ("https://chat.example.com", "chat.example.com", 200),
        ("https://chat.example.com", "chat.example.com:443", 200),
        ("https://chat.example.com", "chat.example.com:80", 403),
        ("http://chat.example.com", "chat.example.com:80", 200),
        ("https://chat.example.com.evil.example", "chat.example.com", 403),
    ] {
        let list = call(at, LIST, "none").header("origin", origin);
        let list = list.header("host", host);
        let list = list.body(whole(framed(&ListConversationsRequest::default())));
        let answer = ask(at, Version::HTTP_11, list.map_err(Violation::unable)?).await?;
        Violation::unless(answer.status.as_u16() == expected, || format!("{origin}: {answer:?}"))?;
    }
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_dev_mode_a_page_signs_in_as_whom_it_names() -> Checked {
    let node = Node::start(program(None)).await?;
    let at = node.gateway();
    let sign_in = async |content_type: &str, body: String| {
        let asked = request(at, "/dev/token").method("POST").header("content-type", content_type);
        let asked = asked.body(whole(body)).map_err(Violation::unable)?;
        let answer = ask(at, Version::HTTP_11, asked).await?;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok::<_, Violation>((answer.status.as_u16(), json))
    };
    let json = "application/json";
    let (status, told) = sign_in(json, r#"{"user":"alice","device_id":"laptop"}"#.into()).await?;
    let expires = told["expires_at"].as_str().unwrap_or_default();
    Violation::unless(status == 200 && expires.ends_with('Z'), || format!("{status}: {told}"))?;
    let token = told["token"].as_str().unwrap_or_default();
    let list = call(at, LIST, token).body(whole(framed(&ListConversationsRequest::default())));
    let answer = ask(at, Version::HTTP_11, list.map_err(Violation::unable)?).await?;
    Violation::unless(answer.called()?.refusal().is_none(), || "the token is refused")?;
    for (content_type, body, expected) in [
        ("text/plain", r#"{"user":"alice"}"#.to_owned(), 415),
        (json, "{}".to_owned(), 400),
        (json, r#"{"user":""}"#.to_owned(), 400),
        (json, r#"{"user":"confab:system"}"#.to_owned(), 400),
        (json, r#"{"user":"alice","tenant":"other"}"#.to_owned(), 400),
        (json, r#"{"user":"alice","lifetime_seconds":0}"#.to_owned(), 400),
        (json, r#"{"user":"alice","lifetime_seconds":999999999}"#.to_owned(), 400),
        (json, format!(r#"{{"user":"{}"}}"#, "x".repeat(5000)), 413),
    ] {
        let (status, told) = sign_in(content_type, body.clone()).await?;
        let is_right = status == expected && told["token"].is_null();
        Violation::unless(is_right, || format!("{body}: {status}, {told}"))?;
    }
    node.finish()
}
