//! What each kind of caller must be answered: from the declared policy, and
//! for what the log decides beyond the relation from one small table.

use confab_kit::error::Reason;
use confab_proto::method::{Caller, Method, Relation, Target};
use confab_tests::harness::{Checked, Violation};

/// Who calls, and with what proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    NoToken,
    ExpiredToken,
    /// Has the owner's name, in another tenant.
    OtherTenant,
    Stranger,
    FormerMember,
    Muted,
    Banned,
    Member,
    Admin,
    Owner,
    /// Has the owner's name.
    Application,
    /// Has the owner's name.
    TenantAdmin,
}

impl Scenario {
    pub(super) const ALL: [Self; 12] = [
        Self::NoToken,
        Self::ExpiredToken,
        Self::OtherTenant,
        Self::Stranger,
        Self::FormerMember,
        Self::Muted,
        Self::Banned,
        Self::Member,
        Self::Admin,
        Self::Owner,
        Self::Application,
        Self::TenantAdmin,
    ];

    /// The name that the caller's token bears, or would.
    pub(super) fn user(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::FormerMember => "former",
            Self::Muted => "muted",
            Self::Banned => "banned",
            Self::Member => "member",
            Self::Admin => "admin",
            _ => "owner",
        }
    }

    /// Whether the caller can open a stream at all.
    pub(super) fn is_user(self) -> bool {
        self.kind() == Ok(Caller::User)
    }

    fn kind(self) -> Result<Caller, Reason> {
        match self {
            Self::NoToken => Err(Reason::MissingToken),
            Self::ExpiredToken => Err(Reason::TokenExpired),
            Self::Application => Ok(Caller::Application),
            Self::TenantAdmin => Ok(Caller::TenantAdmin),
            _ => Ok(Caller::User),
        }
    }

    fn relation(self) -> Relation {
        match self {
            Self::FormerMember | Self::Banned => Relation::FormerMember,
            Self::Muted | Self::Member => Relation::Member,
            Self::Admin => Relation::Admin,
            // The two not of users see in their tenant what an owner does.
            Self::Owner | Self::Application | Self::TenantAdmin => Relation::Owner,
            _ => Relation::Stranger,
        }
    }
}

/// What the public port must answer.
pub(super) fn of(method: &Method, scenario: Scenario) -> Checked<Result<(), Reason>> {
    let no_policy = || Violation::broken(format!("{} has no policy", method.path));
    let policy = method.policy.as_ref().ok_or_else(no_policy)?;
    if method.is_mesh() {
        return Ok(Err(Reason::UnknownMethod));
    }
    if policy.callers.contains(&Caller::Public) {
        return Ok(Ok(()));
    }
    let kind = match scenario.kind() {
        Ok(kind) => kind,
        Err(reason) => return Ok(Err(reason)),
    };
    if !policy.callers.contains(&kind) {
        return Ok(Err(Reason::CallerNotAllowed));
    }
    let Target::Conversation { minimum, decided_by_log, .. } = policy.target else {
        // What is another tenant's does not exist.
        let foreign = scenario == Scenario::OtherTenant && method.path.ends_with("/GetUser");
        let foreign = foreign.then_some(Reason::UserNotFound);
        return Ok(decided_by_the_handler(method.path).or(foreign).map_or(Ok(()), Err));
    };
    if decided_by_log && let Some(decided) = decided_by_the_log(method.path, scenario) {
        return Ok(Err(decided));
    }
    Ok(match scenario.relation() {
        relation if relation >= minimum => Ok(()),
        Relation::Stranger => Err(Reason::ConversationNotFound),
        Relation::FormerMember => Err(Reason::NotAParticipant),
        _ => Err(Reason::RoleTooLow),
    })
}

/// What comes of a fixture that got past the policy and names nothing that there
/// is: a session that there is would end with the first answer.
fn decided_by_the_handler(path: &str) -> Option<Reason> {
    match path.rsplit('/').next().unwrap_or_default() {
        "Acknowledge" | "EndSession" => Some(Reason::SessionNotFound),
        _ => None,
    }
}

/// What the log decides that no relation says.
fn decided_by_the_log(path: &str, scenario: Scenario) -> Option<Reason> {
    let rpc = path.rsplit('/').next().unwrap_or_default();
    match (scenario, rpc) {
        // The room is no public channel: nobody gets in, those who were there know why.
        (Scenario::Stranger | Scenario::OtherTenant, "JoinConversation") => {
            Some(Reason::ConversationNotFound)
        }
        (Scenario::FormerMember | Scenario::Banned, "JoinConversation") => {
            Some(Reason::ConversationNotPublic)
        }
        (_, "JoinConversation") => Some(Reason::AlreadyAParticipant),
        (Scenario::Banned, _) => Some(Reason::Banned),
        (Scenario::Muted, "SendMessage" | "EditMessage" | "AddReaction" | "RemoveReaction") => {
            Some(Reason::Muted)
        }
        (Scenario::Owner, "LeaveConversation") => Some(Reason::OwnerMustTransfer),
        _ => None,
    }
}
