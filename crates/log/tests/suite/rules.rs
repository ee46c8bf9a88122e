//! Who may do what, as tables.

use confab_log::{
    Command, Decision, Refusal, RowKey, decide,
    decide::may_write,
    event::{Description, Kind, LeaveCause, Role},
};

use crate::common::{Whole, content, create, request, send, sentence, user};

/// A group of everybody that the table has a column for, each with a message of
/// their own: `former`'s is 2, then `banned`, `muted`, `member`, `admin`, `owner`,
/// `target` and `rival`, who is an admin too.
fn group() -> Whole {
    let mut whole = Whole::default();
    let (member, admin) = (Role::Member, Role::Admin);
    let names = [
        ("owner", Role::Owner),
        ("former", member),
        ("banned", member),
        ("muted", member),
        ("member", member),
        ("admin", admin),
        ("target", member),
        ("rival", admin),
    ];
    whole.must("owner", "create", create(Kind::Group, &names));
    for name in ["former", "banned", "muted", "member", "admin", "owner", "target", "rival"] {
        whole.must(name, "send", send(name));
    }
    whole.must("former", "leave", leave("former", LeaveCause::Left));
    whole.must("owner", "ban", Command::Ban(sentence("banned", Some(5000))));
    whole.must("owner", "mute", Command::Mute(sentence("muted", Some(5000))));
    whole
}

fn leave(name: &str, cause: LeaveCause) -> Command {
    Command::Remove { user: user(name), cause, reason: String::new() }
}

fn own_message(actor: &str) -> u64 {
    let senders = ["former", "banned", "muted", "member", "admin", "owner", "target", "rival"];
    let place = senders.iter().position(|name| *name == actor);
    place.map_or(8, |place| place as u64 + 2)
}

fn command(name: &str, actor: &str) -> Command {
    let emoji = "+".to_owned();
    match name {
        "send" => send("hello"),
        "edit own" => Command::edit(own_message(actor), content("new")),
        "edit other" => Command::edit(8, content("new")),
        "edit none" => Command::edit(99, content("new")),
        "delete own" => Command::DeleteMessage { target: own_message(actor) },
        "delete other" => Command::DeleteMessage { target: 8 },
        "react" => Command::AddReaction { target: 8, emoji },
        "reply" => Command::Send {
            content: content("hello"),
            reply_to: Some(8),
            thread: None,
            flags: Vec::new(),
        },
        "thread" => Command::Send {
            content: content("hello"),
            reply_to: None,
            thread: Some(8),
            flags: Vec::new(),
        },
        "thread none" => Command::Send {
            content: content("hello"),
            reply_to: None,
            thread: Some(1),
            flags: Vec::new(),
        },
        "pin" => Command::Pin { target: 8 },
        "pin none" => Command::Pin { target: 1 },
        "unpin" => Command::Unpin { target: 8 },
        "join" => Command::Join,
        "block" => Command::Block { user: user("target") },
        "expire" => Command::Expire { from: 1, to: 3 },
        "unreact" => Command::RemoveReaction { target: 8, emoji },
        "add" => Command::AddParticipants { users: vec![user("new"), user("new")] },
        "add none" => Command::AddParticipants { users: Vec::new() },
        "add member" => Command::AddParticipants { users: vec![user("target")] },
        "add banned" => Command::AddParticipants { users: vec![user("banned")] },
        "add former" => Command::AddParticipants { users: vec![user("former")] },
        "remove" => leave("target", LeaveCause::Removed),
        "remove rival" => leave("rival", LeaveCause::Kicked),
        "remove owner" => leave("owner", LeaveCause::Removed),
        "remove none" => leave("nobody", LeaveCause::Removed),
        "leave" => leave(actor, LeaveCause::Left),
        "update" => Command::Update { changes: Description::default(), version: None },
        "update stale" => Command::Update { changes: Description::default(), version: Some(9) },
        "archive" => Command::Archive,
        "unarchive" => Command::Unarchive,
        "delete" => Command::Delete { version: None },
        "restore" => Command::Restore,
        "role" => Command::UpdateRole { user: user("target"), role: Role::Admin },
        "role same" => Command::UpdateRole { user: user("target"), role: Role::Member },
        "role owner" => Command::UpdateRole { user: user("target"), role: Role::Owner },
        "transfer" => Command::TransferOwnership { user: user("target") },
        "mute" => Command::Mute(sentence("target", None)),
        "mute rival" => Command::Mute(sentence("rival", None)),
        "unmute" => Command::Unmute { user: user("muted") },
        "unmute none" => Command::Unmute { user: user("target") },
        "ban" => Command::Ban(sentence("target", None)),
        "ban rival" => Command::Ban(sentence("rival", None)),
        "ban stranger" => Command::Ban(sentence("nobody", None)),
        "unban" => Command::Unban { user: user("banned") },
        "unban none" => Command::Unban { user: user("target") },
        other => panic!("no such command: {other}"),
    }
}

/// The first word of what `decide` says.
fn verdict(whole: &Whole, actor: &str, name: &str) -> String {
    match decide(whole, &request(actor, "new", command(name, actor)), None, 2000) {
        Decision::Append(_) => "ok".to_owned(),
        Decision::Known(seq) => format!("known {seq}"),
        Decision::Refuse(refusal) => {
            let text = format!("{refusal:?}");
            text.split([' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}

const ACTORS: [&str; 7] = ["stranger", "former", "banned", "muted", "member", "admin", "owner"];

/// A row for a command; a column for each of [`ACTORS`]. Strangers, former and
/// banned participants are told the same of every command.
const TABLE: &str = "
    send         | Muted           | ok              | ok              | ok
    edit own     | Muted           | ok              | ok              | ok
    edit other   | Muted           | NotTheSender    | NotTheSender    | NotTheSender
    edit none    | Muted           | MessageNotFound | MessageNotFound | MessageNotFound
    delete own   | ok              | ok              | ok              | ok
    delete other | NotTheSender    | NotTheSender    | ok              | ok
    react        | Muted           | ok              | ok              | ok
    unreact      | Muted           | ReactionNotFound| ReactionNotFound| ReactionNotFound
    reply        | Muted           | ok              | ok              | ok
    thread       | Muted           | ok              | ok              | ok
    thread none  | Muted           | MessageNotFound | MessageNotFound | MessageNotFound
    pin          | RoleTooLow      | RoleTooLow      | ok              | ok
    pin none     | RoleTooLow      | RoleTooLow      | MessageNotFound | MessageNotFound
    unpin        | RoleTooLow      | RoleTooLow      | NoChange        | NoChange
    block        | NoChange        | NoChange        | NoChange        | NoChange
    add          | RoleTooLow      | RoleTooLow      | ok              | ok
    add none     | RoleTooLow      | RoleTooLow      | NoChange        | NoChange
    add member   | RoleTooLow      | RoleTooLow      | AlreadyAParticipant | AlreadyAParticipant
    add banned   | RoleTooLow      | RoleTooLow      | Banned          | Banned
    add former   | RoleTooLow      | RoleTooLow      | ok              | ok
    remove       | RoleTooLow      | RoleTooLow      | ok              | ok
    remove rival | RoleTooLow      | RoleTooLow      | RoleTooLow      | ok
    remove none  | RoleTooLow      | RoleTooLow      | ParticipantNotFound | ParticipantNotFound
    leave        | ok              | ok              | ok              | OwnerMustTransfer
    update       | RoleTooLow      | RoleTooLow      | ok              | ok
    update stale | RoleTooLow      | RoleTooLow      | EtagMismatch    | EtagMismatch
    archive      | RoleTooLow      | RoleTooLow      | ok              | ok
    unarchive    | RoleTooLow      | RoleTooLow      | NoChange        | NoChange
    delete       | RoleTooLow      | RoleTooLow      | RoleTooLow      | ok
    restore      | RoleTooLow      | RoleTooLow      | RoleTooLow      | NoChange
    role         | RoleTooLow      | RoleTooLow      | RoleTooLow      | ok
    role same    | RoleTooLow      | RoleTooLow      | RoleTooLow      | NoChange
    role owner   | RoleTooLow      | RoleTooLow      | RoleTooLow      | OwnerMustTransfer
    transfer     | RoleTooLow      | RoleTooLow      | RoleTooLow      | ok
    mute         | RoleTooLow      | RoleTooLow      | ok              | ok
    mute rival   | RoleTooLow      | RoleTooLow      | RoleTooLow      | ok
    unmute       | RoleTooLow      | RoleTooLow      | ok              | ok
    unmute none  | RoleTooLow      | RoleTooLow      | NoChange        | NoChange
    ban          | RoleTooLow      | RoleTooLow      | ok              | ok
    ban rival    | RoleTooLow      | RoleTooLow      | RoleTooLow      | ok
    ban stranger | RoleTooLow      | RoleTooLow      | ok              | ok
    unban        | RoleTooLow      | RoleTooLow      | ok              | ok
    unban none   | RoleTooLow      | RoleTooLow      | NoChange        | NoChange
";

fn table() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    TABLE.trim().lines().map(|line| {
        let mut cells = line.split('|').map(str::trim);
        let name = cells.next().unwrap_or_default();
        (name, cells.collect())
    })
}

#[test]
fn each_role_may_do_what_the_table_says() {
    let whole = group();
    let outside = ["ConversationNotFound", "NotAParticipant", "Banned"];
    let mut wrong = Vec::new();
    for (name, inside) in table() {
        let expected = outside.iter().chain(&inside);
        for (actor, expected) in ACTORS.iter().zip(expected) {
            let said = verdict(&whole, actor, name);
            if said != *expected {
                wrong.push(format!("{actor}: {name}: {said}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_owner_acts_on_others_only() {
    let whole = group();
    let acts = [
        Command::UpdateRole { user: user("owner"), role: Role::Member },
        Command::TransferOwnership { user: user("owner") },
        Command::Mute(sentence("owner", None)),
        Command::Ban(sentence("owner", None)),
        leave("owner", LeaveCause::Kicked),
    ];
    for act in acts {
        let decision = decide(&whole, &request("owner", "new", act.clone()), None, 2000);
        assert_eq!(decision, Decision::Refuse(Refusal::TargetIsCaller), "{act:?}");
    }
}

#[test]
fn an_archived_conversation_is_read_only() {
    let mut whole = group();
    whole.must("owner", "archive", Command::Archive);
    for name in ["send", "edit own", "delete own", "react", "unreact"] {
        assert_eq!(verdict(&whole, "owner", name), "Archived", "{name}");
    }
    for name in ["add", "leave", "update", "unarchive", "delete", "mute", "ban"] {
        assert_ne!(verdict(&whole, "admin", name), "Archived", "{name}");
    }
    assert_eq!(verdict(&whole, "owner", "archive"), "NoChange");
    whole.must("owner", "unarchive", Command::Unarchive);
    assert_eq!(verdict(&whole, "owner", "send"), "ok");
}

#[test]
fn a_deleted_conversation_can_only_be_restored() {
    let mut whole = group();
    whole.must("owner", "delete", Command::Delete { version: None });
    // Blocking says nothing of the conversation, so it does not need one that lives.
    for (name, _) in table().filter(|(name, _)| !["restore", "block"].contains(name)) {
        assert_eq!(verdict(&whole, "owner", name), "Deleted", "{name}");
    }
    assert_eq!(verdict(&whole, "admin", "restore"), "RoleTooLow");
    whole.must("owner", "restore", Command::Restore);
    assert_eq!(verdict(&whole, "owner", "send"), "ok");
}

#[test]
fn two_people_have_no_ranks() {
    let mut whole = Whole::default();
    let both = [("owner", Role::Owner), ("target", Role::Owner)];
    whole.must("owner", "create", create(Kind::Direct, &both));
    for name in
        ["add", "remove", "leave", "update", "role", "transfer", "mute", "unmute", "ban", "unban"]
    {
        assert_eq!(verdict(&whole, "owner", name), "DirectConversation", "{name}");
    }
    let sent = whole.must("target", "send", send("hello"));
    let other = Command::DeleteMessage { target: sent };
    let decision = decide(&whole, &request("owner", "new", other), None, 2000);
    assert_eq!(decision, Decision::Refuse(Refusal::NotTheSender));
    for name in ["send", "archive", "delete"] {
        assert_eq!(verdict(&whole, "owner", name), "ok", "{name}");
    }
}

#[test]
fn mutes_and_bans_hold_for_events_before_their_end() {
    let whole = group();
    let at = |actor: &str, command: Command, now| {
        decide(&whole, &request(actor, "new", command), None, now)
    };
    let ok = |decision| matches!(decision, Decision::Append(_));
    assert!(!ok(at("muted", send("hello"), 4999)));
    assert!(ok(at("muted", send("hello"), 5000)));
    let add = || Command::AddParticipants { users: vec![user("banned")] };
    assert!(!ok(at("admin", add(), 4999)));
    assert!(ok(at("admin", add(), 5000)));
    // A clock that is behind does not reach back before the last event.
    let Decision::Append(event) = at("owner", send("hello"), 1) else {
        panic!("refused");
    };
    assert_eq!(event.time, 1000);
    // What is over when it is imposed is refused; there is nothing to lift either.
    let past = Command::Mute(sentence("target", Some(2000)));
    assert_eq!(at("owner", past, 2000), Decision::Refuse(Refusal::UntilPassed { now: 2000 }));
    let unmute = Command::Unmute { user: user("muted") };
    assert_eq!(at("owner", unmute, 5000), Decision::Refuse(Refusal::NoChange));
}

#[test]
fn a_join_begins_anew() {
    let mut whole = group();
    whole.must("owner", "remove", leave("muted", LeaveCause::Removed));
    whole.must("owner", "add", Command::AddParticipants { users: vec![user("muted")] });
    assert_eq!(verdict(&whole, "muted", "send"), "ok");
    whole.must("owner", "unban", Command::Unban { user: user("banned") });
    assert_eq!(verdict(&whole, "banned", "send"), "NotAParticipant");
    whole.must("owner", "add-again", Command::AddParticipants { users: vec![user("banned")] });
    assert_eq!(verdict(&whole, "banned", "send"), "ok");
}

#[test]
fn a_known_request_is_answered_before_anything_is_refused() {
    let whole = group();
    let again = decide(&whole, &request("banned", "send", send("banned")), None, 2000);
    assert_eq!(again, Decision::Known(3));
    let other = decide(&whole, &request("banned", "send", send("another")), None, 2000);
    assert_eq!(other, Decision::Refuse(Refusal::RequestIdReused));
    // Also where only a scan of older rows knows it.
    let old = request("stranger", "old", send("old"));
    assert_eq!(decide(&whole, &old, Some((old.digest, 4)), 2000), Decision::Known(4));
}

#[test]
fn nobody_learns_of_a_head_that_they_may_not_see() {
    let whole = group();
    let ahead = |actor: &str| {
        let ahead =
            confab_log::Request { after_seq: Some(99), ..request(actor, "new", send("hello")) };
        decide(&whole, &ahead, None, 2000)
    };
    assert_eq!(ahead("stranger"), Decision::Refuse(Refusal::ConversationNotFound));
    assert_eq!(ahead("owner"), Decision::Refuse(Refusal::AfterSeqAboveHead { head: whole.seq }));
}

#[test]
fn the_last_to_leave_deletes() {
    let mut whole = Whole::default();
    whole.must("owner", "create", create(Kind::Group, &[("owner", Role::Owner)]));
    whole.must("owner", "leave", leave("owner", LeaveCause::Left));
    assert!(whole.conversation().delete_time.is_some());
    assert_eq!(verdict(&whole, "owner", "send"), "NotAParticipant");
}

#[test]
fn nobody_is_added_twice_and_a_group_has_a_bound() {
    let mut whole = Whole::default();
    let twice = [("owner", Role::Owner), ("a", Role::Member), ("a", Role::Admin)];
    whole.must("owner", "create", create(Kind::Group, &twice));
    assert_eq!(whole.conversation().participant_count, 2);
    let many = |count: u32| {
        let users = (0..count).flat_map(|n| [user(&format!("u{n}")), user(&format!("u{n}"))]);
        Command::AddParticipants { users: users.collect() }
    };
    let full = decide(&whole, &request("owner", "new", many(999)), None, 2000);
    assert_eq!(full, Decision::Refuse(Refusal::TooManyParticipants));
    whole.must("owner", "add", many(998));
    assert_eq!(whole.conversation().participant_count, 1000);
    let names: Vec<_> = (0..1001).map(|n| format!("u{n}")).collect();
    let names: Vec<_> = names.iter().map(|name| (name.as_str(), Role::Member)).collect();
    let large = request("u0", "create", create(Kind::Group, &names));
    let large = decide(&Whole::default(), &large, None, 2000);
    assert_eq!(large, Decision::Refuse(Refusal::TooManyParticipants));
}

#[test]
fn a_direct_conversation_is_created_once_and_again_after_its_deletion() {
    let both = [("a", Role::Owner), ("b", Role::Owner)];
    let mut whole = Whole::default();
    whole.must("a", "create", create(Kind::Direct, &both));
    let by_b = request("b", "create", create(Kind::Direct, &both));
    assert_eq!(decide(&whole, &by_b, None, 1000), Decision::Known(1));
    whole.must("a", "delete", Command::Delete { version: None });
    assert_eq!(whole.must("b", "create", create(Kind::Direct, &both)), 3);
    assert!(whole.conversation().delete_time.is_none());
    // The first creation's answer stands, whatever happened since.
    whole.must("a", "delete-again", Command::Delete { version: None });
    let again = request("a", "create", create(Kind::Direct, &both));
    assert_eq!(decide(&whole, &again, None, 1000), Decision::Known(1));
}

/// Typing and a message are allowed to the same people at the same time.
#[test]
fn who_may_write_is_who_may_send() {
    let open = group();
    let mut archived = open.clone();
    archived.must("owner", "archive", Command::Archive);
    let mut deleted = open.clone();
    deleted.must("owner", "delete", Command::Delete { version: None });
    let mut allowed = 0;
    for whole in [&open, &archived, &deleted] {
        for actor in &ACTORS[1..] {
            let names = [RowKey::Conversation, RowKey::Member(user(actor))];
            let rows = names.map(|name| (name.clone(), whole.rows.get(&name).cloned()));
            // Before and after the mute and the ban end.
            for time in [2000, 5000] {
                let decision = decide(whole, &request(actor, "new", send("hi")), None, time);
                let sends = matches!(decision, Decision::Append(_));
                let writes = may_write(&user(actor), &rows, time);
                assert_eq!(writes, sends, "{actor} at {time}: {decision:?}");
                allowed += usize::from(writes);
            }
        }
    }
    assert_eq!(allowed, 3 * 2 + 1, "three of the open group, and one whose mute has ended");
}
