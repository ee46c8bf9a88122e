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

fn refused(key: &DevKey, token: &str) -> Reason {
    let verifier = key.verifier().expect("a verifier");
    let error = verifier.verify(token).expect_err("refused");
    assert_eq!(error.code(), tonic::Code::Unauthenticated);
    assert!(!format!("{error:?}").contains(token) || token.is_empty());
    error.reason()
}

fn configured(keys: Vec<PublicKey>) -> Verifier {
    let options = VerifierOptions {
        issuer: DEV_ISSUER.into(),
        audience: DEFAULT_AUDIENCE.into(),
        leeway_seconds: 60,
        keys,
    };
    Verifier::new(options).expect("a verifier")
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

#[test]
fn a_good_token_says_who_calls() {
    let key = key();
    let claims = Claims { scope: Some("read  write".into()), ..Claims::user("acme", "alice") };
    let token = sign(&key, &claims);
    let verifier = key.verifier().expect("a verifier");
    for _ in 0..2 {
        let caller = verifier.verify(&token).expect("passes");
        assert_eq!(caller.kind, CallerKind::User);
        assert_eq!((caller.tenant.as_str(), caller.user.as_str()), ("acme", "alice"));
        assert_eq!(Some(&*caller.session_id), claims.session_id.as_deref());
        assert_eq!(caller.expires_at, claims.exp);
        assert!(caller.has_scope("read") && caller.has_scope("write") && !caller.has_scope("re"));
        assert!(!format!("{caller:?} {verifier:?}").contains(&token));
    }
}

#[test]
fn applications_and_admins_need_no_device() {
    let key = key();
    let verifier = key.verifier().expect("a verifier");
    let kind = |claims: &Claims| verifier.verify(&sign(&key, claims)).map(|caller| caller.kind);
    assert_eq!(kind(&Claims::application("acme", "bot")), Ok(CallerKind::Application));
    assert_eq!(kind(&Claims::tenant_admin("acme", "root")), Ok(CallerKind::TenantAdmin));
    let explicit = Claims { kind: Some("user".into()), ..Claims::user("acme", "alice") };
    assert_eq!(kind(&explicit), Ok(CallerKind::User));
    let unknown = Claims { kind: Some("mesh".into()), ..explicit };
    assert_eq!(kind(&unknown).map_err(|error| error.reason()), Err(Reason::InvalidToken));
}

#[test]
fn an_expired_token_is_refused_with_leeway() {
    let key = key();
    let now = clock::now_seconds();
    let expired = Claims { exp: now - 120, ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &expired)), Reason::TokenExpired);
    let just = Claims { exp: now - 10, ..Claims::user("acme", "alice") };
    assert!(key.verifier().expect("a verifier").verify(&sign(&key, &just)).is_ok());
}

#[test]
fn wrong_audience_and_issuer_are_refused() {
    let key = key();
    let audience = Claims { aud: "other".into(), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &audience)), Reason::WrongAudience);
    let issuer = Claims { iss: "other".into(), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &issuer)), Reason::WrongAudience);
}

#[test]
fn tokens_from_the_future_are_refused() {
    let key = key();
    let later = clock::now_seconds() + 600;
    let not_before = Claims { nbf: Some(later), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &not_before)), Reason::InvalidToken);
    let issued = Claims { iat: later, ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &issued)), Reason::InvalidToken);
}

#[test]
fn malformed_claims_are_refused() {
    let key = key();
    let good = Claims::user("acme", "alice");
    for bad in [
        Claims { sub: "not a user".into(), ..good.clone() },
        Claims { tenant: String::new(), ..good.clone() },
        Claims { device_id: None, ..good.clone() },
        Claims { session_id: Some(String::new()), ..good.clone() },
        Claims { device_id: Some("x".repeat(129)), ..good },
    ] {
        assert_eq!(refused(&key, &sign(&key, &bad)), Reason::InvalidToken, "{bad:?}");
    }
}

#[test]
fn each_required_claim_is_required() {
    let private = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some("e".into());
    let full = serde_json::to_value(Claims::user("acme", "alice")).expect("json");
    let token = |claims: &Value| jsonwebtoken::encode(&header, claims, &private).expect("signs");
    assert!(rsa_and_ec().verify(&token(&full)).is_ok());
    for claim in ["sub", "tenant", "iat", "exp", "aud", "iss", "device_id", "session_id"] {
        for value in [None, Some(Value::Null), Some(json!({"a": 1}))] {
            let mut claims = full.clone();
            match value {
                None => claims.as_object_mut().expect("an object").remove(claim),
                Some(value) => {
                    claims.as_object_mut().expect("an object").insert(claim.into(), value)
                }
            };
            let error = rsa_and_ec().verify(&token(&claims)).expect_err(claim);
            assert_eq!(error.reason(), Reason::InvalidToken, "{claims}");
        }
    }
}

#[test]
fn unsigned_tokens_are_refused() {
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
        assert_eq!(refused(&key, &forged), Reason::InvalidToken, "{forged}");
    }
}

#[test]
fn an_oversize_token_is_refused_even_when_signed() {
    let key = key();
    let claims = Claims { scope: Some("s ".repeat(8000)), ..Claims::user("acme", "alice") };
    assert_eq!(refused(&key, &sign(&key, &claims)), Reason::InvalidToken);
}

#[test]
fn foreign_and_unknown_keys_are_refused() {
    let (ours, theirs) = (key(), key());
    assert_eq!(
        refused(&ours, &sign(&theirs, &Claims::user("acme", "alice"))),
        Reason::InvalidToken
    );
    let private = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    let es256 = jsonwebtoken::Algorithm::ES256;
    assert!(rsa_and_ec().verify(&encode(es256, Some("e"), &private)).is_ok());
    for kid in [Some("unknown"), Some("r"), None] {
        let error = rsa_and_ec().verify(&encode(es256, kid, &private)).expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key");
    let good = encode(jsonwebtoken::Algorithm::RS256, Some("r"), &rsa);
    assert!(rsa_and_ec().verify(&good).is_ok());
    let confused = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    for algorithm in [jsonwebtoken::Algorithm::HS256, jsonwebtoken::Algorithm::HS512] {
        let token = encode(algorithm, Some("r"), &confused);
        let error = rsa_and_ec().verify(&token).expect_err("refused");
        assert_eq!(error.reason(), Reason::InvalidToken);
    }
    let stronger = encode(jsonwebtoken::Algorithm::RS512, Some("r"), &rsa);
    let reason = rsa_and_ec().verify(&stronger).map_err(|error: Error| error.reason());
    assert_eq!(reason.expect_err("not on the list"), Reason::InvalidToken);
}

#[test]
fn keys_that_cannot_work_are_refused_at_the_start() {
    let bad = |algorithm, pem: &str| {
        let keys = vec![PublicKey { kid: "k".into(), algorithm, pem: pem.into() }];
        let options =
            VerifierOptions { issuer: "i".into(), audience: "a".into(), leeway_seconds: 60, keys };
        Verifier::new(options).is_err()
    };
    assert!(bad(Algorithm::RS256, EC_PUBLIC));
    assert!(bad(Algorithm::ES256, RSA_PUBLIC));
    assert!(bad(Algorithm::EdDSA, "nonsense"));
}

#[test]
fn the_dev_key_is_kept_and_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let first = DevKey::load_or_create(&data).expect("made");
    let again = DevKey::load_or_create(&data).expect("read");
    assert_eq!(first.public_pem(), again.public_pem());
    let token = sign(&first, &Claims::user("acme", "alice"));
    assert!(again.verifier().expect("a verifier").verify(&token).is_ok());
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

fn verified(key: &DevKey, claims: &Claims) -> Caller {
    key.verifier().expect("a verifier").verify(&sign(key, claims)).expect("passes")
}

fn revoked(tokens: RevokedTokens, until: i64) -> Revocation {
    let tenant = TenantId::parse("acme").expect("a tenant");
    let user = UserId::parse("alice").expect("a user");
    Revocation { tenant, user, tokens, until }
}

fn of_session(session: &str, until: i64) -> Revocation {
    revoked(RevokedTokens::OfSession(session.into()), until)
}

fn outcome(revocations: &Revocations, caller: &Caller) -> Result<(), Reason> {
    revocations.check(caller).map_err(|error| error.reason())
}

#[test]
fn a_revoked_login_is_refused_and_no_other() {
    let key = key();
    let of = |tenant: &str, user: &str, session: &str| {
        let session_id = Some(session.to_owned());
        verified(&key, &Claims { session_id, ..Claims::user(tenant, user) })
    };
    let revocations = Revocations::new(86_400, 60);
    let now = clock::now_seconds();
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one")), Ok(()));
    revocations.note(&of_session("one", now + 10));
    let refused = Err(Reason::SessionRevoked);
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one")), refused);
    for (tenant, user, session) in
        [("acme", "alice", "two"), ("acme", "bob", "one"), ("other", "alice", "one")]
    {
        assert_eq!(outcome(&revocations, &of(tenant, user, session)), Ok(()));
    }
    // Until no token of it can be good any more.
    revocations.forget_ended(now + 9);
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one")), refused);
    revocations.forget_ended(now + 10);
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one")), Ok(()));
}

#[test]
fn what_was_issued_up_to_a_second_is_refused() {
    let key = key();
    let revocations = Revocations::new(86_400, 60);
    let now = clock::now_seconds();
    let at = |iat: i64| verified(&key, &Claims { iat, ..Claims::user("acme", "alice") });
    let through = |second| revoked(RevokedTokens::IssuedThrough(second), now + 100);
    revocations.note(&through(now - 5));
    // An earlier one that is noted later takes nothing back.
    revocations.note(&through(now - 50));
    for (iat, due) in [
        (now - 60, Err(Reason::SessionRevoked)),
        (now - 5, Err(Reason::SessionRevoked)),
        (now - 4, Ok(())),
    ] {
        assert_eq!(outcome(&revocations, &at(iat)), due, "{iat}");
    }
    revocations.forget_ended(now + 100);
    assert_eq!(outcome(&revocations, &at(now - 60)), Ok(()));
}

#[test]
fn a_token_that_could_outlive_its_revocation_is_refused() {
    let key = key();
    let revocations = Revocations::new(3600, 60);
    let good = Claims::user("acme", "alice");
    let long = Claims { exp: good.exp + 1, ..good.clone() };
    assert_eq!(outcome(&revocations, &verified(&key, &good)), Ok(()));
    assert_eq!(outcome(&revocations, &verified(&key, &long)), Err(Reason::InvalidToken));
    // The latest that a token can be issued and live.
    let kept = revocations.keep_until(good.iat);
    assert!(kept >= good.iat + 60 + 3600 + 60);
}
