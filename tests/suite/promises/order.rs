//! What a reader saw of logs, to be compared with what the log says in the end.

use std::collections::BTreeMap;

use confab_proto::messages::v1::Event;
use tokio::sync::watch;

/// What identifies an event, whatever happens to its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    seq: u64,
    actor: String,
    request_id: String,
    ordinal: u64,
}

pub(crate) type Seen = BTreeMap<String, Vec<Mark>>;

/// Where everything ends when the writers have ended: how far everybody has to get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) heads: BTreeMap<String, u64>,
    /// Of the reader's inbox.
    pub(crate) inbox: u64,
}

/// Absent while the writers write.
pub(crate) type Finish = watch::Receiver<Option<Ends>>;

impl Mark {
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            seq: event.seq,
            actor: event.actor_id.clone(),
            request_id: event.request_id.clone(),
            ordinal: event.ordinal,
        }
    }
}

/// Notes an event at the end of what was seen.
pub(crate) fn note(seen: &mut Seen, event: &Event) {
    seen.entry(event.conversation_id.clone()).or_default().push(Mark::of(event));
}

/// Whether everybody's last event was seen.
pub(crate) fn complete(seen: &Seen, finish: &Finish) -> bool {
    let count = |id: &String| seen.get(id).map_or(0, |marks| marks.len() as u64);
    let finish = finish.borrow();
    finish.as_ref().is_some_and(|ends| ends.heads.iter().all(|(id, head)| count(id) >= *head))
}
