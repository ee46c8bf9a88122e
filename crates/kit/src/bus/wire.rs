//! [`Signal`] ↔ `confab.bus.v1.Signal`. What does not come through whole is dropped:
//! the bus may lose anything.

use std::sync::Arc;

use confab_log::ids::{ConversationId, TenantId, UserId};
use confab_proto::bus::v1::{self as pb, revoked, signal::What};

use super::Signal;
use crate::identity::{Revocation, RevokedTokens};

/// The signal for another process; `None` where it is only for this one.
pub(crate) fn to_pb(signal: &Signal) -> Option<pb::Signal> {
    let (tenant, what) = match signal {
        Signal::Event { tenant, event, participants, .. } => {
            let event = Some((**event).clone());
            (tenant, What::Event(pb::EventStands { event, participants: *participants }))
        }
        Signal::Receipt { tenant, conversation, receipt, participants } => {
            let conversation_id = conversation.to_string();
            let (receipt, participants) = (Some(receipt.clone()), *participants);
            (tenant, What::Receipt(pb::ReceiptMoved { conversation_id, receipt, participants }))
        }
        Signal::Typing { tenant, conversation, user, started, as_of } => {
            let typing = pb::Typing {
                conversation_id: conversation.to_string(),
                user_id: user.to_string(),
                started: *started,
                as_of_seq: *as_of,
            };
            (tenant, What::Typing(typing))
        }
        Signal::Presence { tenant, presence } => (tenant, What::Presence((**presence).clone())),
        Signal::Revoked(revocation) => {
            (&revocation.tenant, What::Revoked(revoked_to_pb(revocation)))
        }
        Signal::SessionEnded { tenant, user, session_id } => {
            let (user_id, session_id) = (user.to_string(), session_id.to_string());
            (tenant, What::SessionEnded(pb::SessionEnded { user_id, session_id }))
        }
        Signal::SessionTaken { tenant, user, session_id, epoch } => {
            let (user_id, session_id) = (user.to_string(), session_id.to_string());
            let taken = pb::SessionTaken { user_id, session_id, epoch: *epoch };
            (tenant, What::SessionTaken(taken))
        }
        Signal::Inbox { tenant, user, event } => {
            let (user_id, event) = (user.to_string(), Some((**event).clone()));
            (tenant, What::Inbox(pb::InboxMoved { user_id, event }))
        }
        Signal::RosterChanged { tenant, conversation } => {
            let conversation_id = conversation.to_string();
            (tenant, What::Roster(pb::RosterChanged { conversation_id }))
        }
        Signal::RostersForgotten => {
            return Some(of_no_tenant(What::Rosters(pb::RostersForgotten {})));
        }
        Signal::Missed => return None,
    };
    Some(pb::Signal { tenant_id: tenant.to_string(), what: Some(what), origin: 0 })
}

fn of_no_tenant(what: What) -> pb::Signal {
    pb::Signal { what: Some(what), ..pb::Signal::default() }
}

/// The signal of another process; `None` where it cannot be understood.
pub(crate) fn from_pb(signal: pb::Signal) -> Option<Signal> {
    match signal.what {
        Some(What::Lost(_)) => return Some(Signal::Missed),
        Some(What::Rosters(_)) => return Some(Signal::RostersForgotten),
        _ => {}
    }
    let tenant = TenantId::parse(&signal.tenant_id).ok()?;
    let conversation = |text: &str| ConversationId::parse(text).ok();
    let user = |text: &str| UserId::parse(text).ok();
    Some(match signal.what? {
        What::Lost(_) | What::Rosters(_) => return None,
        What::Roster(changed) => {
            Signal::RosterChanged { tenant, conversation: conversation(&changed.conversation_id)? }
        }
        What::Event(stands) => {
            let event = stands.event?;
            Signal::Event {
                tenant,
                conversation: conversation(&event.conversation_id)?,
                event: Arc::new(event),
                participants: stands.participants,
            }
        }
        What::Receipt(moved) => Signal::Receipt {
            tenant,
            conversation: conversation(&moved.conversation_id)?,
            receipt: moved.receipt?,
            participants: moved.participants,
        },
        What::Typing(typing) => Signal::Typing {
            tenant,
            conversation: conversation(&typing.conversation_id)?,
            user: user(&typing.user_id)?,
            started: typing.started,
            as_of: typing.as_of_seq,
        },
        What::Presence(presence) => Signal::Presence { tenant, presence: Arc::new(presence) },
        What::Revoked(revoked) => Signal::Revoked(Arc::new(revoked_from_pb(tenant, revoked)?)),
        What::SessionEnded(ended) => Signal::SessionEnded {
            tenant,
            user: user(&ended.user_id)?,
            session_id: Arc::from(ended.session_id),
        },
        What::SessionTaken(taken) => Signal::SessionTaken {
            tenant,
            user: user(&taken.user_id)?,
            session_id: Arc::from(taken.session_id),
            epoch: taken.epoch,
        },
        What::Inbox(moved) => {
            Signal::Inbox { tenant, user: user(&moved.user_id)?, event: Arc::new(moved.event?) }
        }
    })
}

fn revoked_to_pb(revocation: &Revocation) -> pb::Revoked {
    let tokens = match &revocation.tokens {
        RevokedTokens::OfSession(session) => revoked::Tokens::SessionId(session.to_string()),
        RevokedTokens::IssuedThrough(second) => revoked::Tokens::IssuedThroughSeconds(*second),
    };
    pb::Revoked {
        user_id: revocation.user.to_string(),
        tokens: Some(tokens),
        until_seconds: revocation.until,
    }
}

fn revoked_from_pb(tenant: TenantId, revoked: pb::Revoked) -> Option<Revocation> {
    let tokens = match revoked.tokens? {
        revoked::Tokens::SessionId(session) => RevokedTokens::OfSession(Arc::from(session)),
        revoked::Tokens::IssuedThroughSeconds(second) => RevokedTokens::IssuedThrough(second),
    };
    let user = UserId::parse(&revoked.user_id).ok()?;
    Some(Revocation { tenant, user, tokens, until: revoked.until_seconds })
}

#[cfg(test)]
mod tests {
    use confab_proto::{
        messages::v1::{Event, Receipt},
        participants::v1::InboxEvent,
        realtime::v1::Presence,
    };

    use super::*;

    fn every_kind() -> Vec<Signal> {
        let tenant = TenantId::parse("acme").expect("an id");
        let conversation = ConversationId::parse("c".repeat(32).as_str()).expect("an id");
        let user = UserId::parse("alice").expect("an id");
        let event = Event { conversation_id: conversation.to_string(), seq: 7, ..Event::default() };
        let receipt = Receipt { user_id: "alice".into(), read_seq: 3, ..Receipt::default() };
        let revocation = |tokens| {
            let (tenant, user) = (tenant.clone(), user.clone());
            Signal::Revoked(Arc::new(Revocation { tenant, user, tokens, until: 99 }))
        };
        vec![
            Signal::Event {
                tenant: tenant.clone(),
                conversation: conversation.clone(),
                event: Arc::new(event),
                participants: Some(3),
            },
            Signal::Receipt {
                tenant: tenant.clone(),
                conversation: conversation.clone(),
                receipt,
                participants: None,
            },
            Signal::Typing {
                tenant: tenant.clone(),
                conversation: conversation.clone(),
                user: user.clone(),
                started: true,
                as_of: 5,
            },
            Signal::Presence {
                tenant: tenant.clone(),
                presence: Arc::new(Presence { user_id: "alice".into(), ..Presence::default() }),
            },
            revocation(RevokedTokens::OfSession("s".into())),
            revocation(RevokedTokens::IssuedThrough(12)),
            Signal::SessionEnded {
                tenant: tenant.clone(),
                user: user.clone(),
                session_id: "s".into(),
            },
            Signal::SessionTaken {
                tenant: tenant.clone(),
                user: user.clone(),
                session_id: "s".into(),
                epoch: 7,
            },
            Signal::Inbox {
                tenant: tenant.clone(),
                user,
                event: Arc::new(InboxEvent { inbox_seq: 4, ..InboxEvent::default() }),
            },
            Signal::RosterChanged { tenant, conversation },
        ]
    }

    #[test]
    fn every_signal_comes_through_whole() {
        for signal in every_kind() {
            let told = to_pb(&signal).expect("for others, too");
            let heard = from_pb(told).expect("understood");
            assert_eq!(format!("{heard:?}"), format!("{signal:?}"));
        }
        assert!(to_pb(&Signal::Missed).is_none());
    }

    #[test]
    fn what_is_not_whole_is_dropped() {
        assert!(from_pb(pb::Signal::default()).is_none());
        for signal in every_kind() {
            let whole = to_pb(&signal).expect("for others, too");
            assert!(from_pb(pb::Signal { tenant_id: String::new(), ..whole.clone() }).is_none());
            assert!(from_pb(pb::Signal { what: None, ..whole }).is_none());
        }
        let lost =
            pb::Signal { what: Some(What::Lost(pb::SignalsLost {})), ..pb::Signal::default() };
        assert!(matches!(from_pb(lost), Some(Signal::Missed)), "of no tenant");
        let forgotten = to_pb(&Signal::RostersForgotten).expect("for others, too");
        assert!(matches!(from_pb(forgotten), Some(Signal::RostersForgotten)), "of no tenant");
        let nobody = pb::SessionEnded { user_id: "no one".into(), session_id: "s".into() };
        let what = Some(What::SessionEnded(nobody));
        let told = pb::Signal { tenant_id: "acme".into(), what, origin: 0 };
        assert!(from_pb(told).is_none());
    }
}
