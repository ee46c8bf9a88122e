//! `decide(state, command) → one event, an old answer, or a refusal`.
//!
//! The order of the looks matters. A known request id is answered before
//! anything can be refused: the sender of a retry may have lost the right to
//! send since, and must still get the answer it missed. Refusals are not
//! remembered.

mod conversation;
mod may_write;
mod messages;
mod participants;
mod refusal;

pub(crate) use self::conversation::is_first_event;
pub use self::may_write::may_write;
pub use self::refusal::Refusal;
use crate::{
    Command, Digest, Event, EventBody, Micros, Request, Seq, mutant, row::ConversationRow,
    state::View,
};

/// Participants of a group, at most.
pub const MAX_PARTICIPANTS: u32 = 1000;
/// Distinct emoji on a message, at most.
pub const MAX_EMOJI_PER_MESSAGE: usize = 50;
/// Distinct emoji of one user on a message, at most.
pub const MAX_EMOJI_PER_USER: usize = 10;
/// Edits of a message, at most.
pub const MAX_EDITS: usize = 100;
/// Pinned messages of a conversation, at most.
pub const MAX_PINS: usize = 50;

/// What `decide` says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Append this event next.
    Append(Box<Event>),
    /// The command was carried out before, by the event of this seq.
    Known(Seq),
    /// It cannot be carried out here and now.
    Refuse(Refusal),
}

type Ruling = Result<EventBody, Refusal>;

/// Decides one command against a state that has folded every event so far.
/// `found` is the event of the request id where a scan of older rows found one;
/// `now` is the caller's clock, of which only the time of the event comes.
pub fn decide(
    view: &impl View,
    request: &Request,
    found: Option<(Digest, Seq)>,
    now: Micros,
) -> Decision {
    let time = if mutant::is("time-of-the-clock") { now } else { now.max(view.time()) };
    let judge = Judge { view, request, time };
    if mutant::is("refusal-before-known")
        && let Err(refusal) = judge.rule()
    {
        return Decision::Refuse(refusal);
    }
    let known = found.or_else(|| view.known(&request.actor, &request.request_id));
    let known = known.filter(|_| !mutant::is("no-id-lookup"));
    if let Some((digest, seq)) = known.or_else(|| judge.first_event()) {
        return if digest == request.digest {
            Decision::Known(seq)
        } else {
            Decision::Refuse(Refusal::RequestIdReused)
        };
    }
    if let Some(seq) = judge.existing_direct() {
        return Decision::Known(seq);
    }
    match judge.rule().and_then(|body| judge.nothing_against().map(|()| body)) {
        Ok(body) => Decision::Append(Box::new(judge.event(body))),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

struct Judge<'a, V> {
    view: &'a V,
    request: &'a Request,
    time: Micros,
}

impl<V: View> Judge<'_, V> {
    fn event(&self, body: EventBody) -> Event {
        let seq = self.view.seq() + 1;
        let is_message = matches!(body, EventBody::MessageCreated(_));
        Event {
            seq,
            ordinal: self.view.ordinal() + u64::from(is_message),
            last_message: if is_message { seq } else { self.view.last_message() },
            time: self.time,
            actor: self.request.actor.clone(),
            request_id: self.request.request_id.clone(),
            digest: self.request.digest,
            body,
        }
    }

    /// Asked last, so that nobody learns a head, or a content rule, that they may
    /// not know.
    fn nothing_against(&self) -> Result<(), Refusal> {
        if let Some(veto) = &self.request.veto {
            return Err(veto.clone());
        }
        let head = self.view.seq();
        let exists = self.request.after_seq.is_none_or(|after| after <= head);
        ensure(exists, Refusal::AfterSeqAboveHead { head })
    }

    fn rule(&self) -> Ruling {
        match &self.request.command {
            Command::Create(_)
            | Command::Update { .. }
            | Command::Archive
            | Command::Unarchive
            | Command::Delete { .. }
            | Command::Restore => self.rule_on_conversation(),
            Command::Send { .. }
            | Command::Edit { .. }
            | Command::DeleteMessage { .. }
            | Command::Pin { .. }
            | Command::Unpin { .. }
            | Command::Expire { .. }
            | Command::AddReaction { .. }
            | Command::RemoveReaction { .. } => self.rule_on_messages(),
            _ => self.rule_on_participants(),
        }
    }
}

fn ensure(condition: bool, refusal: Refusal) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(refusal) }
}

fn changed(condition: bool) -> Result<(), Refusal> {
    ensure(condition, Refusal::NoChange)
}

fn only_group(conversation: &ConversationRow) -> Result<(), Refusal> {
    ensure(!conversation.kind.is_direct(), Refusal::DirectConversation)
}

fn same_version(conversation: &ConversationRow, version: Option<Seq>) -> Result<(), Refusal> {
    let current = conversation.version_seq;
    let same = version.is_none_or(|version| version == current);
    ensure(same, Refusal::EtagMismatch { version: current })
}
