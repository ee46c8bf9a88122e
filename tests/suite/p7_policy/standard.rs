//! The standard services: open to everyone, and telling nobody of the mesh.

use std::collections::BTreeSet;

use confab_proto::method::METHODS;
use confab_tests::harness::{Checked, Node, Violation, within};
use tokio_stream::StreamExt as _;
use tonic::{Request, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use crate::raw::PATIENCE;

/// Served beside the contract.
const STANDARD: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

pub(super) async fn check(node: &Node) -> Checked {
    let endpoint = Channel::from_shared(node.uri()).map_err(Violation::unable)?;
    let channel = endpoint.connect().await.map_err(Violation::unable)?;
    let (public, mesh) = services();
    for service in public.iter().map(String::as_str).chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(channel.clone()).check(request).await?.into_inner();
        Violation::unless(answer.status() == ServingStatus::Serving, || {
            format!("the health of {service:?} is {answer:?}")
        })?;
    }
    let listed = [listed_v1(&channel).await?, listed_v1alpha(&channel).await?];
    for listed in listed {
        let contract: BTreeSet<String> =
            listed.into_iter().filter(|name| !STANDARD.contains(&name.as_str())).collect();
        Violation::unless(contract == public, || format!("reflected are {contract:?}"))?;
    }
    for service in &mesh {
        is_not_reflected(&channel, service).await?;
        let request = HealthCheckRequest { service: service.clone() };
        let health = HealthClient::new(channel.clone()).check(request).await;
        Violation::unless(health.is_err(), || format!("health tells of {service}"))?;
    }
    Ok(())
}

/// The contract's services: the public ones, and the mesh's.
fn services() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut public, mut mesh) = (BTreeSet::new(), BTreeSet::new());
    for method in METHODS {
        let name = method.path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let set = if method.is_mesh() { &mut mesh } else { &mut public };
        set.insert(name.to_owned());
    }
    (public, mesh)
}

async fn listed_v1(channel: &Channel) -> Checked<Vec<String>> {
    use v1::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    match reflected(channel, request).await?.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => Err(Violation::broken(format!("reflection v1 answers {other:?}"))),
    }
}

async fn listed_v1alpha(channel: &Channel) -> Checked<Vec<String>> {
    use v1alpha::{
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let asked = client.server_reflection_info(Request::new(tokio_stream::once(request)));
    let mut answers = within(PATIENCE, "reflection v1alpha", asked).await??.into_inner();
    let answer = answers.next().await.transpose()?.unwrap_or_default();
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => Err(Violation::broken(format!("reflection v1alpha answers {other:?}"))),
    }
}

async fn is_not_reflected(channel: &Channel, service: &str) -> Checked {
    use v1::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let symbol = MessageRequest::FileContainingSymbol(service.to_owned());
    let request =
        v1::ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let told = match reflected(channel, request).await {
        Ok(answer) => match answer.message_response {
            Some(MessageResponse::ErrorResponse(_)) | None => None,
            other => other,
        },
        // tonic refuses the whole stream instead.
        Err(_) => None,
    };
    Violation::unless(told.is_none(), || format!("reflection tells of {service}"))
}

async fn reflected(
    channel: &Channel,
    request: v1::ServerReflectionRequest,
) -> Checked<v1::ServerReflectionResponse> {
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let asked = client.server_reflection_info(Request::new(tokio_stream::once(request)));
    let mut answers = within(PATIENCE, "reflection v1", asked).await??.into_inner();
    Ok(answers.next().await.transpose()?.unwrap_or_default())
}
