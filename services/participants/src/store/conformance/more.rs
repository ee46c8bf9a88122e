//! The suite's part on profiles, blocks, reports and the record of moderation.

use confab_log::{UserId, inbox::Settings};

use super::{apply, conversation, inbox, joins, tenant, user};
use crate::{
    domain::{
        Action, Category, Effects, InboxBody, Profile, ProfileChanges, Report, ReportId,
        Resolution, SettingsChanges,
    },
    store::Store,
};

pub(super) async fn suite<S: Store>(fresh: impl AsyncFn() -> S) {
    profiles_change_field_by_field(&fresh().await).await;
    blocks_are_told_once(&fresh().await).await;
    reports_are_kept_once_and_resolved_once(&fresh().await).await;
    actions_are_recorded_once(&fresh().await).await;
}

/// Settings are the user's own; setting what is set tells nothing.
pub(super) async fn settings_are_arranged_and_told<S: Store>(store: &S) {
    let (acme, bob, room) = (tenant("acme"), user("bob"), conversation(1));
    let mute = SettingsChanges {
        muted: Some(true),
        mute_until: Some(Some(99)),
        ..SettingsChanges::default()
    };
    let arrange = async |changes| store.arrange(&acme, &bob, &room, changes, 5).await.expect("set");
    assert_eq!(arrange(mute).await, None, "a stranger arranges nothing");
    apply(store, 1, joins(1, &["bob"])).await;
    let (settings, event) = arrange(mute).await.expect("a participant");
    assert_eq!((settings.muted, settings.mute_until), (true, Some(99)));
    assert_eq!(event.expect("told").body, InboxBody::Arranged(settings));
    assert_eq!(arrange(mute).await, Some((settings, None)));
    let loud = SettingsChanges { muted: Some(false), ..SettingsChanges::default() };
    let (settings, _) = arrange(loud).await.expect("a participant");
    assert_eq!(settings, Settings::default(), "the end of a mute ends with it");
    let list = store.memberships(&acme, &bob).await.expect("memberships");
    assert_eq!((list.head, list.entries[0].1.settings), (3, settings));
}

async fn profiles_change_field_by_field<S: Store>(store: &S) {
    let acme = tenant("acme");
    let name = |text: &str| ProfileChanges {
        display_name: Some(text.to_owned()),
        ..ProfileChanges::default()
    };
    let first = store.change_profile(&acme, &user("bob"), name("Bob"), 5).await.expect("change");
    let expected = Profile {
        display_name: "Bob".to_owned(),
        create_time: 5,
        update_time: 5,
        ..Profile::default()
    };
    assert_eq!(first, expected);
    let avatar = ProfileChanges {
        avatar_url: Some("https://x.test/b.png".to_owned()),
        ..ProfileChanges::default()
    };
    let second = store.change_profile(&acme, &user("bob"), avatar, 9).await.expect("change");
    assert_eq!(
        (second.display_name.as_str(), second.create_time, second.update_time),
        ("Bob", 5, 9)
    );
    let same = store.change_profile(&acme, &user("bob"), name("Bob"), 11).await.expect("change");
    assert_eq!(same.update_time, 9, "nothing changed");
    for other in ["ann", "bobby"] {
        store.change_profile(&acme, &user(other), name(other), 5).await.expect("change");
    }
    let names = |rows: Vec<(UserId, Profile)>| -> Vec<String> {
        rows.into_iter().map(|(user, _)| user.to_string()).collect()
    };
    let asked = [user("bobby"), user("nobody"), user("ann")];
    assert_eq!(names(store.profiles(&acme, &asked).await.expect("profiles")), ["bobby", "ann"]);
    assert_eq!(names(store.list_profiles(&acme, None, 2).await.expect("list")), ["ann", "bob"]);
    let after = store.list_profiles(&acme, Some(&user("bob")), 9).await.expect("list");
    assert_eq!(names(after), ["bobby"]);
    for other in ["acm", "acme2"] {
        let others = store.list_profiles(&tenant(other), None, 9).await.expect("list");
        assert_eq!(others, [], "tenants never meet");
    }
}

async fn blocks_are_told_once<S: Store>(store: &S) {
    let acme = tenant("acme");
    let set = async |other: &str, blocked| {
        let (bob, other) = (user("bob"), user(other));
        store.set_block(&acme, &bob, &other, blocked, 7).await.expect("set")
    };
    let has = async |one: &str, other: &str| {
        store.has_blocked(&acme, &user(one), &user(other)).await.expect("has")
    };
    assert_eq!(set("eve", false).await, None, "nothing to lift");
    let event = set("eve", true).await.expect("told");
    assert_eq!((event.conversation, event.body), (None, InboxBody::Blocked { user: user("eve") }));
    assert_eq!(set("eve", true).await, None);
    assert!(set("carl", true).await.is_some());
    assert!(has("bob", "eve").await && !has("eve", "bob").await && !has("bob", "ev").await);
    let list = store.list_blocks(&acme, &user("bob"), None, 9).await.expect("list");
    assert_eq!(list, [(user("carl"), 7), (user("eve"), 7)]);
    let after = store.list_blocks(&acme, &user("bob"), Some(&user("carl")), 9).await.expect("list");
    assert_eq!(after, [(user("eve"), 7)]);
    assert_eq!(store.list_blocks(&acme, &user("bo"), None, 9).await.expect("list"), []);
    let event = set("eve", false).await.expect("told");
    assert_eq!(event.body, InboxBody::Unblocked { user: user("eve") });
    assert!(!has("bob", "eve").await);
    assert_eq!(inbox(store, "bob").await.len(), 3);
}

fn report(reporter: Option<&str>, time: i64) -> Report {
    Report {
        conversation: conversation(1),
        message: 4,
        sender: user("eve"),
        reporter: reporter.map(user),
        category: if reporter.is_some() { Category::Abuse } else { Category::Rule },
        comment: "words".to_owned(),
        content: Some(vec![1, 2]),
        time,
        resolution: None,
    }
}

async fn reports_are_kept_once_and_resolved_once<S: Store>(store: &S) {
    let acme = tenant("acme");
    let id = |reporter: &str| ReportId::of(&acme, &conversation(1), 4, Some(&user(reporter)), "");
    let list = async |resolved, after| {
        let rows = store.list_reports(&acme, resolved, after, 9).await.expect("list");
        rows.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    for (reporter, time) in [("bob", 20), ("ann", 10), ("bob", 30)] {
        store.report(&acme, id(reporter), report(Some(reporter), time)).await.expect("report");
    }
    assert_eq!(list(false, None).await, [id("ann"), id("bob")], "by time, each once");
    assert_eq!(list(false, Some((10, id("ann")))).await, [id("bob")]);
    let resolution = |note: &str| Resolution {
        acted: true,
        resolver: user("mod"),
        note: note.to_owned(),
        time: 40,
    };
    let resolved = store.resolve(&acme, id("ann"), resolution("done")).await.expect("resolve");
    let resolved = resolved.expect("a report");
    assert_eq!(
        (&resolved.content, resolved.resolution.as_ref()),
        (&None, Some(&resolution("done")))
    );
    let again = store.resolve(&acme, id("ann"), resolution("again")).await.expect("resolve");
    assert_eq!(again, Some(resolved));
    assert_eq!(
        (list(false, None).await, list(true, None).await),
        (vec![id("bob")], vec![id("ann")])
    );
    // A report that was resolved is not opened by being made again.
    store.report(&acme, id("ann"), report(Some("ann"), 50)).await.expect("report");
    assert_eq!(list(false, None).await, [id("bob")]);
    assert_eq!(
        store.resolve(&tenant("acme2"), id("bob"), resolution("x")).await.expect("none"),
        None
    );
    assert_eq!(store.list_reports(&tenant("acme2"), false, None, 9).await.expect("list"), []);
}

async fn actions_are_recorded_once<S: Store>(store: &S) {
    let action = |kind: i32| Action {
        kind,
        actor: user("ann"),
        target: user("eve"),
        message: 4,
        reason: "words".to_owned(),
        until: None,
        role: None,
        time: 10,
    };
    let effects = |seq, kinds: &[i32]| Effects {
        moderation: kinds.iter().map(|kind| action(*kind)).collect(),
        reports: vec![report(None, 10)],
        ..Effects::of(seq, 10)
    };
    // Told twice, as after a crash.
    for (seq, kinds) in [(5, &[7, 7][..]), (5, &[7, 7]), (300, &[3])] {
        apply(store, 1, effects(seq, kinds)).await;
    }
    let list = async |before, limit| {
        let acme = tenant("acme");
        let rows = store.list_actions(&acme, &conversation(1), before, limit).await.expect("list");
        rows.into_iter().map(|(place, action)| (place, action.kind)).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9).await, [((300, 0), 3), ((5, 1), 7), ((5, 0), 7)]);
    assert_eq!(list(Some((5, 1)), 9).await, [((5, 0), 7)]);
    assert_eq!(list(None, 1).await, [((300, 0), 3)]);
    let reports = store.list_reports(&tenant("acme"), false, None, 9).await.expect("list");
    assert_eq!(reports.len(), 1, "one flag is one report");
}
