//! Bad tokens: on a unary call and on a stream's opening alike, and never in
//! the log.

use confab_kit::{
    error::Reason,
    identity::{Claims, DevKey},
};
use confab_proto::{
    conversations::v1::ListConversationsRequest, realtime::v1::connect_response::Frame,
};
use confab_tests::harness::{Checked, Tokens, Violation, eventually};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::{Place, TENANT, is_refused, passes};
use crate::{
    promises::program,
    raw::{PATIENCE, Raw, Stream, encoded, hello, reason_name},
};

const LIST: &str = "/confab.conversations.v1.ConversationsService/ListConversations";

/// The public key's text as an HMAC secret: the classic confusion.
fn hs256(place: &Place) -> Checked<String> {
    let key = DevKey::load_or_create(&place.node.data_dir()).map_err(Violation::unable)?;
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("dev".to_owned());
    let secret = EncodingKey::from_secret(key.public_pem().as_bytes());
    jsonwebtoken::encode(&header, &Claims::user(TENANT, "alice"), &secret)
        .map_err(Violation::unable)
}

fn bad_tokens(place: &Place) -> Checked<Vec<(&'static str, String, Reason)>> {
    let tokens = &place.tokens;
    let claims = || Claims::user(TENANT, "alice");
    let some = |text: &str| Some(text.to_owned());
    let now = claims().iat;
    let signed = |claims: Claims| tokens.sign(&claims);
    let invalid = Reason::InvalidToken;
    Ok(vec![
        ("empty", String::new(), invalid),
        ("garbage", "garbage".to_owned(), invalid),
        ("three parts of nothing", "a.b.c".to_owned(), invalid),
        ("dots", "...".to_owned(), invalid),
        ("20 KB", "x".repeat(20_000), invalid),
        ("expired", tokens.expired(TENANT, "alice"), Reason::TokenExpired),
        ("unsigned", tokens.unsigned(TENANT, "alice"), invalid),
        ("alg none", tokens.alg_none(TENANT, "alice"), invalid),
        ("HS256 by the public key", hs256(place)?, invalid),
        ("a stranger's key", Tokens::forged(TENANT, "alice"), invalid),
        ("an altered claim", altered(&tokens.user(TENANT, "alice")), invalid),
        ("audience", tokens.wrong_audience(TENANT, "alice"), Reason::WrongAudience),
        (
            "issuer",
            signed(Claims { iss: "elsewhere".to_owned(), ..claims() }),
            Reason::WrongAudience,
        ),
        ("not yet", signed(Claims { nbf: Some(now + 3600), ..claims() }), invalid),
        (
            "from the future",
            signed(Claims { iat: now + 3600, exp: now + 7200, ..claims() }),
            invalid,
        ),
        ("no device", signed(Claims { device_id: None, ..claims() }), invalid),
        ("no session", signed(Claims { session_id: None, ..claims() }), invalid),
        ("an unknown kind", signed(Claims { kind: some("mesh"), ..claims() }), invalid),
        ("a malformed tenant", signed(Claims { tenant: "a/b".to_owned(), ..claims() }), invalid),
        ("no tenant", signed(Claims { tenant: String::new(), ..claims() }), invalid),
        ("a malformed user", signed(Claims { sub: "a b".to_owned(), ..claims() }), invalid),
        (
            "a device of 200",
            signed(Claims { device_id: Some("d".repeat(200)), ..claims() }),
            invalid,
        ),
    ])
}

/// A claim that the signature does not cover.
fn altered(token: &str) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    if let Some(claims) = parts.get_mut(1) {
        let last = claims.pop().unwrap_or('A');
        claims.push(if last == 'A' { 'B' } else { 'A' });
    }
    parts.join(".")
}

async fn are_refused(what: &str, raw: &Raw, reason: Reason) -> Checked {
    let outcome = raw.bytes(LIST, &[]).await?;
    is_refused(what, outcome, reason, &[])?;
    let mut stream = Stream::open(raw).await?;
    stream.say(hello(&[])).await?;
    let ending = stream.ending().await?;
    Violation::unless(ending.refused.reason == reason_name(reason), || {
        format!("a stream with {what}: {:?}", ending.refused)
    })
}

async fn other_headers(place: &Place) -> Checked {
    are_refused("no token", &place.nobody, Reason::MissingToken).await?;
    let token = place.tokens.user(TENANT, "alice");
    for (value, reason) in [
        ("", Reason::MissingToken),
        ("Bearer", Reason::MissingToken),
        (token.as_str(), Reason::MissingToken),
        (&format!("Basic {token}"), Reason::MissingToken),
        (&format!("Bearer {token} {token}"), Reason::InvalidToken),
    ] {
        are_refused(value, &place.nobody.header("authorization", value), reason).await?;
    }
    let lower = place.nobody.header("authorization", &format!("bearer {token}"));
    let request = encoded(&ListConversationsRequest::default());
    Violation::unless(lower.bytes(LIST, &request).await?.is_ok(), || "the scheme has no case")
}

/// Refused by HTTP before it can cost anything; the connection goes on.
async fn a_token_of_100_kb(place: &Place) -> Checked {
    let raw = place.nobody.token(&"x".repeat(100_000));
    let body = http_body_util::Empty::new();
    let body = http_body_util::BodyExt::map_err(body, |never| match never {});
    let response = raw.exchange(LIST, tonic::body::Body::new(body)).await?;
    Violation::unless(
        response.status() == http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        || format!("a token of 100 KB: {response:?}"),
    )
}

async fn check() -> Checked {
    let place = Place::new().await?;
    let bad = bad_tokens(&place)?;
    for (what, token, reason) in &bad {
        are_refused(what, &place.nobody.token(token), *reason).await?;
    }
    other_headers(&place).await?;
    a_token_of_100_kb(&place).await?;
    let log = place.node.log().lines().join("\n");
    let good = place.tokens.user(TENANT, "alice");
    let secrets = bad.iter().map(|(_, token, _)| token).chain([&good]);
    for secret in secrets.filter(|token| token.len() > 10) {
        Violation::unless(!log.contains(secret.as_str()), || "a token stands in the log")?;
    }
    place.unharmed().await
}

/// A stream lives no longer than its token.
async fn check_expiry() -> Checked {
    let place = Place::with(program(None).env("CONFAB_AUTH__LEEWAY_SECONDS", "0")).await?;
    let claims = Claims::user(TENANT, "mallory");
    let exp = claims.iat + 3;
    let raw = place.nobody.token(&place.tokens.sign(&Claims { exp, ..claims }));
    let mut stream = Stream::welcomed(&raw, hello(&[])).await?;
    let goodbye = stream.until(|frame| match frame {
        Frame::Goodbye(goodbye) => Some(goodbye),
        _ => None,
    });
    let failure = goodbye.await?.failure.unwrap_or_default();
    Violation::unless(failure.reason() == Reason::TokenExpired, || format!("{failure:?}"))?;
    // The verifier counts whole seconds.
    let refused = eventually(PATIENCE, "the end of the token", || async {
        Ok(raw.bytes(LIST, &[]).await?.err())
    });
    is_refused("afterwards", Err(refused.await?), Reason::TokenExpired, &[])?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_are_told_apart_and_not_logged() {
    passes(check().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    passes(check_expiry().await);
}
