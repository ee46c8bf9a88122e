//! P7, deny by default: each RPC of the descriptors × each kind of caller
//! answers as its policy declares, unary and on a stream, and what is refused
//! leaves no trace in the log. An RPC without a fixture fails the test.

mod expected;
mod fixtures;
mod mesh;
mod people;
mod public;
mod standard;

use std::sync::Arc;

use confab_kit::policy;
use confab_proto::method::{Caller, Idempotency, METHODS, Method, Policy, Target};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, effort, must_be_caught};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::promises::{can_be_clustered, program};
use expected::Scenario;
use people::People;
use public::Rooms;

/// What the processes of the mesh show each other here.
const MESH_CREDENTIAL: &str = "a-credential-for-this-test-only";

/// RPCs that are checked at the same time.
const AT_A_TIME: usize = 8;

async fn check(shape: Shape, mutant: Option<&str>) -> Checked {
    // Each command that is carried out is so in a room of its own, which takes twenty
    // commands to furnish: in a cluster one caller of each shows that it is carried out,
    // and all who are refused are refused.
    let all = shape != Shape::Cluster || effort() > 1;
    fixtures::cover_the_contract()?;
    let options = program(mutant).env("CONFAB_MESH__CREDENTIAL", MESH_CREDENTIAL);
    // A fixture's backup has no place to go to.
    let options = options.allow("backup not made");
    let confab = Deployment::start(shape, options).await?;
    let people = Arc::new(People::of(&confab).await?);
    let rooms = Arc::new(Rooms::open(&people).await?);
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let mut checks = JoinSet::new();
    for method in METHODS {
        let (people, rooms, turns) = (Arc::clone(&people), Arc::clone(&rooms), Arc::clone(&turns));
        checks.spawn(async move {
            let _turn = turns.acquire().await.map_err(Violation::unable)?;
            public::check(Arc::clone(&people), Arc::clone(&rooms), method, all).await?;
            mesh::check(people, rooms, method).await
        });
    }
    while let Some(checked) = checks.join_next().await {
        checked.map_err(Violation::unable)??;
    }
    rooms.are_untouched(&people).await?;
    standard::check(confab.entry()).await?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_answers_every_caller_as_declared() {
    check(Shape::Single, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_answers_every_caller_as_declared_through_an_entry() {
    check(Shape::Mesh, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_answers_every_caller_as_declared_in_a_cluster() {
    if can_be_clustered("p7_policy::every_rpc_answers_every_caller_as_declared_in_a_cluster").await
    {
        check(Shape::Cluster, None).await.unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_skips_the_relation_is_caught_in_a_mesh() {
    must_be_caught("policy-skip-relation", check(Shape::Mesh, Some("policy-skip-relation")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_skips_the_relation_is_caught() {
    must_be_caught(
        "policy-skip-relation",
        check(Shape::Single, Some("policy-skip-relation")).await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_skips_the_kind_of_caller_is_caught() {
    must_be_caught(
        "policy-skip-caller-kind",
        check(Shape::Single, Some("policy-skip-caller-kind")).await,
    );
}

#[test]
fn an_rpc_without_a_policy_stops_the_start_up() {
    policy::validate(METHODS).expect("the contract is fully declared");
    let undeclared = |policy| Method {
        path: "/confab.new.v1.NewService/New",
        request: "confab.new.v1.NewRequest",
        response: "confab.new.v1.NewResponse",
        client_streaming: false,
        server_streaming: false,
        idempotency: Idempotency::Unknown,
        conversation_tag: 0,
        policy,
    };
    let policy = |callers, rate_class, target| Policy { callers, scope: "", rate_class, target };
    let wrong = [
        None,
        Some(policy(&[], "read", Target::Own)),
        Some(policy(&[Caller::Unknown], "read", Target::Own)),
        Some(policy(&[Caller::User], "unheard-of", Target::Own)),
        Some(policy(&[Caller::User], "read", Target::Missing)),
        Some(policy(&[Caller::User, Caller::Mesh], "read", Target::Own)),
    ];
    for policy in wrong {
        let methods = Box::leak(Box::new([undeclared(policy)]));
        assert!(policy::validate(methods).is_err(), "{methods:?}");
    }
}
