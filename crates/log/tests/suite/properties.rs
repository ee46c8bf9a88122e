//! What holds for every conversation, whatever is asked in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use confab_log::{
    Command, Content, Decision, Event, Index, Micros, Request, Row, RowKey, Seq,
    command::Authority,
    decide::{MAX_EDITS, MAX_EMOJI_PER_MESSAGE, MAX_EMOJI_PER_USER, MAX_PARTICIPANTS, MAX_PINS},
    event::{Description, Entity, EntityKind, History, Kind, LeaveCause, Role},
    fold,
};
use proptest::prelude::*;

use crate::common::{Whole, content, create, request, send, sentence, user};

const NAMES: [&str; 6] = ["o", "a", "b", "c", "d", "e"];

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

fn until() -> impl Strategy<Value = Option<Micros>> {
    prop::option::of(0..2000i64)
}

fn on_messages() -> impl Strategy<Value = Command> {
    let target = 1..30u64;
    let emoji = "[+♥!]";
    prop_oneof![
        4 => "[a-c]{0,3}".prop_map(|text| send(&text)),
        3 => ("[a-c]{1,3}", prop::option::of(1..30u64), prop::option::of(1..30u64), name())
            .prop_map(|(text, reply_to, thread, name)| Command::Send {
                content: mentioning(&text, name),
                reply_to,
                thread,
                flags: text.starts_with('a').then(|| "rule".to_owned()).into_iter().collect(),
            }),
        1 => target.clone().prop_map(|target| Command::Pin { target }),
        1 => target.clone().prop_map(|target| Command::Unpin { target }),
        1 => (1..20u64, 0..6u64)
            .prop_map(|(from, width)| Command::Expire { from, to: from + width }),
        2 => (target.clone(), "[a-c]{1,3}")
            .prop_map(|(target, text)| Command::edit(target, content(&text))),
        1 => target.clone().prop_map(|target| Command::DeleteMessage { target }),
        2 => (target.clone(), emoji)
            .prop_map(|(target, emoji)| Command::AddReaction { target, emoji }),
        1 => (target, emoji)
            .prop_map(|(target, emoji)| Command::RemoveReaction { target, emoji }),
    ]
}

fn mentioning(text: &str, name: &str) -> Content {
    let kind = EntityKind::Mention(user(name));
    Content { entities: vec![Entity { start: 0, end: 1, kind }], ..content(text) }
}

fn on_participants() -> impl Strategy<Value = Command> {
    let cause =
        prop::sample::select(vec![LeaveCause::Left, LeaveCause::Removed, LeaveCause::Kicked]);
    let role = prop::sample::select(vec![Role::Member, Role::Admin, Role::Owner]);
    prop_oneof![
        3 => prop::collection::vec(name(), 0..3).prop_map(|names| Command::AddParticipants {
            users: names.into_iter().map(user).collect(),
        }),
        3 => (name(), cause).prop_map(|(name, cause)| Command::Remove {
            user: user(name),
            cause,
            reason: String::new(),
        }),
        1 => (name(), role)
            .prop_map(|(name, role)| Command::UpdateRole { user: user(name), role }),
        1 => name().prop_map(|name| Command::TransferOwnership { user: user(name) }),
        1 => (name(), until()).prop_map(|(name, until)| Command::Mute(sentence(name, until))),
        1 => name().prop_map(|name| Command::Unmute { user: user(name) }),
        1 => (name(), until()).prop_map(|(name, until)| Command::Ban(sentence(name, until))),
        1 => name().prop_map(|name| Command::Unban { user: user(name) }),
        2 => Just(Command::Join),
        1 => name().prop_map(|name| Command::Block { user: user(name) }),
        1 => name().prop_map(|name| Command::Unblock { user: user(name) }),
    ]
}

fn on_conversation() -> impl Strategy<Value = Command> {
    let version = || prop::option::of(1..20u64);
    prop_oneof![
        ("[a-c]{0,2}", version()).prop_map(|(title, version)| Command::Update {
            changes: Description { title: Some(title), ..Description::default() },
            version,
        }),
        (any::<bool>(), any::<bool>()).prop_map(|(public, from_join)| Command::Update {
            changes: Description {
                public: Some(public),
                history: Some(if from_join { History::FromJoin } else { History::Full }),
                ..Description::default()
            },
            version: None,
        }),
        Just(Command::Archive),
        Just(Command::Unarchive),
        version().prop_map(|version| Command::Delete { version }),
        Just(Command::Restore),
        Just(create(Kind::Direct, &[("o", Role::Owner), ("a", Role::Owner)])),
    ]
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![5 => on_messages(), 4 => on_participants(), 1 => on_conversation()]
}

#[derive(Clone, Debug)]
struct Asked {
    actor: &'static str,
    /// Request ids repeat now and then, with the same body or another.
    id: u8,
    command: Command,
    now: Micros,
}

impl Asked {
    fn request(&self) -> Request {
        let request = request(self.actor, &format!("r{}", self.id), self.command.clone());
        let authority = match self.command {
            Command::Expire { .. } => Authority::System,
            _ if self.actor == "e" => Authority::Application,
            _ => Authority::Participant,
        };
        Request { authority, ..request }
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    // The owner asks most: theirs are the commands that go through.
    let actor = prop_oneof![3 => Just("o"), 4 => name()];
    (actor, any::<u8>(), command(), 0..2000i64).prop_map(|(actor, id, command, now)| Asked {
        actor,
        id,
        command,
        now,
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Direct, Kind::Group, Kind::Group, Kind::Channel])
}

fn first(kind: Kind) -> Command {
    match kind {
        Kind::Direct => create(kind, &[("o", Role::Owner), ("a", Role::Owner)]),
        _ => create(kind, &[("o", Role::Owner), ("a", Role::Admin), ("b", Role::Member)]),
    }
}

/// Runs what is asked; the log, and the rows after each event, before the first one too.
fn run(kind: Kind, asked: &[Asked]) -> (Whole, Vec<Event>, Vec<BTreeMap<RowKey, Row>>) {
    let (mut whole, mut log, mut rows) = (Whole::default(), Vec::new(), vec![BTreeMap::new()]);
    let mut take = |request, now| {
        if let Decision::Append(event) = whole.run(&request, now) {
            log.push(*event);
            rows.push(whole.rows.clone());
        }
    };
    take(request("o", "create", first(kind)), 0);
    for asked in asked {
        take(asked.request(), asked.now);
    }
    (whole, log, rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The log is dense, its counters count, its times never go back, and no
    /// sender's request id is in it twice.
    #[test]
    fn a_log_is_well_formed(kind in kind(), asked in prop::collection::vec(asked(), 0..80)) {
        let (_, log, _) = run(kind, &asked);
        let (mut ordinal, mut last_message, mut time) = (0, 0, 0);
        let mut ids = BTreeSet::new();
        for (event, seq) in log.iter().zip(1..) {
            prop_assert_eq!(event.seq, seq);
            if matches!(event.body, confab_log::EventBody::MessageCreated(_)) {
                ordinal += 1;
                last_message = seq;
            }
            prop_assert_eq!((event.ordinal, event.last_message), (ordinal, last_message));
            prop_assert!(event.time >= time);
            time = event.time;
            prop_assert!(ids.insert((event.actor.clone(), event.request_id.clone())));
        }
    }

    /// Folding an event over its own effects changes no row, and tells the inboxes
    /// and blanks contents as it did at first: a crash may have come between.
    #[test]
    fn fold_is_idempotent(kind in kind(), asked in prop::collection::vec(asked(), 0..80)) {
        let (_, log, _) = run(kind, &asked);
        let mut whole = Whole::default();
        for event in &log {
            let effects = whole.apply(event);
            let again = fold(&whole, event);
            prop_assert!(again.rows.is_empty(), "{:?}", again.rows);
            prop_assert_eq!(&again.inbox, &effects.inbox);
            prop_assert_eq!(&again.blanked, &effects.blanked);
            prop_assert_eq!(&again.index, &effects.index);
            prop_assert_eq!(&again.moderation, &effects.moderation);
        }
    }

    /// Rows loaded at any times, each at its own, and folded on from the oldest of
    /// these times, are the rows of the end; inboxes are told the same.
    #[test]
    fn folding_on_from_any_rows_is_folding_all(
        kind in kind(),
        asked in prop::collection::vec(asked(), 0..80),
        from in any::<prop::sample::Index>(),
        ages in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let (end, log, versions) = run(kind, &asked);
        let from = from.index(versions.len());
        let keys = versions.last().into_iter().flat_map(BTreeMap::keys);
        let mut mixed = Whole { seq: from as Seq, ..Whole::default() };
        for (key, age) in keys.zip(ages.iter().cycle()) {
            let version = from + age.index(versions.len() - from);
            if let Some(row) = versions[version].get(key) {
                mixed.rows.insert(key.clone(), row.clone());
            }
        }
        let mut all = Whole::default();
        for event in &log {
            let effects = all.apply(event);
            if event.seq > from as Seq {
                let folded_on = mixed.apply(event);
                prop_assert_eq!(folded_on.inbox, effects.inbox);
                prop_assert_eq!(folded_on.blanked, effects.blanked);
                prop_assert_eq!(folded_on.index, effects.index);
                prop_assert_eq!(folded_on.moderation, effects.moderation);
            }
        }
        prop_assert_eq!(mixed.rows, end.rows);
    }

    /// What every accepted command leaves true.
    #[test]
    fn decisions_keep_the_conversation_sound(
        kind in kind(),
        asked in prop::collection::vec(asked(), 0..120),
    ) {
        let (_, log, _) = run(kind, &asked);
        let (mut whole, mut threads) = (Whole::default(), Vec::new());
        for event in &log {
            threads.extend(whole.apply(event).index);
            sound(&whole)?;
            indexed(&whole, &threads)?;
        }
    }

    /// Asked again, at any later time, whoever was answered is answered the same.
    #[test]
    fn answers_are_for_ever(kind in kind(), asked in prop::collection::vec(asked(), 0..80)) {
        let (whole, _, _) = run(kind, &asked);
        for asked in &asked {
            let request = asked.request();
            let id = (request.actor.clone(), request.request_id.clone());
            let Some((digest, seq)) = whole.ids.get(&id) else { continue };
            let expected = if *digest == request.digest {
                Decision::Known(*seq)
            } else {
                Decision::Refuse(confab_log::Refusal::RequestIdReused)
            };
            prop_assert_eq!(confab_log::decide(&whole, &request, None, 5000), expected);
        }
    }

    /// Two commands share a digest only if they are the same in every field.
    #[test]
    fn digests_tell_commands_apart(one in command(), other in command()) {
        let key = crate::common::KEY;
        prop_assert_eq!(one == other, one.digest(&key) == other.digest(&key));
        prop_assert_ne!(one.digest(&key), one.digest(&[8; 32]));
    }
}

fn sound(whole: &Whole) -> Result<(), TestCaseError> {
    let conversation = whole.conversation();
    let active: Vec<_> = whole.members().filter(|row| row.is_active()).collect();
    let owners = active.iter().filter(|row| row.role == Role::Owner).count();
    prop_assert_eq!(conversation.participant_count as usize, active.len());
    prop_assert!(conversation.participant_count <= MAX_PARTICIPANTS);
    prop_assert!(conversation.pins.len() <= MAX_PINS);
    prop_assert!(conversation.kind.is_direct() || conversation.blocked_by.is_empty());
    prop_assert!(conversation.kind == Kind::Channel || !conversation.public);
    match conversation.kind {
        Kind::Direct => prop_assert_eq!((owners, active.len()), (2, 2)),
        Kind::Group | Kind::Channel => prop_assert_eq!(owners, usize::from(!active.is_empty())),
    }
    prop_assert_eq!(owners == 1, conversation.owner.is_some());
    prop_assert!(!active.is_empty() || conversation.delete_time.is_some());
    for member in whole.members() {
        prop_assert!(!member.is_active() || member.banned_at(whole.time).is_none());
        let mut last = 0;
        for interval in &member.intervals {
            prop_assert!(interval.join > last);
            last = interval.leave.unwrap_or(Seq::MAX);
            prop_assert!(last > interval.join);
        }
    }
    for (seq, message) in whole.messages() {
        prop_assert!(message.edits.len() <= MAX_EDITS);
        prop_assert!(message.reactions.len() <= MAX_EMOJI_PER_MESSAGE);
        prop_assert_eq!(message.content.is_none(), message.delete_time.is_some());
        if message.delete_time.is_none() {
            let counted = message.reactions.iter().map(|r| (r.emoji.clone(), r.count));
            prop_assert_eq!(counted.collect::<BTreeMap<_, _>>(), reactions(whole, seq)?);
        }
    }
    Ok(())
}

/// Threads count what the index names, and pins are messages that are there.
fn indexed(whole: &Whole, index: &[Index]) -> Result<(), TestCaseError> {
    for (seq, message) in whole.messages() {
        let in_thread =
            |entry: &&Index| matches!(entry, Index::Thread { root, .. } if *root == seq);
        let replies = message.replies.unwrap_or_default();
        prop_assert_eq!(replies.count as usize, index.iter().filter(in_thread).count());
        prop_assert!(message.thread.is_none_or(|root| root < seq));
        prop_assert!(message.reply_to.is_none_or(|answered| answered < seq));
        let pinned = whole.conversation().pins.contains(&seq);
        prop_assert!(!pinned || message.delete_time.is_none());
    }
    Ok(())
}

/// The reactions to a message, counted over its users' rows.
fn reactions(whole: &Whole, seq: Seq) -> Result<BTreeMap<String, u32>, TestCaseError> {
    let mut counts = BTreeMap::new();
    for (key, row) in &whole.rows {
        let (RowKey::Reactions(target, _), Row::Reactions(row)) = (key, row) else { continue };
        prop_assert!(row.emoji.len() <= MAX_EMOJI_PER_USER);
        for emoji in row.emoji.iter().filter(|_| *target == seq) {
            *counts.entry(emoji.clone()).or_insert(0) += 1;
        }
    }
    Ok(counts)
}
