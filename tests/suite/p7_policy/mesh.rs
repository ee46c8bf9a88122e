//! One RPC on the mesh's port: nobody gets past it without the credential,
//! whatever else they show.

use std::sync::Arc;

use confab_kit::error::Reason;
use confab_proto::method::Method;
use confab_tests::harness::{Checked, Violation};

use super::{
    expected::Scenario,
    fixtures,
    people::{People, unable},
    public::Rooms,
};
use crate::raw::{Raw, reason_name};

pub(super) async fn check(
    people: Arc<People>,
    rooms: Arc<Rooms>,
    method: &'static Method,
) -> Checked {
    if method.client_streaming {
        // Its refusals are the same as the others', before any frame is read.
        return is_refused(&people.mesh, method, &[], Reason::InvalidMeshCredential).await;
    }
    let fixture = fixtures::of(method)?;
    let room = rooms.of(fixture.before)?;
    for scenario in Scenario::ALL {
        let request = (fixture.build)(room, scenario);
        let nobody = people.mesh_as(scenario);
        let guess = nobody.header("x-confab-mesh", "a-credential-for-this-test-onlz");
        for raw in [nobody, guess] {
            is_refused(&raw, method, &request, Reason::InvalidMeshCredential).await?;
        }
        if !method.is_mesh() {
            continue;
        }
        // The credential is none on the public port.
        let public = people.public_as(scenario).header("x-confab-mesh", super::MESH_CREDENTIAL);
        is_refused(&public, method, &request, Reason::UnknownMethod).await?;
    }
    let request = (fixture.build)(room, Scenario::Owner);
    if !method.is_mesh() {
        // The mesh serves its own services only; and needs a token for others.
        let member = people.mesh_member();
        return is_refused(&member, method, &request, Reason::MissingToken).await;
    }
    // This one may move the log.
    let own = people.room(&[]).await.map_err(unable)?;
    let request = (fixture.build)(&own, Scenario::Owner);
    let answer = people.mesh_member().bytes(method.path, &request).await?;
    // The fixture's backup has no place: the credential is good all the same.
    let refused = answer.as_ref().err().map(|refused| refused.reason.as_str());
    let is_let_in = matches!(refused, None | Some("BACKUP_FAILED"));
    Violation::unless(is_let_in, || format!("{} with the credential: {answer:?}", method.path))
}

async fn is_refused(raw: &Raw, method: &Method, request: &[u8], reason: Reason) -> Checked {
    let outcome = raw.bytes(method.path, request).await?.map_err(|refused| refused.reason);
    let wanted = reason_name(reason);
    Violation::unless(outcome.as_ref().err() == Some(&wanted), || {
        format!("{} on the mesh's port: {outcome:?} instead of {wanted}", method.path)
    })
}
