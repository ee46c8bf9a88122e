//! What is revoked in one process is refused in all of them: those that run learn it,
//! and those that start know it before anybody passes.

use std::time::Duration;

use confab_kit::{error::Reason, identity::Claims, role::Role};
use confab_proto::{
    conversations::v1::ListConversationsRequest, messages::v1::GetMessageRequest,
    participants::v1::ListInboxEventsRequest, realtime::v1::EndSessionRequest,
    realtime::v1::ListSessionsRequest,
};
use confab_tests::harness::{Checked, Deployment, Fault, Shape, Violation, eventually, within};

use crate::{
    promises::{WHOLE, caught, program},
    raw::{Raw, Stream, hello, reason_name},
};

/// How long a process may take to learn of a revocation: far above what it needs.
const LEARNT: Duration = Duration::from_secs(10);

/// What a user's token is refused with in the process of a role, called at its own
/// public port.
async fn refusal(confab: &Deployment, role: Role, token: &str) -> Checked<Option<String>> {
    let raw = Raw::connect(confab.of(role).uri()).await?.token(token);
    let nothing = GetMessageRequest { conversation_id: "none".to_owned(), message_seq: 1 };
    let answer = match role {
        Role::Messages => raw.unary(&nothing).await?,
        Role::Conversations => raw.unary(&ListConversationsRequest::default()).await?,
        Role::Participants => raw.unary(&ListInboxEventsRequest::default()).await?,
        // Any RPC will do for an entry that serves none.
        Role::Realtime | Role::Gateway => raw.unary(&ListSessionsRequest::default()).await?,
    };
    Ok(answer.err().map(|refused| refused.reason))
}

/// A process that starts and cannot ask what is revoked lets nobody pass.
async fn starts_closed(confab: &mut Deployment, role: Role, token: &str) -> Checked {
    let asking = |confab: &Deployment, fault: Fault| {
        let link = confab.link(role, Role::Realtime);
        link.map(|link| link.plan(move |_| fault)).ok_or_else(|| Violation::unable("no link"))
    };
    asking(confab, Fault { up: Some(0), down: Some(0), stall: true })?;
    confab.of_mut(role).restart().await?;
    let waiting = refusal(confab, role, token).await?;
    Violation::unless(waiting == Some(reason_name(Reason::PeerUnavailable)), || {
        format!("{role} cannot know what is revoked, and answers {waiting:?}")
    })?;
    asking(confab, Fault::default())?;
    let confab = &*confab;
    let first = eventually(LEARNT, "it has asked", || async move {
        let refused = refusal(confab, role, token).await?;
        Ok((refused != Some(reason_name(Reason::PeerUnavailable))).then_some(refused))
    });
    let first = first.await?;
    Violation::unless(first == Some(reason_name(Reason::SessionRevoked)), || {
        format!("{role} began with {first:?}")
    })
}

async fn run(mutant: Option<&str>) -> Checked {
    let mut confab = Deployment::start(Shape::Mesh, program(mutant)).await?;
    let token = confab
        .tokens()?
        .sign(&Claims { session_id: Some("stolen".to_owned()), ..Claims::user("dev", "alice") });
    let revoked = Some(reason_name(Reason::SessionRevoked));
    let raw = Raw::connect(confab.of(Role::Messages).uri()).await?.token(&token);
    let mut stream = Stream::open(&raw).await?;
    stream.say(hello(&[])).await?;
    let session_id = stream.welcome().await?.session_id;
    for role in Role::ALL {
        let before = refusal(&confab, role, &token).await?;
        Violation::unless(before != revoked, || format!("{role} refuses a good token"))?;
    }
    let end = EndSessionRequest { session_id, revoke: true, ..EndSessionRequest::default() };
    let ended = raw.unary(&end).await?;
    Violation::unless(ended.is_ok(), || format!("not ended: {ended:?}"))?;
    for role in Role::ALL {
        let (confab, token, revoked) = (&confab, &token, &revoked);
        eventually(LEARNT, "every process learns of it", || async move {
            Ok((refusal(confab, role, token).await? == *revoked).then_some(()))
        })
        .await?;
    }
    for role in [Role::Messages, Role::Conversations, Role::Participants] {
        starts_closed(&mut confab, role, &token).await?;
    }
    confab.of_mut(Role::Realtime).restart().await?;
    let kept = refusal(&confab, Role::Realtime, &token).await?;
    Violation::unless(kept == revoked, || format!("realtime forgot: {kept:?}"))?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_refused_everywhere() -> Checked {
    within(WHOLE, "revocations", Box::pin(run(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lets_pass_before_it_knows_is_caught() {
    for mutant in ["revocation-not-told", "revocation-not-awaited"] {
        caught(mutant, run(Some(mutant))).await;
    }
}
