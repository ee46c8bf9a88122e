//! The service through its own contract: what it tells the log, what it lists,
//! what it publishes, and what it refuses before anyone else is asked.

use crate::support::{ROOM, World, joined, row};
use confab_kit::{
    clock,
    error::{Error, Reason},
};
use confab_proto::{
    messages::v1::{self as log_pb, append_request::Command},
    method::Relation,
    participants::v1 as pb,
};
use tonic::Status;

fn reason(status: &Status) -> Reason {
    Error::from_status(status).reason()
}

fn fields(status: &Status) -> Vec<String> {
    let error = Error::from_status(status);
    error.violations().iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test]
async fn commands_reach_the_log_as_validated() {
    let world = World::new();
    let mut ada = world.client("ada");
    let added = pb::AddParticipantsRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "r-1".to_owned(),
        after_seq: 7,
        user_ids: vec!["cleo".to_owned(), "bob".to_owned()],
    };
    assert_eq!(ada.add_participants(added).await.expect("added").into_inner().seq, 41);
    let kicked = pb::KickParticipantRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "r-2".to_owned(),
        user_id: "bob".to_owned(),
        reason: "spam".to_owned(),
        after_seq: 0,
    };
    assert_eq!(ada.kick_participant(kicked).await.expect("kicked").into_inner().seq, 42);
    let leave = pb::LeaveConversationRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "r-3".to_owned(),
        after_seq: 0,
    };
    assert_eq!(ada.leave_conversation(leave).await.expect("left").into_inner().seq, 43);

    let asked = world.log.script(|script| std::mem::take(&mut script.appended));
    assert_eq!(asked[0].tenant_id, "acme");
    assert_eq!(asked[0].actor_id, "ada");
    assert_eq!((asked[0].request_id.as_str(), asked[0].after_seq), ("r-1", 7));
    let member = |user: &str| log_pb::RoleAssignment { user_id: user.to_owned(), role: 1 };
    let participants = vec![member("bob"), member("cleo")];
    let expected = Command::AddParticipants(log_pb::ParticipantsJoined { participants });
    assert_eq!(asked[0].command, Some(expected));
    let removal = |user: &str, cause: log_pb::LeaveCause, reason: &str| {
        Command::RemoveParticipant(log_pb::ParticipantLeft {
            user_id: user.to_owned(),
            cause: cause.into(),
            reason: reason.to_owned(),
        })
    };
    let kick = removal("bob", log_pb::LeaveCause::Kicked, "spam");
    assert_eq!(asked[1].command, Some(kick));
    assert_eq!(asked[2].command, Some(removal("ada", log_pb::LeaveCause::Left, "")));
}

#[tokio::test]
async fn every_command_has_its_counterpart_in_the_log() {
    let world = World::new();
    let mut ada = world.client("ada");
    let (conversation_id, request_id, user_id) =
        (ROOM.to_owned(), "r".to_owned(), "bob".to_owned());
    let until = Some(clock::timestamp(clock::now_micros() + 3_600_000_000));
    macro_rules! call {
        ($rpc:ident, $request:ident { $($field:ident: $value:expr),* }) => {
            ada.$rpc(pb::$request {
                conversation_id: conversation_id.clone(),
                request_id: request_id.clone(),
                after_seq: 3,
                user_id: user_id.clone(),
                $($field: $value),*
            })
            .await
            .expect("carried out")
        };
    }
    call!(remove_participant, RemoveParticipantRequest {});
    call!(update_participant_role, UpdateParticipantRoleRequest { role: pb::Role::Admin.into() });
    call!(transfer_ownership, TransferOwnershipRequest {});
    call!(mute_participant, MuteParticipantRequest { reason: "loud".to_owned(), until: until });
    call!(unmute_participant, UnmuteParticipantRequest {});
    call!(ban_participant, BanParticipantRequest { reason: String::new(), until: None });
    call!(unban_participant, UnbanParticipantRequest {});

    let asked = world.log.script(|script| std::mem::take(&mut script.appended));
    let commands: Vec<Command> = asked.into_iter().filter_map(|one| one.command).collect();
    let user_id = || "bob".to_owned();
    let (cause, reason) = (log_pb::LeaveCause::Removed.into(), String::new());
    let expected = [
        Command::RemoveParticipant(log_pb::ParticipantLeft { user_id: user_id(), cause, reason }),
        Command::UpdateRole(log_pb::RoleAssignment { user_id: user_id(), role: 2 }),
        Command::TransferOwnership(log_pb::TransferOwnershipCommand { user_id: user_id() }),
        Command::MuteParticipant(log_pb::ParticipantMuted {
            user_id: user_id(),
            until,
            reason: "loud".to_owned(),
        }),
        Command::UnmuteParticipant(log_pb::ParticipantUnmuted { user_id: user_id() }),
        Command::BanParticipant(log_pb::ParticipantBanned {
            user_id: user_id(),
            until: None,
            reason: String::new(),
        }),
        Command::UnbanParticipant(log_pb::ParticipantUnbanned { user_id: user_id() }),
    ];
    assert_eq!(commands, expected);
}

#[tokio::test]
async fn all_violations_come_at_once_and_nothing_is_appended() {
    let world = World::new();
    let mut ada = world.client("ada");
    let mute = pb::MuteParticipantRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "no spaces".to_owned(),
        after_seq: 0,
        user_id: String::new(),
        reason: "x".repeat(501),
        until: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
    };
    let refused = ada.mute_participant(mute).await.expect_err("refused");
    assert_eq!(reason(&refused), Reason::InvalidArgument);
    assert_eq!(fields(&refused), ["user_id", "reason", "until", "request_id"]);

    let role = pb::UpdateParticipantRoleRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "r".to_owned(),
        user_id: "bob".to_owned(),
        role: pb::Role::Owner.into(),
        after_seq: 0,
    };
    for role in [pb::UpdateParticipantRoleRequest { role: 77, ..role.clone() }, role] {
        let refused = ada.update_participant_role(role).await.expect_err("refused");
        assert_eq!(fields(&refused), ["role"]);
    }
    for user_ids in [vec![], vec!["bob"; 2], vec!["b@d", "b\0"]] {
        let user_ids = user_ids.into_iter().map(str::to_owned).collect();
        let add = pb::AddParticipantsRequest {
            conversation_id: ROOM.to_owned(),
            request_id: "r".to_owned(),
            after_seq: 0,
            user_ids,
        };
        let refused = ada.add_participants(add).await.expect_err("refused");
        assert_eq!(reason(&refused), Reason::InvalidArgument);
    }
    assert_eq!(world.log.script(|script| script.appended.len()), 0);
}

#[tokio::test]
async fn a_removal_never_stands_for_a_leave() {
    let world = World::new();
    let remove = pb::RemoveParticipantRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "r".to_owned(),
        user_id: "ada".to_owned(),
        after_seq: 0,
    };
    let refused = world.client("ada").remove_participant(remove).await.expect_err("refused");
    assert_eq!(reason(&refused), Reason::TargetIsCaller);
    assert_eq!(world.log.script(|script| script.appended.len()), 0);
}

#[tokio::test]
async fn the_logs_refusals_pass_through() {
    let world = World::new();
    let leave = pb::LeaveConversationRequest {
        conversation_id: ROOM.to_owned(),
        request_id: "r".to_owned(),
        after_seq: 0,
    };
    for (given, expected) in [
        (Reason::OwnerMustTransfer, Reason::OwnerMustTransfer),
        (Reason::OutcomeUnknown, Reason::OutcomeUnknown),
        (Reason::InvalidMeshCredential, Reason::Internal),
    ] {
        world.log.script(|script| script.refusals.push_back(Error::new(given, "no")));
        let answer = world.client("ada").leave_conversation(leave.clone()).await;
        assert_eq!(reason(&answer.expect_err("refused")), expected);
    }
}

#[tokio::test]
async fn participants_are_paged_for_members_only() {
    let world = World::new();
    world.mesh().apply_members(joined(1, &["ada", "bob", "cleo"])).await.expect("applied");
    world.relation("ada", Relation::Member);
    world.relation("bob", Relation::FormerMember);
    let list = |page_size, page_token: &str| pb::ListParticipantsRequest {
        conversation_id: ROOM.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    let mut ada = world.client("ada");
    let first = ada.list_participants(list(2, "")).await.expect("a page").into_inner();
    assert_eq!(first.as_of_seq, 40);
    let ids: Vec<&str> = first.participants.iter().map(|one| one.user_id.as_str()).collect();
    assert_eq!(ids, ["ada", "bob"]);
    assert_eq!(Some(&first.participants[0]), row("ada", 1).participant.as_ref());
    let token = first.next_page_token;
    let second = ada.list_participants(list(2, &token)).await.expect("a page").into_inner();
    assert_eq!(second.participants.len(), 1);
    assert_eq!(second.next_page_token, "");

    world.relation("cleo", Relation::Member);
    let foreign = world.client("cleo").list_participants(list(2, &token)).await;
    assert_eq!(reason(&foreign.expect_err("refused")), Reason::InvalidPageToken);
    let negative = ada.list_participants(list(-1, "")).await.expect_err("refused");
    assert_eq!(fields(&negative), ["page_size"]);
    let former = world.client("bob").list_participants(list(0, "")).await;
    assert_eq!(reason(&former.expect_err("refused")), Reason::NotAParticipant);
    let stranger = world.client("zoe").list_participants(list(0, "")).await;
    assert_eq!(reason(&stranger.expect_err("refused")), Reason::ConversationNotFound);
}

#[tokio::test]
async fn bans_in_force_are_listed_for_admins() {
    let world = World::new();
    let banned = |user: &str, until: Option<i64>| {
        let mut row = row(user, 3);
        if let Some(participant) = &mut row.participant {
            participant.ban = Some(pb::Restriction {
                until: until.map(clock::timestamp),
                reason: "spam".to_owned(),
                actor_id: "ada".to_owned(),
                create_time: Some(clock::timestamp(1)),
            });
        }
        row
    };
    let mut effects = joined(3, &[]);
    effects.rows = vec![row("ada", 3), banned("bob", None), banned("cleo", Some(5))];
    world.mesh().apply_members(effects).await.expect("applied");
    world.relation("ada", Relation::Admin);
    world.relation("dan", Relation::Member);
    let list = pb::ListBansRequest { conversation_id: ROOM.to_owned(), ..Default::default() };
    let bans = world.client("ada").list_bans(list.clone()).await.expect("bans").into_inner();
    assert_eq!(bans.bans.len(), 1);
    assert_eq!(bans.bans[0].user_id, "bob");
    let refused = world.client("dan").list_bans(list).await.expect_err("refused");
    assert_eq!(reason(&refused), Reason::RoleTooLow);
}

#[tokio::test]
async fn an_inbox_is_published_once_and_in_order() {
    let world = World::new();
    let mut mesh = world.mesh();
    for request in [joined(1, &["ada", "bob"]), joined(1, &["ada", "bob"])] {
        mesh.apply_members(request).await.expect("applied");
    }
    let read = |read_seq| pb::RecordReadRequest {
        tenant_id: "acme".to_owned(),
        user_id: "bob".to_owned(),
        conversation_id: ROOM.to_owned(),
        read_seq,
    };
    let racers = (2..=9).map(|seq| {
        let mut mesh = world.mesh();
        async move { mesh.record_read(read(seq)).await.map(drop) }
    });
    let racers: Vec<_> =
        racers.map(|racer| confab_kit::task::spawn("racer", async { drop(racer.await) })).collect();
    for racer in racers {
        racer.await.expect("a racer ends");
    }
    mesh.record_read(read(9)).await.expect("a no-op");

    let list = pb::ListInboxEventsRequest::default();
    let page = world.client("bob").list_inbox_events(list).await.expect("inbox").into_inner();
    assert_eq!(page.head_inbox_seq, page.events.len() as u64);
    let signals = world.signals.lock().expect("signals").clone();
    let published: Vec<pb::InboxEvent> =
        signals.into_iter().filter(|(user, _)| user == "bob").map(|(_, event)| event).collect();
    assert_eq!(published, page.events, "what is published is what is stored, in its order");
    let newest = published.last().and_then(|event| event.kind.clone());
    let expected = pb::ReadCursorMoved { read_seq: 9 };
    assert_eq!(newest, Some(pb::inbox_event::Kind::ReadCursorMoved(expected)));
    let other = world.client_of("zeta", "bob");
    let list = pb::ListInboxEventsRequest::default();
    let foreign = { other }.list_inbox_events(list).await.expect("inbox").into_inner();
    assert_eq!(foreign.events, []);
}

#[tokio::test]
async fn rows_and_memberships_come_back_as_applied() {
    let world = World::new();
    let mut mesh = world.mesh();
    mesh.apply_members(joined(4, &["bob"])).await.expect("applied");
    let load = pb::LoadMembersRequest {
        tenant_id: "acme".to_owned(),
        conversation_id: ROOM.to_owned(),
        user_ids: vec!["zoe".to_owned(), "bob".to_owned()],
    };
    let rows = mesh.load_members(load).await.expect("rows").into_inner().rows;
    assert_eq!(rows, [row("bob", 4)]);
    let list =
        pb::ListMembershipsRequest { tenant_id: "acme".to_owned(), user_id: "bob".to_owned() };
    let list = mesh.list_memberships(list).await.expect("memberships").into_inner();
    assert_eq!(list.head_inbox_seq, 1);
    let expected = pb::Membership {
        conversation_id: ROOM.to_owned(),
        active: true,
        join_seq: 4,
        leave_seq: 0,
        settings: Some(pb::ConversationSettings::default()),
    };
    assert_eq!(list.memberships, [expected]);

    let broken = pb::ApplyMembersRequest { seq: 0, ..joined(0, &["bob"]) };
    let refused = mesh.apply_members(broken).await.expect_err("refused");
    assert_eq!(reason(&refused), Reason::InvalidArgument);
}
