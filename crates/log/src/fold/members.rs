//! Changes of member rows, and what inboxes are told of them.

use super::Folding;
use crate::{
    Row, RowKey, UserId,
    event::{Assignment, Role, Sentence},
    inbox::{Change, InboxEffect},
    row::{Interval, MemberRow, Restriction},
    state::View,
};

impl<V: View> Folding<'_, V> {
    /// Changes a member row unless it holds the event already.
    pub(super) fn member(&mut self, user: &UserId, change: impl FnOnce(&mut MemberRow)) {
        let key = RowKey::Member(user.clone());
        let mut row = match self.view.row(&key) {
            Some(Row::Member(row)) if row.applied_seq >= self.event.seq => return,
            Some(Row::Member(row)) => row.clone(),
            _ => stranger(),
        };
        change(&mut row);
        row.applied_seq = self.event.seq;
        self.effects.rows.push((key, Row::Member(row)));
    }

    pub(super) fn join_all(&mut self, joiners: &[Assignment]) {
        for assignment in joiners {
            self.join(assignment);
        }
        let joined = u32::try_from(joiners.len()).unwrap_or(u32::MAX);
        self.conversation(|row| row.participant_count += joined);
    }

    pub(super) fn join(&mut self, assignment: &Assignment) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.member(&assignment.user, |row| {
            row.role = assignment.role;
            row.intervals.push(Interval { join: seq, leave: None });
            row.join_time = time;
            row.leave_time = None;
            // A join says all of a member: whoever folds from it needs no past.
            row.mute = None;
            row.ban = None;
        });
        // Told even when the row was written before: a crash may have come between.
        let change = Change::Joined(assignment.role);
        self.effects.inbox.push(InboxEffect { user: assignment.user.clone(), change });
    }

    pub(super) fn leave(&mut self, user: &UserId, also: impl FnOnce(&mut MemberRow)) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.member(user, |row| {
            if let Some(interval) = row.intervals.last_mut() {
                interval.leave = Some(seq);
            }
            row.leave_time = Some(time);
            also(row);
        });
        self.effects.inbox.push(InboxEffect { user: user.clone(), change: Change::Left });
        self.conversation(|row| {
            row.participant_count = row.participant_count.saturating_sub(1);
            row.owner.take_if(|owner| owner == user);
            // "Nobody is left" is derived here; it is not an event of its own.
            if row.participant_count == 0 && row.delete_time.is_none() {
                row.delete_time = Some(time);
                row.update_time = time;
                row.version_seq = seq;
            }
        });
    }

    pub(super) fn change_roles(&mut self, changes: &[Assignment]) {
        for change in changes {
            self.member(&change.user, |row| row.role = change.role);
        }
        if let Some(owner) = changes.iter().find(|change| change.role == Role::Owner) {
            self.conversation(|row| row.owner = Some(owner.user.clone()));
        }
    }

    pub(super) fn ban(&mut self, sentence: &Sentence) {
        let ban = self.restriction(sentence);
        if self.was_active(&sentence.user) {
            self.leave(&sentence.user, |row| row.ban = Some(ban));
        } else {
            self.member(&sentence.user, |row| row.ban = Some(ban));
        }
    }

    /// Whether the user was a participant just before this event, also when the
    /// row already holds the event.
    fn was_active(&self, user: &UserId) -> bool {
        let Some(Row::Member(row)) = self.view.row(&RowKey::Member(user.clone())) else {
            return false;
        };
        let seq = self.event.seq;
        row.intervals.iter().any(|i| i.join < seq && i.leave.is_none_or(|leave| leave >= seq))
    }

    pub(super) fn restriction(&self, sentence: &Sentence) -> Restriction {
        Restriction {
            until: sentence.until,
            reason: sentence.reason.clone(),
            actor: self.event.actor.clone(),
            time: self.event.time,
        }
    }
}

fn stranger() -> MemberRow {
    MemberRow {
        role: Role::Member,
        intervals: Vec::new(),
        join_time: 0,
        leave_time: None,
        mute: None,
        ban: None,
        applied_seq: 0,
    }
}
