use super::*;
use crate::{
    clock,
    error::Reason,
    identity::{Claims, DevKey},
};

fn key() -> DevKey {
    DevKey::ephemeral().expect("a key")
}

async fn verified(key: &DevKey, claims: &Claims) -> Caller {
    let verifier = key.verifier().expect("a verifier");
    verifier.verify(&key.sign(claims)).await.expect("passes")
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

#[tokio::test]
async fn a_revoked_login_is_refused_and_no_other() {
    let key = key();
    let of = async |tenant: &str, user: &str, session: &str| {
        let session_id = Some(session.to_owned());
        verified(&key, &Claims { session_id, ..Claims::user(tenant, user) }).await
    };
    let revocations = Revocations::new(86_400, 60);
    let now = clock::now_seconds();
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one").await), Ok(()));
    revocations.note(&of_session("one", now + 10));
    let refused = Err(Reason::SessionRevoked);
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one").await), refused);
    for (tenant, user, session) in
        [("acme", "alice", "two"), ("acme", "bob", "one"), ("other", "alice", "one")]
    {
        assert_eq!(outcome(&revocations, &of(tenant, user, session).await), Ok(()));
    }
    // Until no token of it can be good any more.
    revocations.forget_ended(now + 9);
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one").await), refused);
    revocations.forget_ended(now + 10);
    assert_eq!(outcome(&revocations, &of("acme", "alice", "one").await), Ok(()));
}

#[tokio::test]
async fn what_was_issued_up_to_a_second_is_refused() {
    let key = key();
    let revocations = Revocations::new(86_400, 60);
    let now = clock::now_seconds();
    let claims = |iat: i64| Claims { iat, ..Claims::user("acme", "alice") };
    let through = |second| revoked(RevokedTokens::IssuedThrough(second), now + 100);
    revocations.note(&through(now - 5));
    // An earlier one that is noted later takes nothing back.
    revocations.note(&through(now - 50));
    for (iat, due) in [
        (now - 60, Err(Reason::SessionRevoked)),
        (now - 5, Err(Reason::SessionRevoked)),
        (now - 4, Ok(())),
    ] {
        assert_eq!(outcome(&revocations, &verified(&key, &claims(iat)).await), due, "{iat}");
    }
    revocations.forget_ended(now + 100);
    assert_eq!(outcome(&revocations, &verified(&key, &claims(now - 60)).await), Ok(()));
}

#[tokio::test]
async fn a_token_that_could_outlive_its_revocation_is_refused() {
    let key = key();
    let revocations = Revocations::new(3600, 60);
    let good = Claims::user("acme", "alice");
    let long = Claims { exp: good.exp + 1, ..good.clone() };
    assert_eq!(outcome(&revocations, &verified(&key, &good).await), Ok(()));
    assert_eq!(outcome(&revocations, &verified(&key, &long).await), Err(Reason::InvalidToken));
    // The latest that a token can be issued and live.
    let kept = revocations.keep_until(good.iat);
    assert!(kept >= good.iat + 60 + 3600 + 60);
}
