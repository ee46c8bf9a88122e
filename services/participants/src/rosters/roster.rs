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
            let reasons = row
                .mute
                .iter()
                .chain(&row.ban)
                .map(|one| one.reason.len() + one.actor.as_str().len());
            size_of::<(UserId, MemberRow)>()
                + user.as_str().len()
                + size_of_val(row.intervals.as_slice())
                + reasons.sum::<usize>()
        };
        size_of::<Self>() + self.rows.iter().map(row).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use confab_log::{event::Role, row::Interval};

    use super::*;

    fn key(tenant: &str, number: u8) -> Key {
        (TenantId::parse(tenant).expect("a tenant"), ConversationId::from_bytes([number; 16]))
    }

    fn roster(names: &[&str], seq: Seq) -> Roster {
        let (tenant, conversation) = key("acme", 7);
        let row = MemberRow {
            role: Role::Member,
            intervals: vec![Interval { join: 1, leave: None }],
            join_time: 10,
            leave_time: None,
            mute: None,
            ban: None,
            applied_seq: 1,
        };
        let rows = names.iter().map(|name| (UserId::parse(name).expect("a user"), row.clone()));
        Roster { tenant, conversation, seq, rows: rows.collect() }
    }

    /// What version 1 wrote may be in a Redis that outlives an update.
    #[test]
    fn format_1_stays_readable() {
        let list = roster(&["ada"], 5);
        let fixture = "01846461636d6578203037303730373037303730373037303730373037303730373037303730\
                       37303705818263616461878201808181010af6f6f601";
        let bytes = list.encode();
        assert_eq!(Roster::decode(&bytes, &key("acme", 7)), Some(list));
        assert_eq!(hex::encode(&bytes), fixture);
    }

    #[test]
    fn only_a_whole_list_of_the_right_name_is_believed() {
        let of = |names: &[&str]| Roster::decode(&roster(names, 5).encode(), &key("acme", 7));
        assert!(of(&[]).is_some());
        assert!(of(&["ada", "bob"]).is_some());
        assert_eq!(of(&["bob", "ada"]), None, "out of order");
        assert_eq!(of(&["ada", "ada"]), None, "twice");
        let many: Vec<String> = (0..=MAX_ROWS).map(|number| format!("u{number:05}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(of(&many[1..]).is_some());
        assert_eq!(of(&many), None, "too many");
        let bytes = roster(&["ada"], 5).encode();
        assert_eq!(Roster::decode(&bytes, &key("zeta", 7)), None, "another tenant's");
        assert_eq!(Roster::decode(&bytes, &key("acme", 8)), None, "another conversation's");
    }

    #[test]
    fn pages_are_above_a_user_whoever_that_is() {
        let list = roster(&["ada", "bob", "dan"], 5);
        let page = |after: &str, limit| -> Vec<String> {
            let after = UserId::parse(after).ok();
            let rows = list.page(after.as_ref(), Filter::Active, limit);
            rows.into_iter().map(|(user, _)| user.to_string()).collect()
        };
        assert_eq!(page("", 2), ["ada", "bob"]);
        assert_eq!(page("bob", 2), ["dan"]);
        assert_eq!(page("cleo", 2), ["dan"], "who is not there any more");
        assert_eq!(page("dan", 2), Vec::<String>::new());
    }
}
