//! Kicks, bans and mutes: by role, with a reason, with an end, at once.

use std::time::{Duration, SystemTime};

use confab_client::{Client, StreamOptions, Update};
use confab_kit::error::Reason;
use confab_proto::{
    messages::v1::{LeaveCause, event::Kind},
    participants::v1::{
        BanParticipantRequest, KickParticipantRequest, ListBansRequest, MuteParticipantRequest,
        Role, UnbanParticipantRequest, UnmuteParticipantRequest,
    },
};
use confab_tests::harness::{Checked, Violation, eventually, within};
use prost_types::Timestamp;

use super::{Cast, PATIENCE, equal, refused};

fn ban(id: &str, user: &str, until: Option<Timestamp>) -> BanParticipantRequest {
    BanParticipantRequest {
        conversation_id: id.to_owned(),
        user_id: user.to_owned(),
        reason: "spam".to_owned(),
        until,
        ..BanParticipantRequest::default()
    }
}

fn mute(id: &str, user: &str, until: Option<Timestamp>) -> MuteParticipantRequest {
    MuteParticipantRequest {
        conversation_id: id.to_owned(),
        user_id: user.to_owned(),
        reason: "noise".to_owned(),
        until,
        ..MuteParticipantRequest::default()
    }
}

fn kick(id: &str, user: &str) -> KickParticipantRequest {
    KickParticipantRequest {
        conversation_id: id.to_owned(),
        user_id: user.to_owned(),
        reason: "off topic".to_owned(),
        ..KickParticipantRequest::default()
    }
}

fn soon() -> Timestamp {
    (SystemTime::now() + Duration::from_secs(1)).into()
}

async fn bans(client: &Client, id: &str) -> Checked<Vec<String>> {
    let request = ListBansRequest { conversation_id: id.to_owned(), ..Default::default() };
    let answer = client.call(request).await?;
    Ok(answer.bans.into_iter().map(|banned| banned.user_id).collect())
}

#[tokio::test]
async fn moderators_act_on_lower_roles_only() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    refused(cast.bob.command(kick(&id, "carol")).await, Reason::RoleTooLow)?;
    refused(cast.bob.command(ban(&id, "carol", None)).await, Reason::RoleTooLow)?;
    refused(cast.bob.command(mute(&id, "carol", None)).await, Reason::RoleTooLow)?;
    for admin in ["bob", "carol"] {
        cast.alice.set_role(&id, admin, Role::Admin).await?;
    }
    refused(cast.bob.command(kick(&id, "carol")).await, Reason::RoleTooLow)?;
    refused(cast.bob.command(ban(&id, "alice", None)).await, Reason::RoleTooLow)?;
    refused(cast.bob.command(mute(&id, "bob", None)).await, Reason::TargetIsCaller)?;
    cast.alice.command(kick(&id, "carol")).await?;
    Ok(())
}

#[tokio::test]
async fn a_kick_is_an_event_with_its_reason_and_ends_open_streams() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let mut stream = cast.bob.stream(StreamOptions::default().watching(&id, 0));
    let watching = async {
        let mut last = None;
        while let Some(update) = stream.next().await {
            match update? {
                Update::Synced { conversation_id: Some(_), .. } => {
                    cast.alice.command(kick(&id, "bob")).await?;
                }
                Update::Event(event) => last = Some(event),
                Update::WatchEnded { reason, .. } => return Ok((last, reason.reason())),
                _ => {}
            }
        }
        Err(Violation::broken("the stream ended"))
    };
    let (last, reason) = within(PATIENCE, "the end of the watch", watching).await??;
    equal(reason, Some(Reason::NotAParticipant))?;
    let Some(Kind::ParticipantLeft(left)) = last.and_then(|event| event.kind) else {
        return Err(Violation::broken("the removal was not the last event"));
    };
    equal((left.user_id.as_str(), left.reason.as_str()), ("bob", "off topic"))?;
    equal(left.cause(), LeaveCause::Kicked)?;
    refused(cast.bob.send(&id, "hello").await, Reason::NotAParticipant)?;
    // A kick is no ban.
    cast.alice.add_participants(&id, &["bob"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_ban_removes_and_keeps_out_until_it_is_lifted() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.alice.command(ban(&id, "bob", None)).await?;
    // Of somebody who was never there, too.
    cast.alice.command(ban(&id, "mallory", None)).await?;
    refused(cast.bob.send(&id, "hello").await, Reason::Banned)?;
    for user in ["bob", "mallory"] {
        refused(cast.alice.add_participants(&id, &[user]).await, Reason::Banned)?;
    }
    equal(bans(&cast.alice, &id).await?, vec!["bob".to_owned(), "mallory".to_owned()])?;
    let unban = UnbanParticipantRequest {
        conversation_id: id.clone(),
        user_id: "bob".to_owned(),
        ..UnbanParticipantRequest::default()
    };
    cast.alice.command(unban.clone()).await?;
    refused(cast.alice.command(unban).await, Reason::NoChange)?;
    equal(bans(&cast.alice, &id).await?, vec!["mallory".to_owned()])?;
    cast.alice.add_participants(&id, &["bob"]).await?;
    cast.bob.send(&id, "hello").await?;
    Ok(())
}

#[tokio::test]
async fn a_mute_lets_read_but_not_write_until_it_is_lifted() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let mine = cast.bob.send(&id, "before").await?.seq;
    cast.alice.command(mute(&id, "bob", None)).await?;
    refused(cast.bob.send(&id, "hello").await, Reason::Muted)?;
    refused(cast.bob.edit(&id, mine, "hello").await, Reason::Muted)?;
    refused(cast.bob.react(&id, mine, "👍").await, Reason::Muted)?;
    equal(cast.bob.events_after(&id, 0, 100).await?.0.len(), 3)?;
    let unmute = UnmuteParticipantRequest {
        conversation_id: id.clone(),
        user_id: "bob".to_owned(),
        ..UnmuteParticipantRequest::default()
    };
    cast.alice.command(unmute).await?;
    cast.bob.send(&id, "hello").await?;
    Ok(())
}

#[tokio::test]
async fn bans_and_mutes_end_by_themselves() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    cast.alice.command(mute(&id, "bob", Some(soon()))).await?;
    refused(cast.bob.send(&id, "hello").await, Reason::Muted)?;
    cast.alice.command(ban(&id, "carol", Some(soon()))).await?;
    refused(cast.alice.add_participants(&id, &["carol"]).await, Reason::Banned)?;
    let past = Some(Timestamp { seconds: 1, nanos: 0 });
    refused(cast.alice.command(ban(&id, "bob", past)).await, Reason::InvalidArgument)?;
    eventually(PATIENCE, "the end of the mute", || async {
        Ok(cast.bob.send(&id, "hello").await.ok())
    })
    .await?;
    eventually(PATIENCE, "the end of the ban", || async {
        Ok(cast.alice.add_participants(&id, &["carol"]).await.ok())
    })
    .await?;
    equal(bans(&cast.alice, &id).await?, Vec::<String>::new())
}
