//! Sessions and logins of a whole node: ended for good, whatever is killed.

use std::time::Duration;

use confab_kit::{error::Reason, identity::Claims};
use confab_proto::realtime::v1::{
    EndSessionRequest, ListSessionsRequest, ListSessionsResponse, RevokeUserRequest,
};
use confab_tests::harness::{Checked, Node, Violation, must_be_caught, within};
use prost::Message as _;

use super::{
    equal,
    operations::{ask, holds},
};
use crate::{
    promises::program,
    raw::{Raw, Stream, hello, reason_name},
};

/// A user's token of a login session, issued so many seconds ago.
fn token(node: &Node, user: &str, login: &str, ago: i64) -> Checked<String> {
    let claims = Claims::user("dev", user);
    let iat = claims.iat - ago;
    Ok(node.tokens()?.sign(&Claims { session_id: Some(login.to_owned()), iat, ..claims }))
}

/// A stream of this token, and its session.
async fn stream(raw: &Raw) -> Checked<(Stream, String)> {
    let mut stream = Stream::open(raw).await?;
    stream.say(hello(&[])).await?;
    let session_id = stream.welcome().await?.session_id;
    Ok((stream, session_id))
}

/// What a call under this token is refused with.
async fn refusal(raw: &Raw) -> Checked<Option<String>> {
    let answer = raw.unary(&ListSessionsRequest::default()).await?;
    Ok(answer.err().map(|refused| refused.reason))
}

/// A stream that must end with this reason.
async fn ends(stream: Stream, reason: Reason) -> Checked {
    // Well before the stream would find out by itself, the next time that it reads.
    let at_once = Duration::from_secs(10);
    let ending = within(at_once, "the end of a stream", stream.ending()).await??;
    let right = ending.goodbye.is_some() && ending.refused.reason == reason_name(reason);
    Violation::unless(right, || format!("a stream ends with {ending:?} instead of {reason:?}"))
}

/// Alice has two logins and revokes the first one from the second.
async fn revokes(mutant: Option<&str>) -> Checked {
    let mut node = Node::start(program(mutant)).await?;
    let tokens = [token(&node, "alice", "one", 0)?, token(&node, "alice", "two", 0)?];
    let nobody = Raw::connect(node.uri()).await?;
    let [one, two] = tokens.clone().map(|token| nobody.token(&token));
    let (first, session_id) = stream(&one).await?;
    let (second, _) = stream(&one).await?;
    let (mut other, _) = stream(&two).await?;
    let end = EndSessionRequest { session_id, revoke: true, ..EndSessionRequest::default() };
    let ended = two.unary(&end).await?;
    Violation::unless(ended.is_ok(), || format!("not ended: {ended:?}"))?;
    let revoked = Some(reason_name(Reason::SessionRevoked));
    equal(refusal(&one).await?, revoked.clone())?;
    ends(first, Reason::SessionRevoked).await?;
    ends(second, Reason::SessionRevoked).await?;
    equal(refusal(&two).await?, None)?;
    other.is_alive().await?;
    drop(other);
    let metrics = ask(&node, "/metrics").await?;
    holds(&metrics, r#"confab_sessions_ended_total{how="revoked"} 1"#)?;
    holds(&metrics, "confab_revocations 1")?;

    node.kill9();
    node.restart().await?;
    let nobody = Raw::connect(node.uri()).await?;
    let [one, two] = tokens.map(|token| nobody.token(&token));
    equal(refusal(&one).await?, revoked.clone())?;
    let opened = Stream::open(&one).await?.ending().await?;
    equal(Some(opened.refused.reason), revoked)?;
    equal(refusal(&two).await?, None)?;
    let sessions = two.unary(&ListSessionsRequest::default()).await?;
    let sessions = sessions.map_err(|refused| Violation::broken(format!("{refused:?}")))?;
    let sessions = ListSessionsResponse::decode(sessions).map_err(Violation::unable)?.sessions;
    let logins: Vec<String> = sessions.into_iter().map(|one| one.login_session_id).collect();
    equal(logins, vec!["two".to_owned()])?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_login_is_over_at_once_and_after_a_kill() -> Checked {
    revokes(None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_that_do_not_hold_are_caught() {
    for mutant in ["revocation-not-kept", "revocation-spares-streams", "revocation-not-checked"] {
        must_be_caught(mutant, revokes(Some(mutant)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_revokes_a_user() -> Checked {
    let mut node = Node::start(program(None)).await?;
    let old = token(&node, "alice", "one", 10)?;
    let bob = token(&node, "bob", "one", 10)?;
    let application = node.tokens()?.application("dev", "backend");
    let nobody = Raw::connect(node.uri()).await?;
    let (alice, _) = stream(&nobody.token(&old)).await?;
    let revoke = RevokeUserRequest { user_id: "alice".to_owned() };
    let answer = nobody.token(&application).unary(&revoke).await?;
    Violation::unless(answer.is_ok(), || format!("not revoked: {answer:?}"))?;
    ends(alice, Reason::SessionRevoked).await?;
    // Issued a little later; a token may be some seconds ahead of the server's clock.
    let new = token(&node, "alice", "one", -5)?;
    for _ in 0..2 {
        let nobody = Raw::connect(node.uri()).await?;
        let revoked = Some(reason_name(Reason::SessionRevoked));
        equal(refusal(&nobody.token(&old)).await?, revoked)?;
        equal(refusal(&nobody.token(&new)).await?, None)?;
        equal(refusal(&nobody.token(&bob)).await?, None)?;
        node.restart().await?;
    }
    node.finish()
}
