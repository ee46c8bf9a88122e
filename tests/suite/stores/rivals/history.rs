//! What the callers were told, and whether the log bears it out.

use std::collections::{BTreeMap, BTreeSet};

use confab_log::{Event, EventBody, Request, RequestId, Seq, UserId};
use confab_messages::{error::Error, logs::Committed};
use confab_tests::harness::{Checked, Violation};

type Name = (UserId, RequestId);

#[derive(Default)]
pub(super) struct History {
    committed: BTreeMap<Name, Seq>,
    /// Refused, or told not to have happened.
    never: BTreeSet<Name>,
}

fn name(request: &Request) -> Name {
    (request.actor.clone(), request.request_id.clone())
}

impl History {
    /// Whether the answer settles the command.
    pub(super) fn answered(
        &mut self,
        request: &Request,
        answer: Result<Committed, Error>,
    ) -> Checked<bool> {
        match answer {
            Ok(Committed { seq, .. }) => {
                let known = *self.committed.entry(name(request)).or_insert(seq);
                Violation::unless(known == seq, || {
                    format!("{} stands at {known} and at {seq}", request.request_id)
                })?;
                Ok(true)
            }
            Err(Error::Refused(_)) => {
                self.never.insert(name(request));
                Ok(true)
            }
            Err(Error::OutcomeUnknown | Error::Unavailable) => Ok(false),
            Err(error) => Err(Violation::unable(error)),
        }
    }

    pub(super) fn did_not_happen(&mut self, request: &Request) {
        self.never.insert(name(request));
    }

    /// Every acknowledged command once and where it was said to be, nothing that was
    /// denied, no holes, each sender's messages in their order, and none of whoever
    /// is no participant.
    pub(super) fn check(&self, log: &[Event]) -> Checked {
        let (mut ids, mut last) = (BTreeMap::new(), BTreeMap::new());
        let (mut gone, mut ordinal) = (BTreeSet::new(), 0);
        for (event, seq) in log.iter().zip(1..) {
            let Event { actor, request_id, .. } = event;
            Violation::unless(event.seq == seq, || format!("no row {seq}"))?;
            let twice = ids.insert((actor.clone(), request_id.clone()), seq);
            Violation::unless(twice.is_none(), || format!("{request_id} stands twice"))?;
            match &event.body {
                EventBody::MessageCreated(message) => {
                    ordinal += 1;
                    let text = message.content.as_ref().map(|content| content.text.as_str());
                    let its_own = text == Some(request_id.as_str());
                    Violation::unless(its_own, || format!("{request_id} says {text:?}"))?;
                    let before = last.insert(actor.clone(), request_id.clone());
                    Violation::unless(before.is_none_or(|before| before < *request_id), || {
                        format!("{request_id} stands after a later one")
                    })?;
                    Violation::unless(!gone.contains(actor), || {
                        format!("{request_id} is of somebody who was removed")
                    })?;
                }
                EventBody::ParticipantLeft { user, .. } => drop(gone.insert(user.clone())),
                _ => {}
            }
            Violation::unless(event.ordinal == ordinal, || format!("{event:?}"))?;
        }
        for (name, seq) in &self.committed {
            Violation::unless(ids.get(name) == Some(seq), || {
                format!("{} was acknowledged at {seq} and is not there", name.1)
            })?;
        }
        let denied = self.never.iter().find(|name| ids.contains_key(name));
        Violation::unless(denied.is_none(), || format!("{denied:?} stands, and was denied"))?;
        // Or nothing was tried.
        Violation::unless(
            self.committed.len() > log.len() / 2 && !gone.is_empty(),
            || "hardly anything was acknowledged",
        )
    }
}
