//! Tokens that must not pass do not pass, each with its own reason.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock,
    error::{Error, Reason},
};

/// Test keys, used nowhere else.
const RSA_PRIVATE: &str = include_str!("testdata/rsa-private.pem");
const RSA_PUBLIC: &str = include_str!("testdata/rsa-public.pem");
const EC_PRIVATE: &str = include_str!("testdata/ec-private.pem");
const EC_PUBLIC: &str = include_str!("testdata/ec-public.pem");

fn key() -> DevKey {
    DevKey::ephemeral().expect("a key")
}

fn sign(key: &DevKey, claims: &Claims) -> String {
    key.sign(claims)
}

async fn refused(key: &DevKey, token: &str) -> Reason {
    let verifier = key.verifier().expect("a verifier");
    let error = verifier.verify(token).await.expect_err("refused");
    assert_eq!(error.code(), tonic::Code::Unauthenticated);
    assert!(!format!("{error:?}").contains(token) || token.is_empty());
    error.reason()
}

fn options(keys: Vec<PublicKey>) -> VerifierOptions {
    VerifierOptions {
        issuer: DEV_ISSUER.into(),
        audience: DEFAULT_AUDIENCE.into(),
        leeway_seconds: 60,
        algorithms: Algorithm::ALL.to_vec(),
        keys,
        jwks: None,
    }
}

fn configured(keys: Vec<PublicKey>) -> Verifier {
    Verifier::new(options(keys)).expect("a verifier")
}

fn rsa_and_ec() -> Verifier {
    configured(vec![
        PublicKey { kid: "r".into(), algorithm: Algorithm::RS256, pem: RSA_PUBLIC.into() },
        PublicKey { kid: "e".into(), algorithm: Algorithm::ES256, pem: EC_PUBLIC.into() },
    ])
}

fn encode(algorithm: jsonwebtoken::Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, &Claims::user("acme", "alice"), key).expect("signs")
}

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let key = key();
    let claims = Claims { scope: Some("read  write".into()), ..Claims::user("acme", "alice") };
    let token = sign(&key, &claims);
    let verifier = key.verifier().expect("a verifier");
    for _ in 0..2 {
        let caller = verifier.verify(&token).await.expect("passes");
        assert_eq!(caller.kind, CallerKind::User);
        assert_eq!((caller.tenant.as_str(), caller.user.as_str()), ("acme", "alice"));
        assert_eq!(Some(&*caller.session_id), claims.session_id.as_deref());
        assert_eq!(caller.expires_at, claims.exp);
        assert!(caller.has_scope("read") && caller.has_scope("write") && !caller.has_scope("re"));
        assert!(!format!("{caller:?} {verifier:?}").contains(&token));
    }
}

#[tokio::test]
async fn applications_and_admins_need_no_device() {
    let key = key();
    let verifier = key.verifier().expect("a verifier");
    let kind = async |claims: &Claims| {
        verifier.verify(&sign(&key, claims)).await.map(|caller| caller.kind)
    };
    assert_eq!(kind(&Claims::application("acme", "bot")).await, Ok(CallerKind::Application));
    assert_eq!(kind(&Claims::tenant_admin("acme", "root")).await, Ok(CallerKind::TenantAdmin));
    let explicit = Claims { kind: Some("user".into()), ..Claims::user("acme", "alice") };
    assert_eq!(kind(&explicit).await, Ok(CallerKind::User));
    let unknown = Claims { kind: Some("mesh".into()), ..explicit };
    assert_eq!(kind(&unknown).await.map_err(|error| error.reason()), Err(Reason::InvalidToken));
}

#[tokio::test]
async fn an_expired_token_is_refused_with_leeway() {
    let key = key();
    let now = clock::now_seconds();
    let expired = Claims { exp: now - 120, ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &expired)).await, Reason::TokenExpired);
    let just = Claims { exp: now - 10, ..Claims::user("acme", "alice") };
    assert!(key.verifier().expect("a verifier").verify(&sign(&key, &just)).await.is_ok());
}

#[tokio::test]
async fn wrong_audience_and_issuer_are_refused() {
    let key = key();
    let audience = Claims { aud: "other".into(), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &audience)).await, Reason::WrongAudience);
    let issuer = Claims { iss: "other".into(), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &issuer)).await, Reason::WrongAudience);
}

#[tokio::test]
async fn tokens_from_the_future_are_refused() {
    let key = key();
    let later = clock::now_seconds() + 600;
    let not_before = Claims { nbf: Some(later), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &not_before)).await, Reason::InvalidToken);
    let issued = Claims { iat: later, ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &issued)).await, Reason::InvalidToken);
}

#[tokio::test]
async fn malformed_claims_are_refused() {
    let key = key();
    let good = Claims::user("acme", "alice");
    for bad in [
        Claims { sub: "not a user".into(), ..good.clone() },
        Claims { tenant: String::new(), ..good.clone() },
        Claims { device_id: None, ..good.clone() },
        Claims { session_id: Some(String::new()), ..good.clone() },
        Claims { device_id: Some("x".repeat(129)), ..good },
    ] {
        assert_eq!(refused(&key, &sign(&key, &bad)).await, Reason::InvalidToken, "{bad:?}");
    }
}

#[tokio::test]
async fn each_required_claim_is_required() {
    let private = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some("e".into());
    let full = serde_json::to_value(Claims::user("acme", "alice")).expect("json");
    let token = |claims: &Value| jsonwebtoken::encode(&header, claims, &private).expect("signs");
    assert!(rsa_and_ec().verify(&token(&full)).await.is_ok());
    for claim in ["sub", "tenant", "iat", "exp", "aud", "iss", "device_id", "session_id"] {
        for value in [None, Some(Value::Null), Some(json!({"a": 1}))] {
            let mut claims = full.clone();
            match value {
                None => claims.as_object_mut().expect("an object").remove(claim),
                Some(value) => {
                    claims.as_object_mut().expect("an object").insert(claim.into(), value)
                }
            };
            let error = rsa_and_ec().verify(&token(&claims)).await.expect_err(claim);
            assert_eq!(error.reason(), Reason::InvalidToken, "{claims}");
        }
    }
}

#[tokio::test]
async fn nobody_has_a_name_of_our_own() {
    let key = key();
    let verifier = key.verifier().expect("a verifier");
    for claims in [Claims::user("acme", "confab:retention"), Claims::application("acme", "confab:")]
    {
        let error = verifier.verify(&key.sign(claims)).await.expect_err("reserved");
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
    assert!(verifier.verify(&key.sign(Claims::user("acme", "confab"))).await.is_ok());
}

/// Signs with the key `e` what no honest issuer's library would.
fn odd(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let private = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    let es256 = jsonwebtoken::Algorithm::ES256;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &private, es256);
    format!("{message}.{}", signature.expect("signs"))
}

#[tokio::test]
async fn an_audience_among_others_is_enough_and_times_may_have_fractions() {
    let header = json!({"alg": "ES256", "kid": "e"});
    let good = serde_json::to_value(Claims::user("acme", "alice")).expect("json");
    let outcome = async |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        let outcome = rsa_and_ec().verify(&odd(&header, &claims)).await;
        outcome.map(drop).map_err(|error| error.reason())
    };
    let now = f64::from(u32::try_from(clock::now_seconds()).expect("before 2106"));
    assert_eq!(outcome("aud", json!(["other", DEFAULT_AUDIENCE])).await, Ok(()));
    assert_eq!(outcome("aud", json!(["other", "more"])).await, Err(Reason::WrongAudience));
    assert_eq!(outcome("aud", json!([])).await, Err(Reason::WrongAudience));
    assert_eq!(outcome("iat", json!(now - 0.5)).await, Ok(()));
    assert_eq!(outcome("exp", json!(now + 60.5)).await, Ok(()));
    assert_eq!(outcome("exp", json!(now - 600.5)).await, Err(Reason::TokenExpired));
    assert_eq!(outcome("nbf", json!(now + 30.5)).await, Ok(()), "within the leeway");
    assert_eq!(outcome("nbf", json!(now + 600.5)).await, Err(Reason::InvalidToken));
    assert_eq!(outcome("iat", json!(now + 600.5)).await, Err(Reason::InvalidToken));
    for nonsense in [json!("0"), json!(true), json!([1])] {
        for claim in ["iat", "exp", "nbf"] {
            let refused = outcome(claim, nonsense.clone()).await;
            assert_eq!(refused, Err(Reason::InvalidToken), "{claim} {nonsense}");
        }
    }
}

#[tokio::test]
async fn extensions_that_must_be_understood_are_refused() {
    let claims = serde_json::to_value(Claims::user("acme", "alice")).expect("json");
    let plain = json!({"alg": "ES256", "kid": "e"});
    assert!(rsa_and_ec().verify(&odd(&plain, &claims)).await.is_ok());
    for crit in [json!(["b64"]), json!([])] {
        let header = json!({"alg": "ES256", "kid": "e", "crit": crit, "b64": false});
        let error = rsa_and_ec().verify(&odd(&header, &claims)).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
}

#[tokio::test]
async fn unsigned_tokens_are_refused() {
    let key = key();
    let token = sign(&key, &Claims::user("acme", "alice"));
    let (unsigned, signature) = token.rsplit_once('.').expect("three parts");
    let (header, payload) = unsigned.split_once('.').expect("two parts");
    let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT","kid":"dev"}"#);
    for forged in [
        unsigned.to_owned(),
        format!("{unsigned}."),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{header}.{payload}.AAAA"),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(b"{}")),
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(20_000),
    ] {
        assert_eq!(refused(&key, &forged).await, Reason::InvalidToken, "{forged}");
    }
}

#[tokio::test]
async fn an_oversize_token_is_refused_even_when_signed() {
    let key = key();
    let claims = Claims { scope: Some("s ".repeat(8000)), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &claims)).await, Reason::InvalidToken);
}

#[tokio::test]
async fn foreign_and_unknown_keys_are_refused() {
    let (ours, theirs) = (key(), key());
    assert_eq!(
        refused(&ours, &sign(&theirs, &Claims::user("acme", "alice"))).await,
        Reason::InvalidToken
    );
    let private = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    let es256 = jsonwebtoken::Algorithm::ES256;
    assert!(rsa_and_ec().verify(&encode(es256, Some("e"), &private)).await.is_ok());
    for kid in [Some("unknown"), Some("r"), None] {
        let error = rsa_and_ec().verify(&encode(es256, kid, &private)).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key");
    let good = encode(jsonwebtoken::Algorithm::RS256, Some("r"), &rsa);
    assert!(rsa_and_ec().verify(&good).await.is_ok());
    let confused = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    for algorithm in [jsonwebtoken::Algorithm::HS256, jsonwebtoken::Algorithm::HS512] {
        let token = encode(algorithm, Some("r"), &confused);
        let error = rsa_and_ec().verify(&token).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
    let stronger = encode(jsonwebtoken::Algorithm::RS512, Some("r"), &rsa);
    let reason = rsa_and_ec().verify(&stronger).await.map_err(|error: Error| error.reason());
    assert_eq!(reason.expect_err("not on the list"), Reason::InvalidToken);
}

#[test]
fn keys_that_cannot_work_are_refused_at_the_start() {
    let bad = |algorithm, pem: &str| {
        let key = PublicKey { kid: "k".into(), algorithm, pem: pem.into() };
        Verifier::new(options(vec![key])).is_err()
    };
    assert!(bad(Algorithm::RS256, EC_PUBLIC));
    assert!(bad(Algorithm::ES256, RSA_PUBLIC));
    assert!(bad(Algorithm::EdDSA, "nonsense"));
}

#[tokio::test]
async fn the_dev_key_is_kept_and_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let first = DevKey::load_or_create(&data).expect("made");
    let again = DevKey::load_or_create(&data).expect("read");
    assert_eq!(first.public_pem(), again.public_pem());
    let token = sign(&first, &Claims::user("acme", "alice"));
    assert!(again.verifier().expect("a verifier").verify(&token).await.is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode =
            std::fs::metadata(data.join("dev-key.pem")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(std::fs::read_dir(&data).expect("a folder").count(), 1);
    std::fs::write(data.join("dev-key.pem"), "nonsense").expect("written");
    assert!(matches!(DevKey::load_or_create(&data), Err(DevKeyError::Malformed(_))));
}

#[test]
fn the_mesh_credential_is_compared_and_hidden() {
    let credential = Credential::new("secret");
    assert!(credential.matches(b"secret"));
    assert!(!credential.matches(b"secre") && !credential.matches(b""));
    assert_eq!(format!("{credential:?}"), "Credential(***)");
}
