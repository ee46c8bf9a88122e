//! Reports, and the record of what moderators did.

use std::fmt;

use confab_log::{ConversationId, Micros, Seq, TenantId, UserId, event::Role};
use minicbor::{Decode, Encode};

/// Names a report: a hash of what it is about, so that the same report made
/// twice is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportId(pub [u8; 16]);

impl ReportId {
    /// The report of a message by a user, or by a content rule.
    pub fn of(
        tenant: &TenantId,
        conversation: &ConversationId,
        message: Seq,
        reporter: Option<&UserId>,
        rule: &str,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("confab 2026 report id");
        let reporter = reporter.map_or("", UserId::as_str);
        for part in [tenant.as_str(), conversation.as_str(), reporter, rule] {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&message.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }

    /// The id of its 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let conversation = ConversationId::parse(text).ok()?;
        Some(Self(conversation.to_bytes()))
    }
}

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Why a message is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Category {
    /// Unwanted advertising, fraud.
    #[n(1)]
    Spam,
    /// Insults, threats, harassment.
    #[n(2)]
    Abuse,
    /// Against the law.
    #[n(3)]
    Illegal,
    /// Something else.
    #[n(4)]
    Other,
    /// A content rule flagged it.
    #[n(5)]
    Rule,
}

/// A report, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// Which conversation.
    #[n(0)]
    pub conversation: ConversationId,
    /// Which message.
    #[n(1)]
    pub message: Seq,
    /// Who wrote it.
    #[n(2)]
    pub sender: UserId,
    /// Who reported it; `None` for a content rule.
    #[n(3)]
    pub reporter: Option<UserId>,
    /// Why.
    #[n(4)]
    pub category: Category,
    /// What the reporter wrote, or the content rule's name.
    #[n(5)]
    pub comment: String,
    /// What the message said, as the contract encodes it; `None` once resolved.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub content: Option<Vec<u8>>,
    /// When.
    #[n(7)]
    pub time: Micros,
    /// What came of it.
    #[n(8)]
    pub resolution: Option<Resolution>,
}

/// What came of a report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resolution {
    /// Whether something was done about it.
    #[n(0)]
    pub acted: bool,
    /// Who says so.
    #[n(1)]
    pub resolver: UserId,
    /// What they wrote.
    #[n(2)]
    pub note: String,
    /// When.
    #[n(3)]
    pub time: Micros,
}

/// What a moderator, or a content rule, did, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Action {
    /// What, by the number of `confab.participants.v1.ModerationKind`.
    #[n(0)]
    pub kind: i32,
    /// Who.
    #[n(1)]
    pub actor: UserId,
    /// On whom.
    #[n(2)]
    pub target: UserId,
    /// On which message; 0 for none.
    #[n(3)]
    pub message: Seq,
    /// What the moderator wrote, or the content rule's name.
    #[n(4)]
    pub reason: String,
    /// Until when.
    #[n(5)]
    pub until: Option<Micros>,
    /// The new role.
    #[n(6)]
    pub role: Option<Role>,
    /// When.
    #[n(7)]
    pub time: Micros,
}

/// The place of an action: its event, and which one of the event's.
pub type ActionPlace = (Seq, u32);

/// A message to be reported.
#[derive(Debug)]
pub(crate) struct ReportMessage {
    /// Which conversation.
    pub(crate) conversation: ConversationId,
    /// Which message.
    pub(crate) message: Seq,
    /// Why.
    pub(crate) category: Category,
    /// What the reporter writes.
    pub(crate) comment: String,
}

/// A page of reports.
#[derive(Debug)]
pub(crate) struct ListReports {
    /// Resolved ones, or open ones.
    pub(crate) resolved: bool,
    /// Rows of a page.
    pub(crate) limit: usize,
    /// Where the page starts; empty for the first.
    pub(crate) page_token: String,
}

/// A report to be closed.
#[derive(Debug)]
pub(crate) struct ResolveReport {
    /// Which.
    pub(crate) id: ReportId,
    /// Whether something was done about it.
    pub(crate) acted: bool,
    /// What the resolver writes.
    pub(crate) note: String,
}
