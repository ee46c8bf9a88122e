//! The service through its own contract: what it tells the log, what it answers
//! from its rows, and what it refuses before anyone else is asked.

use std::collections::BTreeMap;

use crate::support::{World, id, row};
use confab_kit::{
    clock,
    error::{Error, Reason},
};
use confab_log::{ConversationId, RequestId, TenantId, UserId};
use confab_proto::{
    conversations::v1 as pb,
    messages::v1::{self as log_pb, append_request::Command},
    method::Relation,
};
use prost_types::FieldMask;
use tonic::Status;

fn reason(status: &Status) -> Reason {
    Error::from_status(status).reason()
}

fn fields(status: &Status) -> Vec<String> {
    let error = Error::from_status(status);
    error.violations().iter().map(|violation| violation.field.clone()).collect()
}

fn create(kind: pb::ConversationType, others: &[&str]) -> pb::CreateConversationRequest {
    pb::CreateConversationRequest {
        request_id: "r-1".to_owned(),
        r#type: kind.into(),
        participant_ids: others.iter().map(|other| (*other).to_owned()).collect(),
        ..pb::CreateConversationRequest::default()
    }
}

fn update(etag: &str, paths: &[&str]) -> pb::UpdateConversationRequest {
    pb::UpdateConversationRequest {
        conversation_id: id(1),
        request_id: "r-2".to_owned(),
        after_seq: 3,
        update: Some(pb::ConversationUpdate {
            title: "Tea".to_owned(),
            description: "x".repeat(2001),
            ..pb::ConversationUpdate::default()
        }),
        update_mask: Some(FieldMask { paths: paths.iter().map(|&path| path.into()).collect() }),
        etag: etag.to_owned(),
    }
}

fn assigned(user: &str, role: i32) -> log_pb::RoleAssignment {
    log_pb::RoleAssignment { user_id: user.to_owned(), role }
}

#[tokio::test]
async fn a_group_is_named_by_its_creator_and_request() {
    let world = World::new();
    let request = pb::CreateConversationRequest {
        title: "Tea".to_owned(),
        ..create(pb::ConversationType::Group, &["cleo", "bea", "ada", "cleo"])
    };
    let mut bea = world.client("bea");
    let made = bea.create_conversation(request).await.expect("made").into_inner();
    let made = made.conversation.expect("a conversation");
    let tenant = TenantId::parse("acme").expect("a tenant");
    let creator = UserId::parse("bea").expect("a user");
    let request_id = RequestId::parse("r-1").expect("a request id");
    let expected = ConversationId::group(&tenant, &creator, &request_id);
    assert_eq!(made.conversation_id, expected.as_str());
    assert_eq!((made.title.as_str(), made.etag.as_str()), ("Tea", "1"));

    let asked = world.fake.script(|script| script.appended.remove(0));
    assert_eq!((asked.actor_id.as_str(), asked.request_id.as_str()), ("bea", "r-1"));
    let Some(Command::CreateConversation(created)) = asked.command else {
        panic!("not a creation");
    };
    assert_eq!(created.r#type, 2);
    let everyone = [assigned("ada", 1), assigned("bea", 3), assigned("cleo", 1)];
    assert_eq!(created.participants, everyone);
}

#[tokio::test]
async fn a_direct_conversation_is_the_same_from_both_sides() {
    let world = World::new();
    let mut made = Vec::new();
    for (caller, other) in [("ada", "bob"), ("bob", "ada")] {
        let request = create(pb::ConversationType::Direct, &[other, caller]);
        let answer = world.client(caller).create_conversation(request).await.expect("made");
        made.push(answer.into_inner().conversation.expect("a conversation"));
    }
    assert_eq!(made[0], made[1]);
    let asked = world.fake.script(|script| std::mem::take(&mut script.appended));
    assert_eq!(asked[0].command, asked[1].command);
    let Some(Command::CreateConversation(created)) = &asked[0].command else {
        panic!("not a creation");
    };
    assert_eq!(created.participants, [assigned("ada", 3), assigned("bob", 3)]);
}

#[tokio::test]
async fn a_malformed_creation_is_refused() {
    let world = World::new();
    let mut ada = world.client("ada");
    let direct = pb::ConversationType::Direct;
    for others in [&[][..], &["ada"], &["bob", "cleo"]] {
        let refused = ada.create_conversation(create(direct, others)).await;
        assert_eq!(fields(&refused.expect_err("refused")), ["participant_ids"]);
    }
    let metadata = BTreeMap::from([("k".repeat(65), "v".repeat(1025))]);
    let bad = pb::CreateConversationRequest {
        request_id: String::new(),
        title: "a\u{0}b".to_owned(),
        avatar_url: "x".repeat(2049),
        metadata,
        ..create(pb::ConversationType::Unspecified, &["no spaces"])
    };
    let refused = ada.create_conversation(bad).await.expect_err("refused");
    let expected =
        ["request_id", "type", "participant_ids[0]", "title", "avatar_url", "metadata", "metadata"];
    assert_eq!(fields(&refused), expected);
    let titled =
        pb::CreateConversationRequest { title: "Tea".to_owned(), ..create(direct, &["bob"]) };
    let refused = ada.create_conversation(titled).await.expect_err("refused");
    assert_eq!(fields(&refused), ["title"]);
    let names: Vec<String> = (0..101).map(|n| format!("user-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let crowd = create(pb::ConversationType::Group, &names);
    let refused = ada.create_conversation(crowd).await.expect_err("refused");
    assert_eq!(fields(&refused), ["participant_ids"]);
    assert_eq!(world.fake.script(|script| script.appended.len()), 0);
}

#[tokio::test]
async fn a_conversation_is_read_by_its_members() {
    let world = World::new();
    world.apply(row(&id(1), 5)).await;
    world.relation("ada", Relation::Member);
    world.relation("bob", Relation::FormerMember);
    let get = || pb::GetConversationRequest { conversation_id: id(1) };
    let got = world.client("ada").get_conversation(get()).await.expect("got").into_inner();
    assert_eq!(got.conversation, row(&id(1), 5).conversation);
    assert_eq!(got.as_of_seq, 40);
    for (user, expected) in
        [("bob", Reason::NotAParticipant), ("zoe", Reason::ConversationNotFound)]
    {
        let refused = world.client(user).get_conversation(get()).await.expect_err("refused");
        assert_eq!(reason(&refused), expected);
    }
    let malformed = pb::GetConversationRequest { conversation_id: "no".to_owned() };
    let refused = world.client("ada").get_conversation(malformed).await.expect_err("refused");
    assert_eq!(reason(&refused), Reason::InvalidArgument);
}

#[tokio::test]
async fn an_update_names_what_it_changes() {
    let world = World::new();
    world.apply(row(&id(1), 9)).await;
    world.fake.script(|script| script.seqs.push_back(9));
    let mut ada = world.client("ada");
    // The description is too long, but the mask does not name it.
    let done = ada.update_conversation(update("4", &["title", "metadata"])).await.expect("done");
    let done = done.into_inner();
    assert_eq!((done.seq, done.conversation), (9, row(&id(1), 9).conversation));
    let asked = world.fake.script(|script| script.appended.remove(0));
    assert_eq!(asked.after_seq, 3);
    let changes = log_pb::ConversationUpdated {
        title: Some("Tea".to_owned()),
        metadata: Some(log_pb::MetadataValue::default()),
        ..log_pb::ConversationUpdated::default()
    };
    let command = log_pb::UpdateConversationCommand { changes: Some(changes), version_seq: 4 };
    assert_eq!(asked.command, Some(Command::UpdateConversation(command)));

    for (request, expected) in [
        (update("", &[]), "update_mask"),
        (update("", &["title", "owner"]), "update_mask"),
        (update("", &["description"]), "update.description"),
        (update("four", &["title"]), "etag"),
        (update("04", &["title"]), "etag"),
        (update("0", &["title"]), "etag"),
    ] {
        let refused = ada.update_conversation(request).await.expect_err("refused");
        assert_eq!(fields(&refused), [expected]);
    }
    let stale = Error::new(Reason::EtagMismatch, "stale").with("etag", 8);
    world.fake.script(|script| script.refusals.push_back(stale));
    let refused = ada.update_conversation(update("4", &["title"])).await.expect_err("refused");
    let refused = Error::from_status(&refused);
    assert_eq!((refused.reason(), refused.metadata("etag")), (Reason::EtagMismatch, Some("8")));
}

#[tokio::test]
async fn who_left_learns_nothing_new_from_an_old_request() {
    let world = World::new();
    world.apply(row(&id(1), 30)).await;
    for (relation, title) in
        [(Relation::FormerMember, String::new()), (Relation::Member, format!("Title of {}", id(1)))]
    {
        world.relation("ada", relation);
        world.fake.script(|script| script.seqs.push_back(9));
        let answer = world.client("ada").update_conversation(update("", &["title"])).await;
        let answer = answer.expect("the old answer").into_inner();
        let conversation = answer.conversation.expect("a conversation");
        assert_eq!((answer.seq, conversation.conversation_id), (9, id(1)));
        assert_eq!(conversation.title, title);
    }
}

#[tokio::test]
async fn the_other_commands_reach_the_log() {
    let world = World::new();
    let mut ada = world.client("ada");
    let names = (id(1), "r-3".to_owned(), 7);
    macro_rules! call {
        ($rpc:ident, $request:ident $(, $field:ident: $value:expr)?) => {{
            let (conversation_id, request_id, after_seq) = names.clone();
            ada.$rpc(pb::$request { conversation_id, request_id, after_seq $(, $field: $value)? })
                .await
                .expect("carried out")
        }};
    }
    call!(delete_conversation, DeleteConversationRequest, etag: "6".to_owned());
    call!(restore_conversation, RestoreConversationRequest);
    call!(archive_conversation, ArchiveConversationRequest);
    call!(unarchive_conversation, UnarchiveConversationRequest);
    let asked = world.fake.script(|script| std::mem::take(&mut script.appended));
    let commands: Vec<Command> = asked.into_iter().filter_map(|one| one.command).collect();
    let deletion = log_pb::DeleteConversationCommand { version_seq: 6 };
    let expected = [
        Command::DeleteConversation(deletion),
        Command::RestoreConversation(log_pb::ConversationRestored {}),
        Command::ArchiveConversation(log_pb::ConversationArchived {}),
        Command::UnarchiveConversation(log_pb::ConversationUnarchived {}),
    ];
    assert_eq!(commands, expected);
}

#[tokio::test]
async fn rows_come_back_as_applied_and_never_older() {
    let world = World::new();
    let mut newer = row(&id(1), 5);
    if let Some(seen) = &mut newer.conversation {
        seen.metadata = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
        seen.archive_time = Some(clock::timestamp(3_000_000));
    }
    world.apply(newer.clone()).await;
    world.apply(row(&id(1), 4)).await;
    let load =
        |tenant: &str| pb::LoadRowRequest { tenant_id: tenant.to_owned(), conversation_id: id(1) };
    let mut mesh = world.mesh();
    assert_eq!(mesh.load_row(load("acme")).await.expect("a row").into_inner().row, Some(newer));
    assert_eq!(mesh.load_row(load("zeta")).await.expect("no row").into_inner().row, None);
    let broken = pb::ConversationRow { create_digest: vec![1], ..row(&id(1), 6) };
    let request = pb::ApplyRowRequest { tenant_id: "acme".to_owned(), row: Some(broken) };
    let refused = mesh.apply_row(request).await.expect_err("refused");
    assert_eq!(fields(&refused), ["row.create_digest"]);
}
