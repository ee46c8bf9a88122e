//! Every inbox: dense, and each conversation's joins and leaves in it once, in
//! the order of the log.

use std::collections::BTreeMap;

use confab_log::{ConversationId, Effects, Event, Seq, TenantId, UserId, inbox::Change};
use confab_messages::store::LogKey;
use confab_participants::{MemberStore as _, domain::InboxBody};

use super::{Report, Stores};
use crate::Failure;

const PAGE: usize = 1024;

/// What the logs say that inboxes hold: joins (`true`) and leaves.
#[derive(Default)]
pub(super) struct Inboxes {
    expected: BTreeMap<(TenantId, UserId), BTreeMap<ConversationId, Expected>>,
}

#[derive(Default)]
struct Expected {
    changes: Vec<(Seq, bool)>,
    applied_through: Seq,
}

impl Inboxes {
    /// Notes what an event tells inboxes.
    pub(super) fn expect(
        &mut self,
        key: &LogKey,
        event: &Event,
        effects: &Effects,
        applied_through: Seq,
    ) {
        for effect in &effects.inbox {
            let inbox = (key.tenant.clone(), effect.user.clone());
            let inbox = self.expected.entry(inbox).or_default();
            let expected = inbox.entry(key.conversation.clone()).or_default();
            expected.applied_through = applied_through;
            expected.changes.push((event.seq, matches!(effect.change, Change::Joined(_))));
        }
    }

    /// Compares every inbox with what was noted.
    pub(super) async fn verify(
        mut self,
        stores: &Stores,
        report: &mut Report,
    ) -> Result<(), Failure> {
        for ((tenant, user), expected) in &mut self.expected {
            let mut found: BTreeMap<ConversationId, Vec<(Seq, bool)>> = BTreeMap::new();
            let mut last = 0;
            loop {
                let page = stores.members.inbox(tenant, user, last, PAGE).await?;
                if page.events.is_empty() {
                    break;
                }
                for event in page.events {
                    if event.inbox_seq != last + 1 {
                        report.findings.push(format!(
                            "{tenant}/{user}: inbox event {} follows {last}",
                            event.inbox_seq
                        ));
                    }
                    last = event.inbox_seq;
                    let change = match event.body {
                        InboxBody::Joined { seq, .. } => (seq, true),
                        InboxBody::Left { seq } => (seq, false),
                        _ => continue,
                    };
                    if let Some(conversation) = event.conversation {
                        found.entry(conversation).or_default().push(change);
                    }
                }
            }
            for (conversation, expected) in expected {
                let found = found.remove(conversation).unwrap_or_default();
                let key = LogKey { tenant: tenant.clone(), conversation: conversation.clone() };
                judge(&key, user, &found, expected, report);
            }
            for conversation in found.into_keys() {
                let key = LogKey { tenant: tenant.clone(), conversation };
                report.find(&key, format!("the inbox of {user} tells what no log says"));
            }
        }
        Ok(())
    }
}

fn judge(
    key: &LogKey,
    user: &UserId,
    found: &[(Seq, bool)],
    expected: &Expected,
    report: &mut Report,
) {
    let changes = &expected.changes;
    let rest = changes.get(found.len()..).unwrap_or_default();
    if found.len() > changes.len() || found != &changes[..found.len()] {
        report.find(key, format!("the inbox of {user} tells {found:?}, the log {changes:?}"));
    } else if rest.iter().any(|(seq, _)| *seq <= expected.applied_through) {
        report.find(key, format!("the inbox of {user} lacks {rest:?}"));
    } else {
        report.open += rest.len() as u64;
    }
}
