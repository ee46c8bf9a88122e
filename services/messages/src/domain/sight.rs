//! What a reader may see of a log, as of a look at its head: all of it up to a
//! point, or parts of it.

use confab_kit::admission::View;
use confab_log::{Seq, event::History, mutant, row::MemberRow};

use crate::store::Direction;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The look's head: every event up to it is folded.
    pub(crate) as_of: Seq,
    /// First and last event of each part, in order, without overlaps.
    spans: Vec<(Seq, Seq)>,
}

/// Rows to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(super) from: Seq,
    /// What the reader may see ends it earlier.
    pub(super) to: Seq,
    pub(super) direction: Direction,
    pub(super) limit: usize,
}

impl Span {
    /// One row.
    pub(crate) fn one(seq: Seq) -> Self {
        Self { from: seq, to: seq, direction: Direction::OldestFirst, limit: 1 }
    }

    /// From the neighbour of `beside` on, or from the end where that is 0.
    pub(crate) fn beside(beside: Seq, direction: Direction, limit: usize) -> Self {
        match (direction, beside) {
            (Direction::NewestFirst, 0) => Self { from: 1, to: Seq::MAX, direction, limit },
            (Direction::NewestFirst, _) => Self { from: 1, to: beside - 1, direction, limit },
            (Direction::OldestFirst, _) => {
                Self { from: beside.saturating_add(1), to: Seq::MAX, direction, limit }
            }
        }
    }
}

impl Sight {
    /// Of whoever may see everything.
    pub(crate) fn whole(as_of: Seq) -> Self {
        Self { as_of, spans: vec![(1, as_of)] }
    }

    /// Of a user with this row, or with none.
    pub(crate) fn of_member(as_of: Seq, member: Option<&MemberRow>, history: History) -> Self {
        let visible = member.and_then(|row| row.visible_through(as_of));
        let spans = match (member, visible) {
            (Some(row), Some(_)) if history == History::FromJoin && !hides_nothing() => row
                .intervals
                .iter()
                .map(|times| (times.join, times.leave.unwrap_or(as_of).min(as_of)))
                .collect(),
            (_, Some(visible)) => vec![(1, visible)],
            _ => Vec::new(),
        };
        Self { as_of, spans }
    }

    /// As admission has seen it.
    pub(super) fn of_view(view: &View) -> Self {
        let spans =
            if view.spans.is_empty() { vec![(1, view.visible)] } else { view.spans.clone() };
        Self { as_of: view.as_of, spans }
    }

    /// The newest event that the reader may see; 0 for a stranger. It is what they
    /// are told to be the end: nothing says how far the log has gone on without them.
    pub(crate) fn visible(&self) -> Seq {
        self.spans.last().map_or(0, |(_, to)| *to)
    }

    /// Whether the reader may see an event.
    pub(crate) fn sees(&self, seq: Seq) -> bool {
        self.spans.iter().any(|(from, to)| (*from..=*to).contains(&seq))
    }

    /// The parts, where they are not all of the log up to `visible`.
    pub(crate) fn parts(&self) -> &[(Seq, Seq)] {
        if matches!(self.spans[..], [(0 | 1, _)]) { &[] } else { &self.spans }
    }

    /// What the reader may see of a span, in its direction.
    pub(super) fn clip(&self, span: Span) -> Vec<Span> {
        let clipped = self.spans.iter().filter_map(|(from, to)| {
            let (from, to) = (span.from.max(*from), span.to.min(*to));
            (from <= to).then_some(Span { from, to, ..span })
        });
        let mut clipped: Vec<_> = clipped.collect();
        if span.direction == Direction::NewestFirst {
            clipped.reverse();
        }
        clipped
    }
}

fn hides_nothing() -> bool {
    mutant::is("history-hides-nothing")
}

#[cfg(test)]
mod tests {
    use confab_log::{event::Role, row::Interval};

    use super::*;

    fn member(intervals: &[(Seq, Option<Seq>)]) -> MemberRow {
        let intervals =
            intervals.iter().map(|(join, leave)| Interval { join: *join, leave: *leave });
        MemberRow {
            role: Role::Member,
            intervals: intervals.collect(),
            join_time: 0,
            leave_time: None,
            mute: None,
            ban: None,
            applied_seq: 1,
        }
    }

    #[test]
    fn times_of_absence_are_hidden_where_history_is() {
        let row = member(&[(3, Some(5)), (9, None)]);
        let sight = Sight::of_member(12, Some(&row), History::FromJoin);
        let seen: Vec<_> = (1..=13).filter(|seq| sight.sees(*seq)).collect();
        assert_eq!(seen, [3, 4, 5, 9, 10, 11, 12]);
        assert_eq!((sight.visible(), sight.parts()), (12, &[(3, 5), (9, 12)][..]));
        let full = Sight::of_member(12, Some(&row), History::Full);
        assert_eq!((full.visible(), full.parts(), full.sees(1)), (12, &[][..], true));
    }

    #[test]
    fn who_left_sees_up_to_the_leave_and_strangers_nothing() {
        let row = member(&[(3, Some(5))]);
        assert_eq!(Sight::of_member(12, Some(&row), History::Full).visible(), 5);
        assert_eq!(Sight::of_member(12, Some(&row), History::FromJoin).parts(), [(3, 5)]);
        let nothing = Sight::of_member(12, Some(&member(&[])), History::Full);
        assert_eq!((nothing.visible(), nothing.sees(1)), (0, false));
        assert_eq!(Sight::of_member(12, None, History::FromJoin).visible(), 0);
    }

    #[test]
    fn spans_are_clipped_in_their_direction() {
        let row = member(&[(3, Some(5)), (9, None)]);
        let sight = Sight::of_member(12, Some(&row), History::FromJoin);
        let clip = |span: Span| -> Vec<(Seq, Seq)> {
            sight.clip(span).iter().map(|span| (span.from, span.to)).collect()
        };
        assert_eq!(clip(Span::beside(3, Direction::OldestFirst, 9)), [(4, 5), (9, 12)]);
        assert_eq!(clip(Span::beside(0, Direction::NewestFirst, 9)), [(9, 12), (3, 5)]);
        assert_eq!(clip(Span::beside(9, Direction::NewestFirst, 9)), [(3, 5)]);
        assert!(clip(Span::one(7)).is_empty());
    }
}
