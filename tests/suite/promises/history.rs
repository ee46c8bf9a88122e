//! A history in the sense of Jepsen: every request with when it was begun,
//! when it was answered and what with; and the checker that holds it against
//! the log in the end.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use confab_client::{Client, Error, text};
use confab_proto::{
    errors::v1::Reason,
    messages::v1::{
        AddReactionRequest, DeleteMessageRequest, EditMessageRequest, Event, MarkReadRequest,
        SendMessageRequest, event::Kind,
    },
    participants::v1::{AddParticipantsRequest, RemoveParticipantRequest},
};
use confab_tests::harness::{Checked, Violation};

use super::support::{once, text_of};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Send(String),
    Edit(u64, String),
    Delete(u64),
    React(u64, String),
    Add(String),
    Remove(String),
    /// Appends nothing; the cursor never goes back.
    MarkRead(u64),
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) actor: String,
    pub(crate) conversation: String,
    pub(crate) request_id: String,
    pub(crate) after_seq: u64,
    pub(crate) deed: Deed,
    /// By the history's own clock.
    pub(crate) begun: u64,
    pub(crate) ended: Option<(u64, Answer)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Seq(u64),
    Refused(Reason),
}

/// All attempts of a run.
#[derive(Default)]
pub(crate) struct History {
    attempts: Mutex<Vec<Attempt>>,
    clock: AtomicU64,
    acknowledged: AtomicU64,
}

impl Attempt {
    /// One try. What it answers with is the seq of the event.
    pub(crate) async fn perform(&self, client: &Client) -> Result<u64, Error> {
        let conversation_id = self.conversation.clone();
        let (request_id, after_seq) = (self.request_id.clone(), self.after_seq);
        match self.deed.clone() {
            Deed::Send(body) => {
                let content = Some(text(body));
                let request = SendMessageRequest {
                    conversation_id,
                    request_id,
                    after_seq,
                    content,
                    ..SendMessageRequest::default()
                };
                let answer = once(client, request).await?;
                Ok(answer.message.map_or(0, |message| message.seq))
            }
            Deed::Edit(message_seq, body) => {
                let content = Some(text(body));
                let request = EditMessageRequest {
                    conversation_id,
                    request_id,
                    after_seq,
                    message_seq,
                    content,
                };
                Ok(once(client, request).await?.seq)
            }
            Deed::Delete(message_seq) => {
                let request =
                    DeleteMessageRequest { conversation_id, request_id, after_seq, message_seq };
                Ok(once(client, request).await?.seq)
            }
            Deed::React(message_seq, emoji) => {
                let request = AddReactionRequest {
                    conversation_id,
                    request_id,
                    after_seq,
                    message_seq,
                    emoji,
                };
                Ok(once(client, request).await?.seq)
            }
            Deed::Add(user) => {
                let user_ids = vec![user];
                let request =
                    AddParticipantsRequest { conversation_id, request_id, after_seq, user_ids };
                Ok(once(client, request).await?.seq)
            }
            Deed::Remove(user_id) => {
                let request =
                    RemoveParticipantRequest { conversation_id, request_id, after_seq, user_id };
                Ok(once(client, request).await?.seq)
            }
            Deed::MarkRead(read_seq) => {
                let answer = once(client, MarkReadRequest { conversation_id, read_seq }).await?;
                Ok(answer.receipt.map_or(0, |receipt| receipt.read_seq))
            }
        }
    }
}

impl History {
    /// Notes that a request is on its way. Returns its place.
    pub(crate) fn begin(&self, mut attempt: Attempt) -> usize {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.begun = self.clock.fetch_add(1, Ordering::SeqCst);
        attempts.push(attempt);
        attempts.len() - 1
    }

    /// Notes the settled answer.
    pub(crate) fn end(&self, place: usize, answer: Answer) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.fetch_add(1, Ordering::SeqCst);
        if let Some(attempt) = attempts.get_mut(place) {
            attempt.ended = Some((now, answer));
        }
        if matches!(answer, Answer::Seq(_)) {
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many were answered well so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds the history of one conversation against its log.
    pub(crate) fn check(&self, conversation: &str, log: &[Event]) -> Checked {
        let attempts = self.attempts();
        let attempts: BTreeMap<(&str, &str), &Attempt> = attempts
            .iter()
            .filter(|attempt| attempt.conversation == conversation)
            .filter(|attempt| !matches!(attempt.deed, Deed::MarkRead(_)))
            .map(|attempt| ((attempt.actor.as_str(), attempt.request_id.as_str()), attempt))
            .collect();
        let mut found: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for event in &log[1.min(log.len())..] {
            let name = (event.actor_id.as_str(), event.request_id.as_str());
            if let Some(earlier) = found.insert(name, event.seq) {
                let text = format!("{name:?} has two events, {earlier} and {}", event.seq);
                return Err(Violation::broken(text));
            }
            let attempt = attempts.get(&name).ok_or_else(|| {
                Violation::broken(format!("event {} {name:?} was never asked for", event.seq))
            })?;
            same_deed(event, attempt, log, &attempts)?;
        }
        for (name, attempt) in &attempts {
            let event = found.get(name).copied();
            let stands = match attempt.ended {
                None => true,
                Some((_, Answer::Seq(seq))) => event == Some(seq),
                Some((_, Answer::Refused(_))) => event.is_none(),
            };
            Violation::unless(stands, || {
                format!("in {conversation} {attempt:?} has the event {event:?}")
            })?;
        }
        real_time_order(log, &attempts)
    }
}

/// Whether an event says what its request asked for, as changed since.
fn same_deed(
    event: &Event,
    attempt: &Attempt,
    log: &[Event],
    attempts: &BTreeMap<(&str, &str), &Attempt>,
) -> Checked {
    let same = match (&event.kind, &attempt.deed) {
        (Some(Kind::MessageCreated(message)), Deed::Send(body)) => {
            let expected = content_now(event.seq, body, log, attempts);
            message.sender_id == attempt.actor && text_of(message) == expected
        }
        (Some(Kind::MessageEdited(edited)), Deed::Edit(seq, body)) => {
            // The content of an older edit is erased with its message.
            let now = edited.content.as_ref().map(|content| content.text.as_str());
            edited.message_seq == *seq && now.is_none_or(|now| now == body)
        }
        (Some(Kind::MessageDeleted(deleted)), Deed::Delete(seq)) => deleted.message_seq == *seq,
        (Some(Kind::ReactionAdded(added)), Deed::React(seq, emoji)) => {
            added.message_seq == *seq && added.emoji == *emoji
        }
        (Some(Kind::ParticipantsJoined(joined)), Deed::Add(user)) => {
            joined.participants.len() == 1 && joined.participants[0].user_id == *user
        }
        (Some(Kind::ParticipantLeft(left)), Deed::Remove(user)) => left.user_id == *user,
        _ => false,
    };
    Violation::unless(same, || format!("the event {event:?} is not what was asked: {attempt:?}"))
}

/// What a message says after everything that the log did to it.
fn content_now<'a>(
    message: u64,
    sent: &'a str,
    log: &[Event],
    attempts: &BTreeMap<(&str, &str), &'a Attempt>,
) -> Option<&'a str> {
    let mut now = Some(sent);
    for event in &log[usize::try_from(message).unwrap_or(usize::MAX).min(log.len())..] {
        let name = (event.actor_id.as_str(), event.request_id.as_str());
        match &event.kind {
            Some(Kind::MessageEdited(edited)) if edited.message_seq == message => {
                now = attempts.get(&name).and_then(|attempt| match &attempt.deed {
                    Deed::Edit(_, body) => Some(body.as_str()),
                    _ => None,
                });
            }
            Some(Kind::MessageDeleted(deleted)) if deleted.message_seq == message => now = None,
            _ => {}
        }
    }
    now
}

/// Whoever was answered before another began stands below it in the log.
fn real_time_order(log: &[Event], attempts: &BTreeMap<(&str, &str), &Attempt>) -> Checked {
    let mut earliest_end_above: Option<(u64, u64)> = None;
    for event in log.iter().skip(1).rev() {
        let name = (event.actor_id.as_str(), event.request_id.as_str());
        let Some(attempt) = attempts.get(&name) else { continue };
        if let Some((end, above)) = earliest_end_above {
            Violation::unless(end > attempt.begun, || {
                format!("event {above} was acknowledged before event {} was asked for", event.seq)
            })?;
        }
        if let Some((end, Answer::Seq(_))) = attempt.ended
            && earliest_end_above.is_none_or(|(earliest, _)| end < earliest)
        {
            earliest_end_above = Some((end, event.seq));
        }
    }
    Ok(())
}
