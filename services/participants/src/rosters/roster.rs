//! One conversation's list, as it is remembered.

use bytes::Bytes;
use confab_log::{ConversationId, Seq, TenantId, UserId, row::MemberRow};
use confab_store::value::Format;
use minicbor::{Decode, Encode};

use super::memory::Key;
use crate::domain::Filter;

/// Longer lists are not remembered.
pub(super) const MAX_ROWS: usize = 1000;
/// What this version writes. Another one is not read: it is lost after a while.
const FORMAT: Format = Format(1);

/// The participants of a conversation, and whoever has a ban there.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Roster {
    /// Whose.
    #[n(0)]
    pub(super) tenant: TenantId,
    /// Which conversation.
    #[n(1)]
    pub(super) conversation: ConversationId,
    /// What that event and those before it made is in the rows, and perhaps something
    /// newer.
    #[n(2)]
    pub(super) seq: Seq,
    /// In the order of the users' ids.
    #[n(3)]
    pub(super) rows: Vec<(UserId, MemberRow)>,
}

impl Roster {
    /// At most `limit` rows that the filter shows, above `after`.
    pub(super) fn page(
        &self,
        after: Option<&UserId>,
        filter: Filter,
        limit: usize,
    ) -> Vec<(UserId, MemberRow)> {
        let first = after.map_or(0, |after| self.rows.partition_point(|(user, _)| user <= after));
        let rows = self.rows[first..].iter().filter(|(_, row)| filter.shows(row));
        rows.take(limit).cloned().collect()
    }

    pub(super) fn encode(&self) -> Bytes {
        FORMAT.encode(self)
    }

    /// What somebody else has kept under this key; `None` for whatever is no list of it.
    pub(super) fn decode(bytes: &[u8], (tenant, conversation): &Key) -> Option<Self> {
        let roster: Self = FORMAT.decode(bytes).ok()?;
        let is_whole = roster.rows.len() <= MAX_ROWS
            && roster.rows.is_sorted_by(|(one, _), (other, _)| one < other);
        let is_it = roster.tenant == *tenant && roster.conversation == *conversation;
        (is_whole && is_it).then_some(roster)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let row = |(user, row): &(UserId, MemberRow)| {
            let reasons = row.mute.iter().chain(&row.ban).map(|one| {
                one.reason.len() + one.actor.as_str().len()
            });
            size_of::<(UserId, MemberRow)>()
                + user.as_str().len()
                + size_of_val(row.intervals.as_slice())
                + reasons.sum::<usize>()
        };
        size_of::<Self>() + self.rows.iter().map(row).sum::<usize>()
    }
}
