//! The start-up check of the contract's policies: deny by default begins with
//! refusing to serve an RPC that does not say who may call it. Enforcement is
//! in `layers::policy` and `admission`.

use confab_proto::method::{Caller, Method, Policy, Relation, Target};

/// The budgets that a call can be charged to.
pub const RATE_CLASSES: &[&str] =
    &["read", "write", "send", "create", "connect", "ephemeral", "mesh"];

/// Who may call an RPC that is not part of our contract: the standard
/// services that every gRPC tool expects. Anything that is neither here nor in
/// the contract is `UNKNOWN_METHOD`.
pub const STANDARD_METHODS: &[StandardMethod] = &[
    StandardMethod { path: "/grpc.health.v1.Health/Check", streaming: false },
    StandardMethod { path: "/grpc.health.v1.Health/List", streaming: false },
    StandardMethod { path: "/grpc.health.v1.Health/Watch", streaming: true },
    StandardMethod {
        path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        streaming: true,
    },
    StandardMethod {
        path: "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        streaming: true,
    },
];

/// An RPC of a standard service: open to anyone, without a token.
#[derive(Debug)]
pub struct StandardMethod {
    /// `/package.Service/Method`.
    pub path: &'static str,
    /// Whether either side streams.
    pub streaming: bool,
}

impl StandardMethod {
    /// Finds one by its path.
    pub fn by_path(path: &str) -> Option<&'static Self> {
        STANDARD_METHODS.iter().find(|method| method.path == path)
    }
}

/// Why the contract cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} {problem}")]
pub struct PolicyError {
    /// The RPC.
    pub method: &'static str,
    /// What is wrong with its policy.
    pub problem: Problem,
}

/// What is wrong with a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is none.
    #[error("declares no policy")]
    NoPolicy,
    /// Nobody may call it.
    #[error("names no caller")]
    NoCaller,
    /// A caller of a kind that this build does not know.
    #[error("names an unknown kind of caller")]
    UnknownCaller,
    /// The budget is not one of [`RATE_CLASSES`].
    #[error("names an unknown rate class")]
    UnknownRateClass,
    /// It does not say what the call is about.
    #[error("names no target")]
    NoTarget,
    /// The least relation is missing or unknown.
    #[error("names a conversation but no least relation to it")]
    NoRelation,
    /// Served on one port only: the mesh's or the public one.
    #[error("mixes the mesh with other callers")]
    MixesMesh,
    /// Public is everyone; other kinds beside it are a mistake.
    #[error("mixes the public with other callers")]
    MixesPublic,
    /// The target `mesh` is for mesh callers, and only for them.
    #[error("has a target that does not fit its callers")]
    WrongTarget,
    /// A stream has no request message to find the conversation in.
    #[error("streams from the client, so its target cannot be a conversation")]
    StreamTarget,
}

/// Refuses a contract with an RPC that does not say who may call it and what
/// it is about.
pub fn validate(methods: &'static [Method]) -> Result<(), PolicyError> {
    for method in methods {
        if let Some(problem) = problem_of(method) {
            return Err(PolicyError { method: method.path, problem });
        }
    }
    Ok(())
}

fn problem_of(method: &Method) -> Option<Problem> {
    let Some(policy) = &method.policy else {
        return Some(Problem::NoPolicy);
    };
    callers_problem(policy)
        .or_else(|| {
            (!RATE_CLASSES.contains(&policy.rate_class)).then_some(Problem::UnknownRateClass)
        })
        .or_else(|| target_problem(method, policy))
}

fn callers_problem(policy: &Policy) -> Option<Problem> {
    let names = |caller| policy.callers.contains(&caller);
    if policy.callers.is_empty() {
        return Some(Problem::NoCaller);
    }
    if names(Caller::Unknown) {
        return Some(Problem::UnknownCaller);
    }
    let several = policy.callers.len() > 1;
    if several && names(Caller::Mesh) {
        return Some(Problem::MixesMesh);
    }
    (several && names(Caller::Public)).then_some(Problem::MixesPublic)
}

fn target_problem(method: &Method, policy: &Policy) -> Option<Problem> {
    let public = policy.callers.contains(&Caller::Public);
    let mesh = policy.callers.contains(&Caller::Mesh);
    match policy.target {
        Target::Missing if public => None,
        Target::Missing => Some(Problem::NoTarget),
        _ if public || mesh != (policy.target == Target::Mesh) => Some(Problem::WrongTarget),
        // Only the log can tell whom a conversation is open to.
        Target::Conversation { minimum: Relation::Stranger, decided_by_log: false, .. } => {
            Some(Problem::NoRelation)
        }
        Target::Conversation { .. } if method.client_streaming => Some(Problem::StreamTarget),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use confab_proto::method::METHODS;

    use super::*;

    const MEMBER: Target = Target::Conversation {
        field: "conversation_id",
        minimum: Relation::Member,
        decided_by_log: false,
    };

    fn problem(
        callers: &'static [Caller],
        rate_class: &'static str,
        target: Target,
    ) -> Option<Problem> {
        problem_of(&method(Some(Policy { callers, scope: "", rate_class, target })))
    }

    fn method(policy: Option<Policy>) -> Method {
        Method {
            path: "/confab.test.v1.TestService/Test",
            request: "confab.test.v1.TestRequest",
            response: "confab.test.v1.TestResponse",
            client_streaming: false,
            server_streaming: false,
            idempotent: false,
            policy,
        }
    }

    #[test]
    fn the_contract_is_valid() {
        assert_eq!(validate(METHODS), Ok(()));
        assert!(METHODS.len() > 20);
    }

    #[test]
    fn good_policies_pass() {
        assert_eq!(problem(&[Caller::User], "read", MEMBER), None);
        assert_eq!(problem(&[Caller::User, Caller::Application], "read", Target::Own), None);
        assert_eq!(problem(&[Caller::Mesh], "mesh", Target::Mesh), None);
        assert_eq!(problem(&[Caller::Public], "read", Target::Missing), None);
    }

    #[test]
    fn a_missing_policy_is_refused() {
        let leaked: &'static [Method] = Box::leak(Box::new([method(None)]));
        let error = validate(leaked).expect_err("no policy");
        assert_eq!(error.problem, Problem::NoPolicy);
        assert_eq!(error.to_string(), "/confab.test.v1.TestService/Test declares no policy");
    }

    #[test]
    fn bad_policies_are_refused() {
        use Problem as P;
        let no_relation = Target::Conversation {
            field: "conversation_id",
            minimum: Relation::Stranger,
            decided_by_log: false,
        };
        assert_eq!(problem(&[], "read", MEMBER), Some(P::NoCaller));
        assert_eq!(problem(&[Caller::Unknown], "read", MEMBER), Some(P::UnknownCaller));
        assert_eq!(problem(&[Caller::User], "", MEMBER), Some(P::UnknownRateClass));
        assert_eq!(problem(&[Caller::User], "nonsense", MEMBER), Some(P::UnknownRateClass));
        assert_eq!(problem(&[Caller::User], "read", Target::Missing), Some(P::NoTarget));
        assert_eq!(problem(&[Caller::User], "read", no_relation), Some(P::NoRelation));
        assert_eq!(problem(&[Caller::User, Caller::Mesh], "read", MEMBER), Some(P::MixesMesh));
        assert_eq!(problem(&[Caller::User, Caller::Public], "read", MEMBER), Some(P::MixesPublic));
        assert_eq!(problem(&[Caller::User], "mesh", Target::Mesh), Some(P::WrongTarget));
        assert_eq!(problem(&[Caller::Mesh], "mesh", Target::Own), Some(P::WrongTarget));
        assert_eq!(problem(&[Caller::Public], "read", Target::Own), Some(P::WrongTarget));
    }

    #[test]
    fn a_stream_cannot_name_a_conversation() {
        let policy =
            Policy { callers: &[Caller::User], scope: "", rate_class: "connect", target: MEMBER };
        let stream = Method { client_streaming: true, ..method(Some(policy)) };
        assert_eq!(problem_of(&stream), Some(Problem::StreamTarget));
    }
}
