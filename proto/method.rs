//! The table of RPCs and their policies, read off the contract at build time.

/// One RPC.
#[derive(Debug)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: &'static str,
    /// Full name of the request message.
    pub request: &'static str,
    /// Full name of the response message.
    pub response: &'static str,
    /// Whether the client streams.
    pub client_streaming: bool,
    /// Whether the server streams.
    pub server_streaming: bool,
    /// Whether a retry is safe (`idempotency_level` is set).
    pub idempotent: bool,
    /// Absent stops the start-up.
    pub policy: Option<Policy>,
}

/// What a caller must show; see `confab.policy.v1.MethodPolicy`.
#[derive(Debug)]
pub struct Policy {
    /// Any one is enough.
    pub callers: &'static [Caller],
    /// Scope of the token; empty needs none.
    pub scope: &'static str,
    /// The budget that a call is charged to.
    pub rate_class: &'static str,
    /// What the call is about.
    pub target: Target,
}

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A number that this build does not know: nobody.
    Unknown,
    /// Anyone.
    Public,
    /// A person's device.
    User,
    /// A team's own backend.
    Application,
    /// A tenant's administrator.
    TenantAdmin,
    /// Another Confab process.
    Mesh,
}

impl Caller {
    const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Public,
            2 => Self::User,
            3 => Self::Application,
            4 => Self::TenantAdmin,
            5 => Self::Mesh,
            _ => Self::Unknown,
        }
    }
}

/// What somebody is to a conversation, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Nothing: to them it does not exist.
    Stranger,
    /// Was a participant once.
    FormerMember,
    /// Is a participant.
    Member,
    /// Is an admin.
    Admin,
    /// Is the owner.
    Owner,
}

impl Relation {
    /// From the number in `confab.policy.v1.Relation`; an unknown one is nothing,
    /// and so is `RELATION_ANYONE`.
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::FormerMember,
            2 => Self::Member,
            3 => Self::Admin,
            4 => Self::Owner,
            _ => Self::Stranger,
        }
    }

    /// The number in `confab.policy.v1.Relation`; 0 for a stranger.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Not declared; stops the start-up unless the RPC is public.
    Missing,
    /// The conversation in a field of the request.
    Conversation {
        /// The field.
        field: &'static str,
        /// The least relation that is answered.
        minimum: Relation,
        /// Whether the log decides the relation, at the command's position.
        decided_by_log: bool,
    },
    /// A thing whose ownership the handler proves.
    Owned,
    /// The caller's own things.
    Own,
    /// The mesh's own business.
    Mesh,
}

/// A request message: it names its RPC and what it is about.
pub trait RpcRequest: prost::Message {
    /// The RPC.
    const METHOD: &'static Method;
    /// The conversation that the policy's target names.
    fn conversation_id(&self) -> Option<&str>;
}

impl Method {
    /// Finds an RPC by its path.
    pub fn by_path(path: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.path == path)
    }

    /// Finds the unary RPC that takes the request message of this full name.
    pub fn by_request(full_name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.request == full_name && !method.client_streaming)
    }

    /// Whether only the mesh may call it.
    pub fn is_mesh(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.callers == [Caller::Mesh])
    }
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));
