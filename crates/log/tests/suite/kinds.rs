//! What differs between kinds of conversation, of history and of authority.

use confab_log::{
    Command, Content, Decision, Refusal, Request, Row, RowKey, Seq,
    command::{Authority, MAX_EXPIRED_ROWS},
    decide,
    decide::MAX_PINS,
    event::{Description, Entity, EntityKind, History, Kind, LeaveCause, Role},
    fold::Index,
    moderation::Act,
    row::MessageRow,
};

use crate::common::{Whole, content, create, request, send, sentence, user};

fn verdict(whole: &Whole, actor: &str, command: Command) -> Result<(), Refusal> {
    of(decide(whole, &request(actor, "new", command), None, 2000))
}

fn of(decision: Decision) -> Result<(), Refusal> {
    match decision {
        Decision::Append(_) => Ok(()),
        Decision::Refuse(refusal) => Err(refusal),
        Decision::Known(seq) => panic!("known: {seq}"),
    }
}

fn as_application(id: &str, command: Command) -> Request {
    Request { authority: Authority::Application, ..request("bot", id, command) }
}

fn conversation(kind: Kind) -> Whole {
    let mut whole = Whole::default();
    let names = [("owner", Role::Owner), ("admin", Role::Admin), ("member", Role::Member)];
    whole.must("owner", "create", create(kind, &names));
    whole
}

fn update(changes: Description) -> Command {
    Command::Update { changes, version: None }
}

fn public(public: bool) -> Command {
    update(Description { public: Some(public), ..Description::default() })
}

fn in_thread(text: &str, root: Seq) -> Command {
    Command::Send { content: content(text), reply_to: None, thread: Some(root), flags: Vec::new() }
}

fn message(whole: &Whole, seq: Seq) -> &MessageRow {
    match whole.rows.get(&RowKey::Message(seq)) {
        Some(Row::Message(row)) => row,
        other => panic!("no message {seq}: {other:?}"),
    }
}

#[test]
fn in_a_channel_admins_write_and_members_react() {
    let mut channel = conversation(Kind::Channel);
    let said = channel.must("admin", "send", send("news"));
    assert_eq!(verdict(&channel, "member", send("me too")), Err(Refusal::RoleTooLow));
    assert_eq!(verdict(&channel, "member", in_thread("me too", said)), Err(Refusal::RoleTooLow));
    let react = Command::AddReaction { target: said, emoji: "+".to_owned() };
    assert_eq!(verdict(&channel, "member", react), Ok(()));
}

#[test]
fn anyone_joins_a_public_channel_and_nothing_else() {
    let mut channel = conversation(Kind::Channel);
    let group = conversation(Kind::Group);
    assert_eq!(verdict(&channel, "new", Command::Join), Err(Refusal::ConversationNotFound));
    assert_eq!(verdict(&group, "owner", public(true)), Err(Refusal::OnlyChannels));
    channel.must("owner", "public", public(true));
    channel.must("new", "join", Command::Join);
    let already = Refusal::AlreadyAParticipant { user: user("new") };
    assert_eq!(verdict(&channel, "new", Command::Join), Err(already));
    channel.must("owner", "ban", Command::Ban(sentence("new", None)));
    let banned = Refusal::Banned { user: user("new"), until: None };
    assert_eq!(verdict(&channel, "new", Command::Join), Err(banned));
    channel.must("owner", "private", public(false));
    // Who was there knows of it.
    assert_eq!(verdict(&channel, "new", Command::Join), Err(Refusal::NotPublic));
}

#[test]
fn a_channel_has_no_bound() {
    let mut channel = conversation(Kind::Channel);
    let users = (0..2000).map(|n| user(&format!("u{n}"))).collect();
    channel.must("owner", "add", Command::AddParticipants { users });
    assert_eq!(channel.conversation().participant_count, 2003);
}

#[test]
fn a_block_silences_both_sides_of_a_direct_conversation() {
    let mut direct = Whole::default();
    let both = [("alice", Role::Owner), ("bob", Role::Owner)];
    direct.must("alice", "create", create(Kind::Direct, &both));
    let said = direct.must("bob", "send", send("hello"));
    let block = Command::Block { user: user("bob") };
    direct.must("alice", "block", block.clone());
    assert_eq!(verdict(&direct, "alice", block), Err(Refusal::NoChange));
    let blocked = Err(Refusal::Blocked { user: user("alice") });
    assert_eq!(verdict(&direct, "bob", send("hello?")), blocked);
    assert_eq!(verdict(&direct, "alice", send("no")), blocked);
    assert_eq!(verdict(&direct, "bob", Command::DeleteMessage { target: said }), Ok(()));
    // The other side has nothing to lift.
    let unblock = |name| Command::Unblock { user: user(name) };
    assert_eq!(verdict(&direct, "bob", unblock("alice")), Err(Refusal::NoChange));
    direct.must("alice", "unblock", unblock("bob"));
    assert_eq!(verdict(&direct, "bob", send("hello!")), Ok(()));
}

#[test]
fn a_thread_is_counted_at_its_root_and_cannot_branch() {
    let mut group = conversation(Kind::Group);
    let root = group.must("owner", "root", send("what do you think?"));
    let reply = group.must("member", "reply", in_thread("good", root));
    let row = message(&group, root);
    let replies = row.replies.expect("a thread");
    assert_eq!((replies.count, replies.last, row.applied_seq), (1, reply, reply));
    assert_eq!(verdict(&group, "admin", in_thread("so", reply)), Err(Refusal::NotAThreadRoot));
    let event = group.run(&request("admin", "more", in_thread("bad", root)), 1000);
    let Decision::Append(event) = event else { panic!("{event:?}") };
    let again = confab_log::fold(&group, &event);
    let index = Index::Thread { root, message: event.seq };
    // The index is told at every repeat, the rows are not.
    assert_eq!((again.rows.len(), again.index), (0, vec![index]));
    group.must("owner", "delete", Command::DeleteMessage { target: root });
    assert_eq!(verdict(&group, "admin", in_thread("late", root)), Err(Refusal::MessageDeleted));
    assert_eq!(message(&group, root).replies.map(|replies| replies.count), Some(2));
}

#[test]
fn mentions_are_indexed_once_each_and_not_for_oneself() {
    let mut group = conversation(Kind::Group);
    let mention = |name| Entity { start: 0, end: 1, kind: EntityKind::Mention(user(name)) };
    let entities = vec![mention("admin"), mention("owner"), mention("admin")];
    let command = Command::send(Content { entities, ..content("hello") });
    let decision = decide(&group, &request("owner", "send", command), None, 1000);
    let Decision::Append(event) = decision else { panic!("{decision:?}") };
    let effects = group.apply(&event);
    assert_eq!(effects.index, [Index::Mention { user: user("admin"), message: event.seq }]);
}

#[test]
fn pins_are_bounded_and_end_with_their_message() {
    let mut group = conversation(Kind::Group);
    for n in 0..=MAX_PINS {
        let seq = group.must("owner", &format!("send-{n}"), send("pin me"));
        let pin = Command::Pin { target: seq };
        if n == MAX_PINS {
            assert_eq!(verdict(&group, "owner", pin), Err(Refusal::TooManyPins));
        } else {
            group.must("admin", &format!("pin-{n}"), pin);
        }
    }
    let first = group.conversation().pins[0];
    let version = group.conversation().version_seq;
    group.must("owner", "delete", Command::DeleteMessage { target: first });
    assert!(!group.conversation().pins.contains(&first));
    let second = group.conversation().pins[0];
    group.must("admin", "unpin", Command::Unpin { target: second });
    assert_eq!(group.conversation().pins.len(), MAX_PINS - 2);
    assert_eq!(group.conversation().version_seq, version, "pins are not in the etag");
}

#[test]
fn what_is_hidden_cannot_be_acted_upon() {
    let mut group = conversation(Kind::Group);
    let old = group.must("owner", "old", send("before"));
    let from_join = Description { history: Some(History::FromJoin), ..Description::default() };
    group.must("owner", "history", update(from_join));
    group.must("owner", "add", Command::AddParticipants { users: vec![user("new")] });
    let new = group.must("owner", "new", send("after"));
    let react = |target| Command::AddReaction { target, emoji: "+".to_owned() };
    assert_eq!(verdict(&group, "new", react(old)), Err(Refusal::MessageNotFound));
    assert_eq!(verdict(&group, "new", in_thread("what?", old)), Err(Refusal::MessageNotFound));
    assert_eq!(verdict(&group, "new", react(new)), Ok(()));
    assert_eq!(verdict(&group, "member", react(old)), Ok(()));
}

#[test]
fn old_messages_expire_in_order_and_by_the_system_only() {
    let mut group = conversation(Kind::Group);
    let first = group.must("owner", "send", send("old"));
    let edit = group.must("owner", "edit", Command::edit(first, content("older")));
    group.must("owner", "pin", Command::Pin { target: first });
    let last = group.must("owner", "later", send("new"));
    let expire = |from, to| {
        let command = Command::Expire { from, to };
        Request { authority: Authority::System, ..request("confab:retention", "x", command) }
    };
    let asked = |from, to| of(decide(&group, &expire(from, to), None, 2000));
    assert_eq!(
        verdict(&group, "owner", Command::Expire { from: 1, to: 2 }),
        Err(Refusal::RoleTooLow)
    );
    for (from, to) in [(2, 3), (1, 0), (1, MAX_EXPIRED_ROWS + 1), (1, last + 1), (0, 1)] {
        assert_eq!(asked(from, to), Err(Refusal::NoChange), "{from}..={to}");
    }
    let decision = decide(&group, &expire(1, edit), None, 2000);
    let Decision::Append(event) = decision else { panic!("{decision:?}") };
    let effects = group.apply(&event);
    assert_eq!(effects.blanked, [edit]);
    assert!(message(&group, first).content.is_none());
    assert!(message(&group, last).content.is_some());
    assert_eq!((group.conversation().pins.len(), group.conversation().expired_through), (0, edit));
}

#[test]
fn an_application_has_an_owners_rights_but_writes_as_a_participant() {
    let mut group = conversation(Kind::Group);
    let asked =
        |group: &Whole, command| of(decide(group, &as_application("new", command), None, 2000));
    assert_eq!(asked(&group, send("hello")), Err(Refusal::NotAParticipant));
    assert_eq!(asked(&group, Command::Archive), Ok(()));
    let leave = |name| Command::Remove {
        user: user(name),
        cause: LeaveCause::Removed,
        reason: String::new(),
    };
    assert_eq!(asked(&group, leave("admin")), Ok(()));
    assert_eq!(asked(&group, leave("owner")), Err(Refusal::RoleTooLow));
    let transfer = as_application("transfer", Command::TransferOwnership { user: user("member") });
    assert!(matches!(group.run(&transfer, 2000), Decision::Append(_)));
    assert_eq!(group.conversation().owner, Some(user("member")));
    assert_eq!(asked(&group, leave("owner")), Ok(()));
    let add = Command::AddParticipants { users: vec![user("bot")] };
    assert!(matches!(group.run(&as_application("add", add), 2000), Decision::Append(_)));
    assert_eq!(asked(&group, send("hello")), Ok(()));
    assert_eq!(asked(&Whole::default(), Command::Archive), Err(Refusal::ConversationNotFound));
}

#[test]
fn nobody_restores_what_nobody_is_left_in() {
    let mut group = Whole::default();
    group.must("owner", "create", create(Kind::Group, &[("owner", Role::Owner)]));
    group.must("owner", "delete", Command::Delete { version: None });
    let restore = as_application("restore", Command::Restore);
    assert_eq!(of(decide(&group, &restore, None, 2000)), Ok(()));
    group.must("owner", "restore", Command::Restore);
    let (user, cause, reason) = (user("owner"), LeaveCause::Left, String::new());
    group.must("owner", "leave", Command::Remove { user, cause, reason });
    assert!(group.conversation().delete_time.is_some());
    assert_eq!(of(decide(&group, &restore, None, 2000)), Err(Refusal::Deleted));
}

#[test]
fn a_veto_counts_only_where_the_command_would_be_carried_out() {
    let mut group = conversation(Kind::Group);
    let veto = Some(Refusal::ContentRefused { rule: "spam".to_owned() });
    let vetoed =
        |actor: &str, id: &str| Request { veto: veto.clone(), ..request(actor, id, send("buy")) };
    assert_eq!(
        Err(veto.clone().expect("a veto")),
        of(decide(&group, &vetoed("owner", "a"), None, 2000))
    );
    let stranger = of(decide(&group, &vetoed("stranger", "a"), None, 2000));
    assert_eq!(stranger, Err(Refusal::ConversationNotFound));
    let seq = group.must("owner", "a", send("buy"));
    // The rule is newer than the message: its sender gets the answer all the same.
    assert_eq!(decide(&group, &vetoed("owner", "a"), None, 2000), Decision::Known(seq));
}

#[test]
fn everything_that_moderators_do_is_on_record() {
    let mut group = conversation(Kind::Group);
    let said = group.must("member", "send", send("rude"));
    let mut acts = Vec::new();
    let mut run = |actor: &str, id: &str, command: Command| {
        let decision = decide(&group, &request(actor, id, command), None, 1000);
        let Decision::Append(event) = decision else { panic!("{decision:?}") };
        acts.extend(group.apply(&event).moderation.into_iter().map(|entry| entry.act));
    };
    run("admin", "delete", Command::DeleteMessage { target: said });
    run("admin", "mute", Command::Mute(sentence("member", Some(5000))));
    run("owner", "unmute", Command::Unmute { user: user("member") });
    run("owner", "role", Command::UpdateRole { user: user("member"), role: Role::Admin });
    run("owner", "ban", Command::Ban(sentence("member", None)));
    run("owner", "unban", Command::Unban { user: user("member") });
    run("owner", "own", send("fine"));
    run("owner", "delete-own", Command::DeleteMessage { target: 9 });
    let flags = vec!["spam".to_owned()];
    run(
        "owner",
        "flag",
        Command::Send { content: content("x"), reply_to: None, thread: None, flags },
    );
    run(
        "admin",
        "leave",
        Command::Remove { user: user("admin"), cause: LeaveCause::Left, reason: String::new() },
    );
    assert_eq!(
        acts,
        [
            Act::MessageDeleted(said),
            Act::Muted(Some(5000)),
            Act::Unmuted,
            Act::RoleChanged(Role::Admin),
            Act::Banned(None),
            Act::Unbanned,
            Act::MessageFlagged(11),
        ]
    );
}
