//! Each user's own log: joined, left, read on, arranged. Joins and leaves are
//! effects of conversations' events, which may arrive twice, or long after their
//! time.
//!
//! The guard is here: an inbox keeps, for each conversation and for ever, also
//! after the user left, the seq of the last effect it took. An effect at or
//! below that is a no-op. (Looking for a duplicate in the inbox's newest rows
//! only is not enough: an effect that lands late would be taken again.)

use minicbor::{Decode, Encode};

use crate::{Micros, Seq, UserId, event::Role, mutant};

/// One event's effect on one user's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboxEffect {
    /// Whose inbox.
    pub user: UserId,
    /// What it says.
    pub change: Change,
}

/// What an inbox says about a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The user became a participant.
    Joined(Role),
    /// The user is no longer a participant.
    Left,
}

/// What an inbox keeps about one conversation, for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Entry {
    /// The last effect taken.
    #[n(0)]
    pub last_effect: Seq,
    /// Whether the user is a participant.
    #[n(1)]
    pub active: bool,
    /// The last join.
    #[n(2)]
    pub join_seq: Seq,
    /// The leave that ended it; 0 while it lasts.
    #[n(3)]
    pub leave_seq: Seq,
    /// How far the user has read.
    #[n(4)]
    pub read_seq: Seq,
    /// How the user has arranged the conversation.
    #[n(5)]
    #[cbor(skip_if = "Settings::is_plain")]
    pub settings: Settings,
}

/// How a user has arranged a conversation, for themselves alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Settings {
    /// Not to be notified of it.
    #[n(0)]
    pub muted: bool,
    /// When the mute ends by itself.
    #[n(1)]
    pub mute_until: Option<Micros>,
    /// Put away.
    #[n(2)]
    pub archived: bool,
    /// Marked as favourite.
    #[n(3)]
    pub favourite: bool,
}

impl Settings {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Takes an effect, or does nothing and says `false` because it was taken
/// before. `in_tail` says whether the inbox's newest rows hold the effect; it is
/// no proof of anything, and only a mutant believes it.
pub fn admit(entry: &mut Entry, effect_seq: Seq, change: Change, in_tail: bool) -> bool {
    let taken =
        if mutant::is("inbox-tail-only") { in_tail } else { effect_seq <= entry.last_effect };
    if taken {
        return false;
    }
    entry.last_effect = effect_seq;
    match change {
        Change::Joined(_) => {
            entry.active = true;
            entry.join_seq = effect_seq;
            entry.leave_seq = 0;
            // A joiner has nothing to catch up with: unread starts at the join.
            entry.read_seq = entry.read_seq.max(effect_seq);
        }
        Change::Left => {
            entry.active = false;
            entry.leave_seq = effect_seq;
        }
    }
    true
}

/// Moves the read cursor. It only grows; `false` says that it did not move.
pub fn admit_read(entry: &mut Entry, read_seq: Seq) -> bool {
    if read_seq <= entry.read_seq {
        return false;
    }
    entry.read_seq = read_seq;
    true
}
