//! Folding equals reading (promise P5), over random logs.

use std::collections::BTreeSet;

use confab_client::{
    fold::{ConversationState, FoldError, Snapshot},
    proto::{
        messages::v1::{
            Content, ConversationArchived, ConversationCreated, ConversationDeleted,
            ConversationRestored, ConversationUnarchived, ConversationUpdated, Event, Message,
            MessageDeleted, MessageEdited, MessagePinned, MessageUnpinned, MessagesExpired,
            MetadataValue, ParticipantBanned, ParticipantLeft, ParticipantMuted,
            ParticipantUnbanned, ParticipantUnmuted, ParticipantsJoined, ReactionAdded,
            ReactionRemoved, RoleAssignment, RolesChanged, event::Kind,
        },
        participants::v1::Role,
    },
};
use proptest::prelude::*;

use crate::support::ROOM;

pub(crate) const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
const EMOJI: [&str; 3] = ["👍", "🎉", "❤"];

/// A command that may or may not make sense where it comes.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send,
    Edit(usize),
    Delete(usize),
    React(usize, usize),
    Unreact(usize, usize),
    Update(bool),
    Archive(bool),
    Remove(bool),
    Join(usize),
    Leave(usize),
    Role(usize, i32),
    Mute(usize, bool),
    Ban(usize, bool),
    Reply(usize),
    Pin(usize, bool),
    Expire(usize),
}

pub(crate) fn step() -> impl Strategy<Value = (usize, Step)> {
    let user = 0..USERS.len();
    let target = 0..100_usize;
    let kind = prop_oneof![
        4 => Just(Step::Send),
        2 => target.clone().prop_map(Step::Edit),
        1 => target.clone().prop_map(Step::Delete),
        3 => (target.clone(), 0..EMOJI.len()).prop_map(|(t, e)| Step::React(t, e)),
        2 => (target, 0..EMOJI.len()).prop_map(|(t, e)| Step::Unreact(t, e)),
        1 => any::<bool>().prop_map(Step::Update),
        1 => any::<bool>().prop_map(Step::Archive),
        1 => any::<bool>().prop_map(Step::Remove),
        2 => user.clone().prop_map(Step::Join),
        2 => user.clone().prop_map(Step::Leave),
        1 => (user.clone(), 1..=2).prop_map(|(u, r)| Step::Role(u, r)),
        1 => (user.clone(), any::<bool>()).prop_map(|(u, on)| Step::Mute(u, on)),
        1 => (user, any::<bool>()).prop_map(|(u, on)| Step::Ban(u, on)),
        2 => (0..100_usize).prop_map(Step::Reply),
        1 => (0..100_usize, any::<bool>()).prop_map(|(t, on)| Step::Pin(t, on)),
        1 => (0..100_usize).prop_map(Step::Expire),
    ];
    (0..USERS.len(), kind)
}

fn assignment(user: &str, role: Role) -> RoleAssignment {
    RoleAssignment { user_id: user.into(), role: role.into() }
}

/// Makes a log that a server could have: what makes no sense is left out.
#[derive(Default)]
pub(crate) struct Writer {
    log: Vec<Event>,
    messages: Vec<u64>,
    deleted: Vec<u64>,
    reactions: BTreeSet<(u64, usize, usize)>,
    active: Vec<usize>,
    threads: BTreeSet<u64>,
    pins: Vec<u64>,
    expired: u64,
}

impl Writer {
    pub(crate) fn write(steps: &[(usize, Step)]) -> Vec<Event> {
        let mut writer = Self { active: vec![0, 1], ..Self::default() };
        writer.append(
            0,
            Kind::ConversationCreated(ConversationCreated {
                r#type: 2,
                participants: vec![
                    assignment(USERS[0], Role::Owner),
                    assignment(USERS[1], Role::Member),
                ],
                title: "room".into(),
                ..ConversationCreated::default()
            }),
        );
        for (actor, step) in steps {
            if let Some(kind) = writer.kind(*actor, step) {
                writer.append(*actor, kind);
            }
        }
        writer.log
    }

    fn append(&mut self, actor: usize, kind: Kind) {
        let seq = self.log.len() as u64 + 1;
        let seconds = i64::try_from(1000 + seq / 2).unwrap_or(0);
        let create_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let kind = match kind {
            Kind::MessageCreated(message) => Kind::MessageCreated(Message {
                conversation_id: ROOM.into(),
                seq,
                applied_seq: seq,
                create_time,
                sender_id: USERS[actor].into(),
                ..message
            }),
            other => other,
        };
        self.log.push(Event {
            conversation_id: ROOM.into(),
            seq,
            create_time,
            actor_id: USERS[actor].into(),
            request_id: format!("request-{seq}"),
            ordinal: self.messages.len() as u64,
            kind: Some(kind),
        });
    }

    fn living(&self, target: usize) -> Option<u64> {
        let seq = *self.messages.get(target % self.messages.len().max(1))?;
        (!self.deleted.contains(&seq)).then_some(seq)
    }

    fn kind(&mut self, actor: usize, step: &Step) -> Option<Kind> {
        let seq = self.log.len() as u64 + 1;
        let content = Some(Content { text: format!("text {seq}"), ..Content::default() });
        Some(match *step {
            Step::Send => {
                self.messages.push(seq);
                let ordinal = self.messages.len() as u64;
                Kind::MessageCreated(Message { ordinal, content, ..Message::default() })
            }
            Step::Reply(target) => {
                let root = self.living(target)?;
                (!self.threads.contains(&root)).then_some(())?;
                self.threads.insert(seq);
                self.messages.push(seq);
                let ordinal = self.messages.len() as u64;
                let (reply_to_seq, thread_seq) = (root, root);
                Kind::MessageCreated(Message {
                    ordinal,
                    content,
                    reply_to_seq,
                    thread_seq,
                    ..Message::default()
                })
            }
            Step::Pin(..) | Step::Expire(_) => return self.keeping(step),
            Step::Edit(target) => {
                Kind::MessageEdited(MessageEdited { message_seq: self.living(target)?, content })
            }
            Step::Delete(target) => {
                let message_seq = self.living(target)?;
                self.deleted.push(message_seq);
                self.pins.retain(|pin| *pin != message_seq);
                Kind::MessageDeleted(MessageDeleted { message_seq })
            }
            Step::React(target, emoji) => {
                let message_seq = self.living(target)?;
                let fresh = self.reactions.insert((message_seq, actor, emoji));
                let emoji = EMOJI[emoji].into();
                fresh.then_some(Kind::ReactionAdded(ReactionAdded { message_seq, emoji }))?
            }
            Step::Unreact(target, emoji) => {
                let message_seq = self.living(target)?;
                self.reactions.remove(&(message_seq, actor, emoji)).then_some(())?;
                let emoji = EMOJI[emoji].into();
                Kind::ReactionRemoved(ReactionRemoved { message_seq, emoji })
            }
            Step::Update(title) => Kind::ConversationUpdated(ConversationUpdated {
                title: title.then(|| format!("title {seq}")),
                metadata: (!title).then(MetadataValue::default),
                ..ConversationUpdated::default()
            }),
            Step::Archive(true) => Kind::ConversationArchived(ConversationArchived {}),
            Step::Archive(false) => Kind::ConversationUnarchived(ConversationUnarchived {}),
            Step::Remove(true) => Kind::ConversationDeleted(ConversationDeleted {}),
            Step::Remove(false) => Kind::ConversationRestored(ConversationRestored {}),
            _ => return self.membership(step),
        })
    }

    fn keeping(&mut self, step: &Step) -> Option<Kind> {
        Some(match *step {
            Step::Pin(target, true) => {
                let message_seq = self.living(target)?;
                (!self.pins.contains(&message_seq)).then(|| self.pins.push(message_seq))?;
                Kind::MessagePinned(MessagePinned { message_seq })
            }
            Step::Pin(target, false) => {
                (!self.pins.is_empty()).then_some(())?;
                let message_seq = self.pins.remove(target % self.pins.len());
                Kind::MessageUnpinned(MessageUnpinned { message_seq })
            }
            Step::Expire(width) => {
                let from_seq = self.expired + 1;
                let to_seq = (from_seq + width as u64 % 4).min(self.log.len() as u64);
                (from_seq <= to_seq).then_some(())?;
                self.expired = to_seq;
                let gone = self.messages.iter().filter(|seq| (from_seq..=to_seq).contains(seq));
                self.deleted.extend(gone);
                self.pins.retain(|pin| *pin > to_seq);
                Kind::MessagesExpired(MessagesExpired { from_seq, to_seq })
            }
            _ => return None,
        })
    }

    fn membership(&mut self, step: &Step) -> Option<Kind> {
        let user_id = |user: usize| USERS[user].to_owned();
        Some(match *step {
            Step::Join(user) => {
                (!self.active.contains(&user)).then(|| self.active.push(user))?;
                let participants = vec![assignment(USERS[user], Role::Member)];
                Kind::ParticipantsJoined(ParticipantsJoined { participants })
            }
            Step::Leave(user) => {
                self.depart(user)?;
                let user_id = user_id(user);
                Kind::ParticipantLeft(ParticipantLeft { user_id, cause: 1, ..Default::default() })
            }
            Step::Role(user, role) => {
                self.active.contains(&user).then_some(())?;
                let changes = vec![RoleAssignment { user_id: user_id(user), role }];
                Kind::RolesChanged(RolesChanged { changes })
            }
            Step::Mute(user, on) => {
                self.active.contains(&user).then_some(())?;
                let user_id = user_id(user);
                if on {
                    Kind::ParticipantMuted(ParticipantMuted { user_id, ..Default::default() })
                } else {
                    Kind::ParticipantUnmuted(ParticipantUnmuted { user_id })
                }
            }
            Step::Ban(user, true) => {
                self.depart(user);
                let user_id = user_id(user);
                Kind::ParticipantBanned(ParticipantBanned { user_id, ..Default::default() })
            }
            Step::Ban(user, false) => {
                (!self.active.contains(&user)).then_some(())?;
                Kind::ParticipantUnbanned(ParticipantUnbanned { user_id: user_id(user) })
            }
            _ => return None,
        })
    }

    fn depart(&mut self, user: usize) -> Option<()> {
        let index = self.active.iter().position(|&active| active == user)?;
        self.active.remove(index);
        Some(())
    }
}

pub(crate) fn fold(log: &[Event], reader: &str) -> ConversationState {
    let mut state = ConversationState::new(ROOM, reader);
    for event in log {
        assert_eq!(state.apply(event), Ok(true));
    }
    state
}

/// What reads at `as_of` give, with all former participants, as the server has them.
pub(crate) fn participants(
    state: &ConversationState,
) -> Vec<confab_client::proto::participants::v1::Participant> {
    USERS.iter().filter_map(|user| state.participant_of(user)).cloned().collect()
}

/// The log as the server keeps it: a message's row is the message as it is now,
/// the same bytes for every reader, and contents of deleted ones are blank.
fn as_stored(log: &[Event]) -> Vec<Event> {
    let now = fold(log, "nobody");
    let store = |event: &Event| {
        let mut event = event.clone();
        match &mut event.kind {
            Some(Kind::MessageCreated(message)) => {
                now.message(event.seq).expect("it is there").clone_into(message);
            }
            Some(Kind::MessageEdited(edit)) => {
                let message = now.message(edit.message_seq).expect("it is there");
                if message.delete_time.is_some() {
                    edit.content = None;
                }
            }
            _ => {}
        }
        event
    };
    log.iter().map(store).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Reads of different times, then the events above the oldest of them, give
    /// the same as all events.
    #[test]
    fn folding_from_any_snapshot_equals_folding_all(
        steps in prop::collection::vec(step(), 1..60),
        cuts in (0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64),
        reader in 0..USERS.len(),
    ) {
        let log = Writer::write(&steps);
        let reader = USERS[reader];
        let whole = fold(&log, reader);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short log")]
        let at = |cut: f64| ((log.len() as f64 * cut) as usize).clamp(1, log.len());
        let mut places = [at(cuts.0), at(cuts.1), at(cuts.2)];
        // The conversation is read last; the others in any order.
        places[..].sort_unstable();
        let [first, second, last] = places;
        let (a, b, c) = (fold(&log[..first], reader), fold(&log[..second], reader), fold(&log[..last], reader));

        let mut snapshot = Snapshot::new();
        snapshot.add_messages(a.messages().rev().cloned().collect(), first as u64, true);
        snapshot.add_participants(participants(&b), second as u64);
        snapshot.add_conversation(c.conversation().expect("it began").clone(), last as u64);
        let mut state = ConversationState::from_snapshot(snapshot, reader);
        prop_assert_eq!(state.applied_seq(), first as u64);
        for event in as_stored(&log).iter().skip(first / 2) {
            let fresh = state.apply(event).expect("no hole");
            prop_assert_eq!(fresh, event.seq > first as u64);
        }
        prop_assert_eq!(state.diff(&whole), Vec::<String>::new());
    }

    /// A replay whose messages are given as they are now comes out the same.
    #[test]
    fn folding_the_log_as_stored_equals_folding_it_as_it_happened(
        steps in prop::collection::vec(step(), 1..60),
        reader in 0..USERS.len(),
    ) {
        let log = Writer::write(&steps);
        let reader = USERS[reader];
        let stored = fold(&as_stored(&log), reader);
        prop_assert_eq!(stored.diff(&fold(&log, reader)), Vec::<String>::new());
    }

    /// Knowing only the newest messages changes nothing about those.
    #[test]
    fn a_partial_history_is_exact_where_it_is_known(
        steps in prop::collection::vec(step(), 1..60),
        keep in 0..5_usize,
    ) {
        let log = Writer::write(&steps);
        let half = log.len().div_ceil(2);
        let mut state = fold(&log[..half], "alice");
        state.keep_newest_messages(keep);
        prop_assert!(state.messages().count() <= keep);
        for event in &log[half..] {
            state.apply(event).expect("no hole");
        }
        prop_assert_eq!(state.diff(&fold(&log, "alice")), Vec::<String>::new());
    }

    /// Leaving anything out is noticed: the states differ, or it is a hole.
    #[test]
    fn a_missing_event_is_a_hole(steps in prop::collection::vec(step(), 2..30), at in 0..30_usize) {
        let log = Writer::write(&steps);
        prop_assume!(log.len() > 2);
        let missing = at % (log.len() - 1);
        let mut state = ConversationState::new(ROOM, "alice");
        for event in &log[..missing] {
            state.apply(event).expect("no hole");
        }
        let next = &log[missing + 1];
        let hole = FoldError::Hole { applied: missing as u64, got: next.seq };
        prop_assert_eq!(state.apply(next), Err(hole));
    }
}

#[test]
fn the_last_one_to_leave_deletes_the_conversation() {
    let log = Writer::write(&[(0, Step::Leave(0)), (1, Step::Ban(1, true))]);
    let before = fold(&log[..2], "alice");
    assert_eq!(before.conversation().expect("it began").participant_count, 1);
    assert_eq!(before.conversation().expect("it began").etag, "1");
    let state = fold(&log, "alice");
    let conversation = state.conversation().expect("it began");
    assert_eq!(conversation.participant_count, 0);
    assert_eq!(conversation.delete_time, log[2].create_time);
    assert_eq!(conversation.etag, "3");
    assert_eq!(state.participants().count(), 0);
    assert!(state.participant_of("bob").expect("was there").ban.is_some());
}

#[test]
fn reactions_count_everyone_and_mark_the_readers_own() {
    let log = Writer::write(&[
        (0, Step::Send),
        (0, Step::React(0, 0)),
        (1, Step::React(0, 0)),
        (1, Step::React(0, 1)),
        (0, Step::Unreact(0, 0)),
    ]);
    let seen = |reader: &str| -> Vec<(String, u32, bool)> {
        let state = fold(&as_stored(&log), reader);
        let message = state.message(2).expect("it is there");
        message.reactions.iter().map(|r| (r.emoji.clone(), r.count, r.reacted)).collect()
    };
    assert_eq!(seen("alice"), [("👍".into(), 1, false), ("🎉".into(), 1, false)]);
    assert_eq!(seen("bob"), [("👍".into(), 1, true), ("🎉".into(), 1, true)]);
}

#[test]
fn differences_are_named() {
    let log = Writer::write(&[(0, Step::Send), (0, Step::Edit(0))]);
    let (old, new) = (fold(&log[..2], "alice"), fold(&log, "alice"));
    let differences = old.diff(&new);
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(differences[1].starts_with("message 2: "), "{differences:?}");
    let mut other = log[2].clone();
    other.conversation_id = "another".into();
    assert_eq!(old.clone().apply(&other), Err(FoldError::OtherConversation));
}
